"""The product against the official numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.runner import run_case


def test_case(golden_folder: Path, request: pytest.FixtureRequest) -> None:
    report = run_case(golden_folder)
    if report.problems:
        pytest.fail("\n".join(report.problems), pytrace=False)
    if report.absent:
        text = "; ".join(report.absent)
        if request.config.getoption("--golden-allow-missing"):
            pytest.skip(text)
        pytest.fail(text, pytrace=False)

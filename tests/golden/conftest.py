"""One test per golden case under ``--golden-root`` (options: tests/conftest.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.case import find_cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise ``golden_folder`` over the cases; ``full_*`` cases are slow."""
    if "golden_folder" not in metafunc.fixturenames:
        return
    root = Path(metafunc.config.getoption("--golden-root"))
    folders = find_cases(root)
    if not folders:
        raise pytest.UsageError(f"no golden case SYSTEM/CASE/meta.json under {root}")
    cases = [
        pytest.param(
            folder,
            id=f"{folder.parent.name}/{folder.name}",
            marks=[pytest.mark.slow] if folder.name.startswith("full_") else [],
        )
        for folder in folders
    ]
    metafunc.parametrize("golden_folder", cases)

"""Fixtures every test may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the golden runner is a package of its own: `golden`


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of tests/golden; here, so that `pytest` and `pytest tests/golden` both know them."""
    group = parser.getgroup("golden", "official numbers")
    group.addoption(
        "--golden-root",
        default=str(ROOT / "tests" / "golden" / "data"),
        help="folder SYSTEM/CASE/meta.json of official numbers (default: tests/golden/data)",
    )
    group.addoption(
        "--golden-allow-missing",
        action="store_true",
        help="skip cases (and manifest entries) no adapter knows yet, instead of failing",
    )


def shared_folder() -> Path:
    """Where the real data and official numbers lie: ``MASKFIELD_SHARED``, else ``../shared``."""
    return Path(os.environ.get("MASKFIELD_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder; the test is skipped when it is absent."""
    folder = shared_folder()
    if not folder.is_dir():
        pytest.skip("the shared folder is absent (set MASKFIELD_SHARED)")
    return folder


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator, fresh for each test."""
    return torch.Generator().manual_seed(0)

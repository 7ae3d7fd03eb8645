"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


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

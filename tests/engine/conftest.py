"""The tiny task, and a config for it, as fixtures."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from maskfield.core.config import override
from maskfield.engine.config import EngineConfig, OptimConfig, RunConfig

TINY = Path(__file__).with_name("tiny_task.py")


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module ``tiny_task``."""
    spec = importlib.util.spec_from_file_location("tiny_task", TINY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_task"] = module  # so that a config file can name its class
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_config(tiny: ModuleType) -> Callable[..., RunConfig]:
    """``make_config("engine.steps=3", ...)``: a small run with changes."""

    def make(*changes: str) -> RunConfig:
        config = RunConfig(
            method=tiny.TinyConfig(),
            optim=OptimConfig(lr=1e-2),
            engine=EngineConfig(steps=20, log_every=5, device="cpu"),
        )
        return override(config, changes)

    return make


@pytest.fixture
def make_task(tiny: ModuleType) -> Callable[..., Any]:
    """``make_task(config, before_step=None)``."""
    return tiny.TinyTask

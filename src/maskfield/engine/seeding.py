"""Seeds: one number decides every random draw of a run."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

_MASK = (1 << 64) - 1


def mixed_seed(*numbers: int) -> int:
    """A seed of 63 bits from several small numbers (splitmix64, chained).

    Neighbouring numbers give unrelated seeds, so (seed, step) and (seed, step + 1) do not either.
    """
    state = 0
    for number in numbers:
        state = (state ^ (number & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch: initial weights and dropout come from their generators."""
    random.seed(seed)
    np.random.seed(mixed_seed(seed) % 2**32)  # noqa: NPY002 - third-party code draws from it
    torch.manual_seed(seed)


def capture_rng() -> dict[str, Any]:
    """State of the generators of Python, NumPy and torch, as tensors and plain values."""
    legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    key = torch.from_numpy(legacy["state"]["key"].astype(np.int64))
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": {**legacy, "state": {**legacy["state"], "key": key}},
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_rng(state: dict[str, Any]) -> None:
    """Undo :func:`capture_rng`."""
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))
    legacy = state["numpy"]
    key = legacy["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state({**legacy, "state": {**legacy["state"], "key": key}})  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])

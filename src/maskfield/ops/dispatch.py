"""Which implementation of an op runs: the torch reference, or a numba fast path on the CPU.

Nothing is compiled at import; numba kernels live in modules that are imported on first use.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from maskfield.core.errors import ConfigError

Backend = Literal["auto", "torch", "numba"]
BACKENDS: tuple[Backend, ...] = ("auto", "torch", "numba")
_NUMBA_DTYPES = (torch.float32, torch.float64)


def use_numba(backend: str, *tensors: Tensor) -> bool:
    """Whether the numba path shall run for these tensors.

    "auto" takes numba where it can: all tensors on the CPU and of one dtype, float32 or float64.

    Raises:
        ConfigError: unknown backend, or "numba" asked for tensors it cannot take.
    """
    check_backend(backend, BACKENDS)
    if backend == "torch":
        return False
    able = all(t.device.type == "cpu" for t in tensors) and _one_float_dtype(tensors)
    if backend == "numba" and not able:
        raise ConfigError(
            "the numba path takes CPU tensors of one dtype, float32 or float64",
            field="backend",
            value=[(t.device.type, str(t.dtype)) for t in tensors],
            remedy="use backend='auto' or 'torch', or convert the tensors",
        )
    return able


def check_backend(backend: str, allowed: tuple[str, ...]) -> None:
    """Refuse a backend that the op does not have.

    Raises:
        ConfigError: names the backends there are.
    """
    if backend not in allowed:
        raise ConfigError(
            "unknown backend", field="backend", value=backend, remedy=f"choose one of {allowed}"
        )


def _one_float_dtype(tensors: tuple[Tensor, ...]) -> bool:
    dtypes = {t.dtype for t in tensors}
    return len(dtypes) == 1 and dtypes.pop() in _NUMBA_DTYPES

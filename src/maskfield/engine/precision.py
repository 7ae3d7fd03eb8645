"""In which numbers the forward pass is computed, and on which device and threads."""

from __future__ import annotations

from typing import Literal

import numba
import torch

from maskfield.core.errors import ConfigError

Precision = Literal["auto", "fp32", "bf16"]


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """bf16 autocast, or nothing for fp32. Weights, gradients and updates stay fp32."""
    wanted = precision == "bf16" or (precision == "auto" and has_bf16(device))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bf16 itself; where it must imitate bf16, fp32 is faster."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch < 2.10 has none: fp32
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def choose_device(name: str) -> torch.device:
    """The device of this name; "auto" is CUDA if there is one, else the CPU.

    Raises:
        ConfigError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"the device cannot be used: {str(error).splitlines()[0]}",
            field="engine.device",
            value=name,
            remedy="use auto or cpu; `maskfield doctor` lists the devices",
        ) from error
    return device


def use_threads(threads: int | None) -> int:
    """Set the CPU threads of torch and numba (None leaves them); returns how many torch uses.

    Both may share one OpenMP runtime, where the last to set a number sets it for both.
    """
    if threads is not None:
        numba.set_num_threads(min(threads, _numba_threads()))
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def _numba_threads() -> int:
    """How many threads numba was started with: it takes no larger number later."""
    return numba.config.NUMBA_NUM_THREADS  # pyright: ignore

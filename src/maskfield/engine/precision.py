"""In which numbers the forward pass is computed, and on which device and threads."""

from __future__ import annotations

from typing import Literal

import torch

from maskfield.core.errors import ConfigError


def autocast(device: torch.device, precision: Literal["fp32", "bf16"]) -> torch.autocast:
    """bf16 autocast, or nothing for fp32. Weights, gradients and updates stay fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


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
    """Set torch's CPU threads (None leaves them) and return how many it uses."""
    if threads is not None:
        torch.set_num_threads(threads)
    return torch.get_num_threads()

"""The table kind -> adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from golden.case import Case

Result = Mapping[str, Any]
AdapterFunction = Callable[[Case], Result]


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How the product computes one kind.

    Attributes:
        function: Case -> full (not strided) outputs by name; it never sees the stored outputs.
        channels_last: beginnings of the names whose spatial axes are 1, 2, 3 instead of 2, 3, 4.
    """

    function: AdapterFunction
    channels_last: tuple[str, ...] = ()

    def spatial_axes(self, name: str) -> tuple[int, int, int]:
        """The axes a stored stride applies to."""
        return (1, 2, 3) if name.startswith(self.channels_last or ("\0",)) else (2, 3, 4)


ADAPTERS: dict[str, Adapter] = {}


def golden(
    kind: str, *, channels_last: tuple[str, ...] = ()
) -> Callable[[AdapterFunction], AdapterFunction]:
    """Register the decorated function as the adapter of ``system/kind``."""

    def register(function: AdapterFunction) -> AdapterFunction:
        if kind in ADAPTERS:
            raise ValueError(f"two adapters for the golden kind {kind}")
        ADAPTERS[kind] = Adapter(function=function, channels_last=channels_last)
        return function

    return register

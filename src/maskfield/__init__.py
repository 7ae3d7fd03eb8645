"""maskfield: hide part of a 3-D scene, learn by rendering it back, then use what was learned.

``import maskfield`` is free of torch; the verbs (``maskfield.fit``, ``maskfield.pretrain`` ...) are
loaded from :mod:`maskfield.api` when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from maskfield import api as api


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    api = import_module("maskfield.api")  # `from maskfield import api` would ask here again
    if name != "api" and name not in api.__all__:
        raise AttributeError(f"module 'maskfield' has no attribute {name!r}")
    return api if name == "api" else getattr(api, name)

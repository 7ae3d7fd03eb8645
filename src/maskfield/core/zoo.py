"""Weights that come with the package: ``zoo:NAME`` is ``zoo/NAME.safetensors``; card beside it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from maskfield.core.errors import CheckpointError
from maskfield.core.registry import suggestion

PREFIX = "zoo:"
_SUFFIX = ".safetensors"


def is_zoo(path: object) -> bool:
    """Whether ``path`` is written ``zoo:NAME``."""
    return str(path).startswith(PREFIX)


def zoo_folder() -> Path:
    """Where the package keeps its weights."""
    return Path(str(resources.files("maskfield"))) / "zoo"


def zoo_names() -> tuple[str, ...]:
    """Names of the weights that are there."""
    return tuple(sorted(p.stem for p in zoo_folder().glob(f"*{_SUFFIX}")))


def zoo_path(name: str) -> Path:
    """The file of ``NAME`` or ``zoo:NAME``.

    Raises:
        CheckpointError: no weights of this name; lists those there are.
    """
    name = name.removeprefix(PREFIX)
    names = zoo_names()
    if name not in names:
        remedy = suggestion(name, names) if names else "train one: `maskfield finetune --help`"
        raise CheckpointError(
            "no such weights in the package",
            file=zoo_folder(),
            field="zoo",
            value=name,
            remedy=f"{remedy}; or give the path of your own weights",
        )
    return zoo_folder() / f"{name}{_SUFFIX}"

"""Finding the scenes of a data set, and the cameras of pictures that do not describe their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from maskfield.core.errors import DataError


def scene_folders(
    source: Path, holds: Callable[[Path], bool], wanted: str
) -> list[tuple[str, Path]]:
    """Name and folder of every scene in ``source``, sorted.

    Args:
        holds: whether a folder is a scene. wanted: what a scene holds, for people.

    Raises:
        DataError: there is none.
    """
    folders = sorted(p for p in source.iterdir() if p.is_dir()) if source.is_dir() else []
    found = [(p.name, p) for p in folders if holds(p)]
    if not found:
        raise DataError(
            "no scenes here",
            file=source,
            field="source",
            value=[p.name for p in folders[:5]],
            remedy=f"give the folder that holds {wanted}",
        )
    return found


def pinhole(
    size: tuple[int, int], focal: tuple[float, float], centre: tuple[float, float] | None = None
) -> dict[str, float]:
    """A camera as transforms.json spells it; the principal point is the middle unless given."""
    width, height = size
    cx, cy = centre or (width / 2, height / 2)
    return {"fl_x": focal[0], "fl_y": focal[1], "cx": cx, "cy": cy, "w": width, "h": height}


def picture_size(file: Path, usual: tuple[int, int] | None = None) -> tuple[int, int]:
    """Width and height of a picture; ``usual`` for one that is not there.

    Raises:
        DataError: missing without ``usual``, or damaged.
    """
    if usual is not None and not file.is_file():
        return usual
    try:
        with Image.open(file) as picture:
            return picture.size
    except OSError as error:
        raise DataError(
            f"cannot read the picture: {error}",
            file=file,
            remedy="download it again or remove the frame",
        ) from error

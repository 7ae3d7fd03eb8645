"""Folders of photographs: images, images_2, images_4, images_8, and masks beside them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from maskfield.core.errors import SceneError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}
_FACTORS = ("images_8", "images_4", "images_2", "images")
_LONG_SIDE = 480  # a reduced copy is good enough from here on


def list_images(folder: Path) -> list[Path]:
    """Image files of one folder, by name.

    Raises:
        SceneError: none there.
    """
    found = sorted(
        p
        for p in (folder.iterdir() if folder.is_dir() else ())
        if p.suffix.lower() in _SUFFIXES and not p.name.startswith(".")
    )
    if not found:
        raise SceneError(
            "the folder holds no images", file=folder, remedy="give a folder with the photographs"
        )
    return found


def image_folder(root: Path, chosen: str | None) -> Path:
    """The image folder of a capture: the chosen one, else the smallest copy of useful size.

    Raises:
        SceneError: no such folder.
    """
    names = [chosen] if chosen else [n for n in _FACTORS if _has_images(root / n)]
    if not names or not (root / names[0]).is_dir():
        raise SceneError(
            "the capture has no image folder",
            file=root,
            field="images",
            value=chosen,
            remedy=f"put the photographs in one of {', '.join(_FACTORS)}, or name it (--images)",
        )
    useful = (n for n in names if chosen or _long_side(root / n) >= _LONG_SIDE)
    return root / next(useful, names[-1])


def mask_for(root: Path, image: Path) -> Path | None:
    """``masks/NAME.png`` (or NAME.jpg.png, COLMAP's spelling) if it exists."""
    for name in (f"{image.stem}.png", f"{image.name}.png", image.name):
        candidate = root / "masks" / name
        if candidate.is_file():
            return candidate
    return None


def _has_images(folder: Path) -> bool:
    return folder.is_dir() and any(p.suffix.lower() in _SUFFIXES for p in folder.rglob("*"))


def _long_side(folder: Path) -> int:
    first = min(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
    try:
        with Image.open(first) as image:
            return max(image.size)
    except (OSError, UnidentifiedImageError):
        return 0

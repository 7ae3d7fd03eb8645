"""Semantic classes of procedural rooms: furniture, then what hangs or lies flat, then structure."""

from __future__ import annotations

FURNITURE = (
    "bed",
    "sofa",
    "armchair",
    "chair",
    "table",
    "desk",
    "wardrobe",
    "bookshelf",
    "nightstand",
    "cabinet",
    "tv stand",
    "lamp",
    "plant",
    "stool",
    "bathtub",
)
DECOR = ("rug", "picture")
STRUCTURE = ("wall", "floor", "ceiling", "door", "window")

CLASS_NAMES: tuple[str, ...] = ("void", *FURNITURE, *DECOR, *STRUCTURE)
CLASS_ID: dict[str, int] = {name: i for i, name in enumerate(CLASS_NAMES)}

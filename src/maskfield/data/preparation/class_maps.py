"""Class ids of the source data sets, and how they become the contiguous ids of a LabelGrid.

A source writes raw ids; a table takes them to categories (NYU-like ids with gaps); a network wants
0, 1, 2, ... . The release of NeRF-MAE does not contain its own re-numbering, so ours is: the rank
of the category among the categories listed, void first. The list is stored beside the labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath, read_json, write_json

FORMAT_VERSION = 1
VOID = 0

# category id: name, raw ids of the class maps (spec nerf_mae 8.4)
_FRONT3D: dict[int, tuple[str, tuple[int, ...]]] = {
    0: ("void", (0,)),
    1: ("wall", (40, 49, 75, 93, 95)),
    2: ("floor", (27, 51)),
    3: ("cabinet", (2, 6, 22, 23, 28, 48, 55, 56, 65, 69, 84)),
    4: ("bed", (17, 20, 67, 70, 87, 88)),
    5: ("chair", (14, 16, 25, 35, 50, 71, 78, 83, 94)),
    6: ("sofa", (9, 10, 18, 46, 89, 96)),
    7: ("table", (3, 12, 36, 68, 72, 80)),
    8: ("door", (98,)),
    9: ("window", (44, 58)),
    10: ("bookcase", (91,)),
    12: ("kitchen cabinet", (47,)),
    14: ("desk", (81,)),
    15: ("shelf", (74,)),
    19: ("mirror", (92,)),
    22: ("ceiling", (1, 30, 37, 52)),
    32: ("nightstand", (76,)),
    34: ("basin", (41,)),
    35: ("lighting", (8, 19, 32, 33)),
    36: ("bath", (42,)),
    37: ("pocket", (21,)),
    38: (
        "building element",
        (4, 5, 7, 13, 15, 24, 34, 39, 53, 54, 60, 63, 64, 79, 82, 85, 86, 90, 97),
    ),
    39: ("others", (11, 29, 31, 38, 43, 45, 57, 59, 62, 66, 77)),
    40: ("accessory", (26, 61, 73)),
}
NYU40: tuple[str, ...] = (
    *("void", "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window"),
    *("bookshelf", "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser"),
    *("pillow", "mirror", "floor mat", "clothes", "ceiling", "books", "refrigerator"),
    *("television", "paper", "towel", "shower curtain", "box", "whiteboard", "person"),
    *("night stand", "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure"),
    *("otherfurniture", "otherprop"),
)


@dataclass(frozen=True, kw_only=True)
class ClassMap:
    """Raw ids -> categories -> contiguous ids.

    Attributes:
        categories: category ids that have a contiguous id, ascending, void (0) first; the
            contiguous id of a category is its place here.
        names: their names, in the same order.
        raw: category of every raw id that may occur; categories not listed become void.
    """

    categories: tuple[int, ...]
    names: tuple[str, ...]
    raw: dict[int, int]

    def contiguous(self, ids: Int[Tensor, "*n"], file: StrPath | None = None) -> Int[Tensor, "*n"]:
        """Contiguous ids of raw ids.

        Raises:
            DataError: a raw id that is not in the class list.
        """
        rank = {category: i for i, category in enumerate(self.categories)}
        table = torch.full((max(self.raw) + 1,), -1, dtype=torch.long)
        for raw, category in self.raw.items():
            table[raw] = rank.get(category, VOID)
        known = (ids >= 0) & (ids < len(table))
        found = torch.where(known, table[torch.where(known, ids, 0).long()], -1)
        if (found < 0).any():
            raise DataError(
                "a class id is not in the class list",
                file=file,
                field="class ids",
                value=ids[found < 0].unique().tolist(),
                remedy=f"known are {_ranges(self.raw)}; give the class map the labels were made "
                "with (--classes)",
            )
        return found

    def among(self, raw_ids: Iterable[int]) -> ClassMap:
        """The map whose list is void and the categories of ``raw_ids`` only."""
        present = {self.raw[i] for i in raw_ids if i in self.raw} | {VOID}
        kept = [i for i, category in enumerate(self.categories) if category in present]
        return replace(
            self,
            categories=tuple(self.categories[i] for i in kept),
            names=tuple(self.names[i] for i in kept),
        )


def front3d_classes() -> ClassMap:
    """The raw ids of 3D-FRONT's class maps, their 24 categories."""
    return ClassMap(
        categories=tuple(_FRONT3D),
        names=tuple(name for name, _ in _FRONT3D.values()),
        raw={raw: category for category, (_, ids) in _FRONT3D.items() for raw in ids},
    )


def nyu40_classes() -> ClassMap:
    """NYU40 ids (ScanNet, Hypersim, HM3D through the Matterport mapping), void first."""
    ids = tuple(range(len(NYU40)))
    return ClassMap(categories=ids, names=NYU40, raw={i: i for i in ids})


def named_classes(names: Iterable[str]) -> ClassMap:
    """A map for data sets whose classes are words: sorted, void first; raw ids are the ranks."""
    ordered = ("void", *sorted(set(names) - {"void"}))
    ids = tuple(range(len(ordered)))
    return ClassMap(categories=ids, names=ordered, raw={i: i for i in ids})


def save_classes(classes: ClassMap, path: StrPath) -> Path:
    """Write a class map as JSON."""
    raw = {str(k): v for k, v in sorted(classes.raw.items())}
    write_json(
        path,
        {
            "format_version": FORMAT_VERSION,
            "categories": list(classes.categories),
            "names": list(classes.names),
            "raw": raw,
        },
    )
    return Path(path)


def load_classes(path: StrPath) -> ClassMap:
    """Read a class map.

    Raises:
        DataError: missing, another format version, or ids and names that do not agree.
    """
    value = read_json(path)
    try:
        found = _from_json(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"not a class map of this format version: {error!r}",
            file=path,
            remedy="give a label_map.json that `maskfield data prepare` wrote",
        ) from error
    ordered = list(found.categories) == sorted(set(found.categories))
    if not ordered or found.categories[:1] != (VOID,) or len(found.names) != len(found.categories):
        raise DataError(
            "the categories must ascend from void (0), each with a name",
            file=path,
            field="categories, names",
            value=(found.categories, found.names),
            remedy="repair the file, or prepare the data again",
        )
    return found


def class_map(name: str) -> ClassMap:
    """ "front3d", "nyu40", or the path of a class map.

    Raises:
        DataError: neither.
    """
    built_in = {"front3d": front3d_classes, "nyu40": nyu40_classes}
    return built_in[name]() if name in built_in else load_classes(name)


def _from_json(value: Any) -> ClassMap:
    if value["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format_version {value['format_version']}")
    raw = {int(k): int(v) for k, v in value["raw"].items()}
    if not raw or min(raw) < 0:
        raise ValueError("raw ids start at 0")
    return ClassMap(
        categories=tuple(int(c) for c in value["categories"]),
        names=tuple(str(n) for n in value["names"]),
        raw=raw,
    )


def _ranges(raw: dict[int, int]) -> str:
    """Sorted ids as words: 0 to 98, 120."""
    ids = sorted(raw)
    starts = [i for i in ids if i - 1 not in raw]
    ends = [i for i in ids if i + 1 not in raw]
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True))

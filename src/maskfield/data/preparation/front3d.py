"""3D-FRONT as NeRF-RPN and NeRF-MAE use it (specs nerf_rpn 2.3, nerf_mae 8.2 and 8.4).

SOURCE/SCENE/train/transforms.json with ``room_bbox`` and ``bounding_boxes``; N.hdf5 frames below
the scene, when there are any, tell which classes occur.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from maskfield.core.errors import DataError
from maskfield.data.preparation.box_tables import LABEL, Sieve, box_tables
from maskfield.data.preparation.capture_scenes import (
    capture_folders,
    capture_frame,
    captured_scene,
    read_capture,
)
from maskfield.data.preparation.class_maps import ClassMap, front3d_classes
from maskfield.data.preparation.hdf5_frames import CLASSES, has_frames, list_frames, read_array
from maskfield.data.preparation.label_filters import excluded_labels, is_one_of
from maskfield.data.preparation.layout import (
    LeftOut,
    PreparedScene,
    features_of,
    prepare_scenes,
)
from maskfield.data.preparation.ngp_boxes import EXCLUDED_NYU40
from maskfield.data.preparation.options import PrepareOptions
from maskfield.data.preparation.report import PreparedReport

MIN_SIZE = 2.0
UNNAMED = "object"


def prepare(source: Path, out: Path, options: PrepareOptions) -> PreparedReport:
    """Prepare 3D-FRONT scenes; see :func:`maskfield.api.data_prepare`."""
    classes = front3d_classes()
    names = dict(zip(classes.categories, classes.names, strict=True))
    excluded = excluded_labels(options, (names[i] for i in EXCLUDED_NYU40 if i in names))
    present: set[int] = set()

    def one(name: str, folder: Path) -> PreparedScene:
        capture = read_capture(folder, every=options.every)
        frame = capture_frame(capture, features_of(name, source, out, options), options.longest)
        labels = [_label(v, names, i, folder) for i, v in enumerate(capture.labels)]
        sieve = Sieve(len(labels))
        sieve.drop(is_one_of(labels, excluded), LABEL)
        least = MIN_SIZE if options.min_size is None else options.min_size
        tables = box_tables(capture.boxes, labels, frame, sieve, min_size=least)
        if not len(tables.obb):
            raise LeftOut("no box is left")
        present.update(_raw_classes(folder, classes))
        return captured_scene(name, capture, tables, frame)

    def used(_: Iterable[str]) -> ClassMap:
        return classes.among(present) if present else classes

    return prepare_scenes("front3d", capture_folders(source), out, options, one, used)


def _label(value: Any, names: dict[int, str], row: int, folder: Path) -> str:
    """Name of a box's label: a word as it is, a category id by the class table."""
    if value is None:
        return UNNAMED
    if isinstance(value, str):
        return value
    if not isinstance(value, int) or value not in names:
        raise DataError(
            "the label of a box is not in the class list",
            file=folder,
            field=f"bounding_boxes[{row}].label",
            value=value,
            remedy=f"known ids are {sorted(names)}; words are taken as they are",
        )
    return names[value]


def _raw_classes(folder: Path, classes: ClassMap) -> set[int]:
    """Raw class ids that the scene's HDF5 frames show; none without such frames."""
    if not has_frames(folder):
        return set()
    found: set[int] = set()
    for frame in list_frames(folder).values():
        found |= set(np.unique(read_array(frame.classes[0], CLASSES)).tolist())
    unknown = sorted(found - set(classes.raw))
    if unknown:
        raise DataError(
            "a class id is not in the class list",
            file=folder,
            field=CLASSES,
            value=unknown,
            remedy="the class maps are not 3D-FRONT's; 3D-FRONT's raw ids are 0 to 98",
        )
    return found

"""Objects for image-conditioned fields: which data set, views, rays. Torch-free."""

from __future__ import annotations

from typing import Literal

from maskfield.core.config import config
from maskfield.core.errors import ConfigError

ObjectFormat = Literal["auto", "srn", "dvr", "dvr_gen", "dvr_dtu", "multi_obj", "scenes"]
PROCEDURAL_COUNTS = (256, 16)  # training and held-out objects of a procedural world, by default


@config
class ObjectDataConfig:
    """Many objects, each seen in many posed images.

    Attributes:
        path: ``synthetic:objects-v1``, or a folder in the layout ``format`` names.
        format: "srn" (PATH_train, PATH_val, PATH_test), "dvr" and "dvr_gen" (NMR ShapeNet: one
            folder per category with ``softras_*.lst`` or ``gen_*.lst``), "dvr_dtu" (``rs_dtu_4``),
            "multi_obj" (train, val, test with transforms.json), "scenes" (a folder of scene folders
            or captures, or a single one); "auto" looks at the files.
        image_size: height in pixels to which images are reduced, width in proportion; None keeps
            theirs. Of procedural objects: the height and width they are made in (None: 64).
        batch_size: objects per step, over all processes.
        rays: rays per object and step.
        source_views: numbers of source views; the task draws one of them for each batch.
        train_count, validation_count: objects used at most; None: all (procedural: 256 and 16).
        views: views made of each procedural object.
        held_out: the part of the data that validates: "val", or "test" for the final figures.
        boxes: draw rays inside the objects' bounding boxes where their masks are known.
        colour_jitter: vary hue, saturation, contrast and brightness of each object in training.
        official_centres: add half a pixel to the principal points. The official code takes a
            pixel's index for its image position: so weights trained by it see the objects.
        workers: loader processes; 0 reads in the training process.
        cache: where decoded objects are kept between runs; None: the user's cache folder.
    """

    path: str = "synthetic:objects-v1"
    format: ObjectFormat = "auto"
    image_size: int | None = None
    batch_size: int = 4
    rays: int = 128
    source_views: tuple[int, ...] = (1,)
    train_count: int | None = None
    validation_count: int | None = None
    views: int = 24
    held_out: Literal["val", "test"] = "val"
    boxes: bool = True
    colour_jitter: bool = False
    official_centres: bool = False
    workers: int = 0
    cache: str | None = None

    def __post_init__(self) -> None:
        for name in ("image_size", "batch_size", "rays", "train_count", "validation_count"):
            value = getattr(self, name)
            _require(name, value, value is None or value >= 1, "give 1 or more")
        good = bool(self.source_views) and min(self.source_views) >= 1
        _require("source_views", self.source_views, good, "give one or more numbers, each >= 1")
        _require("workers", self.workers, self.workers >= 0, "give 0 or more")
        least = max(self.source_views)
        _require("views", self.views, self.views >= least, f"source_views asks for {least}")

    @property
    def synthetic(self) -> str | None:
        """Name of the procedural world (``objects-v1``), or None for data on disk."""
        head, _, name = self.path.partition(":")
        return name if head == "synthetic" else None

    @property
    def counts(self) -> tuple[int | None, int | None]:
        """Training and held-out objects wanted; None: as many as there are."""
        if self.synthetic is None:
            return self.train_count, self.validation_count
        train, validation = PROCEDURAL_COUNTS
        return self.train_count or train, self.validation_count or validation


def _require(name: str, value: object, good: bool, remedy: str) -> None:
    if not good:
        raise ConfigError("a data option is out of range", field=name, value=value, remedy=remedy)

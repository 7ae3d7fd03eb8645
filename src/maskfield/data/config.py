"""Where training data come from. Torch-free: `--help` and config files need no tensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maskfield.core.config import config
from maskfield.core.errors import ConfigError

if TYPE_CHECKING:
    from maskfield.data.scene import Scene

SceneFormat = Literal[
    "auto", "scene", "transforms_json", "nerf_synthetic", "llff", "colmap", "rgbd"
]
MixedSizes = Literal["error", "crop"]
DensityRule = Literal["auto", "exp", "relu", "alpha"]
BoxKind = Literal["obb", "aabb"]


@config
class GridDataConfig:
    """Radiance grids, alone (masked pre-training) or with boxes, labels or finer grids.

    What a grid is paired with lies beside it: ``boxes/NAME.json`` or ``obb|aabb/NAME.npy``,
    ``labels/NAME.safetensors`` or ``LABELS/NAME.npy``, ``FINER/NAME.npz`` (see labelled_grids).

    Attributes:
        path: ``synthetic:rooms-v1``, a grid store, a folder of ``.safetensors`` grids, a folder
            with the official ``features/*.npz``, or a ``general`` CSV.
        resolution: longest side R that grids are padded (or cropped) to, in voxels.
        batch_size: grids per step, over all processes.
        workers: loader processes; 0 reads in the training process.
        flip_prob, rotate_prob: probabilities of mirroring x, y and of a quarter turn about z.
        rot_scale_prob: probability of a free turn (10 degrees) and scaling (10 %); only with
            oriented boxes.
        percent_train: fraction of the training names kept, from the first: 10 % lie within 25 %.
        split_file: npz with train_scenes / val_scenes / test_scenes; None looks for
            ``*_split.npz``, else every ``holdout``-th grid validates.
        holdout: hold-out stride when there is no split file.
        held_out: the part of the split that validates: "val", or "test" for the final figures.
        density: how stored density becomes alpha; "auto" reads the header or looks at the values.
        train_count, validation_count: how many procedural rooms ``synthetic:`` makes.
        cache: where procedural grids are kept between runs; None: the user's cache folder.
        boxes: oriented or axis-aligned boxes.
        keep_labels: class ids of the boxes to be found; None: all (of procedural rooms: furniture).
        label_folder, finer_folder: official folders with label grids and with finer grids.
    """

    path: str = "synthetic:rooms-v1"
    resolution: int = 160
    batch_size: int = 8
    workers: int = 0
    flip_prob: float = 0.5
    rotate_prob: float = 0.5
    rot_scale_prob: float = 0.5
    percent_train: float = 1.0
    split_file: str | None = None
    holdout: int = 10
    held_out: Literal["val", "test"] = "val"
    density: DensityRule = "auto"
    train_count: int = 256
    validation_count: int = 16
    cache: str | None = None
    boxes: BoxKind = "obb"
    keep_labels: tuple[int, ...] | None = None
    label_folder: str = "voxel"
    finer_folder: str = "features_256"

    def __post_init__(self) -> None:
        for name in ("resolution", "batch_size", "train_count", "validation_count"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "give 1 or more")
        for name in ("flip_prob", "rotate_prob", "rot_scale_prob"):
            value = getattr(self, name)
            _require(name, value, 0.0 <= value <= 1.0, "give a probability in [0, 1]")
        fraction = self.percent_train
        _require("percent_train", fraction, 0.0 < fraction <= 1.0, "give a fraction in (0, 1]")
        _require("workers", self.workers, self.workers >= 0, "give 0 or more")
        _require("holdout", self.holdout, self.holdout >= 2, "give 2 or more")

    @property
    def synthetic(self) -> str | None:
        """Name of the procedural world (``rooms-v1``), or None for data on disk."""
        head, _, name = self.path.partition(":")
        return name if head == "synthetic" else None


@config
class SceneDataConfig:
    """Posed photographs of one place.

    Attributes:
        path: a scene folder, any capture a reader knows, or ``synthetic:rooms-v1:SEED``.
        format: which reader; "auto" looks at the files.
        holdout: every n-th image becomes the test split where the source has none; 0 = none.
        downscale: integer factor by which images are reduced with an exact area mean.
        mixed_sizes: "error", or "crop" right and bottom to the common size (intrinsics stay exact).
        images: name of the image folder (COLMAP, LLFF); None chooses.
        first_seed: seed of the procedural room when ``path`` gives none.
        views, width, height: size of the procedural capture.
    """

    path: str = "synthetic:rooms-v1"
    format: SceneFormat = "auto"
    holdout: int = 8
    downscale: int = 1
    mixed_sizes: MixedSizes = "error"
    images: str | None = None
    first_seed: int = 0
    views: int = 100
    width: int = 160
    height: int = 120

    def __post_init__(self) -> None:
        _require("holdout", self.holdout, self.holdout == 0 or self.holdout >= 2, "give 0 or >= 2")
        _require("first_seed", self.first_seed, self.first_seed >= 0, "give 0 or more")
        for name in ("downscale", "views", "width", "height"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "give 1 or more")

    @property
    def synthetic(self) -> str | None:
        """Name of the procedural world, or None for data on disk."""
        head, _, name = self.path.partition(":")
        return name.partition(":")[0] if head == "synthetic" else None

    @property
    def seed(self) -> int:
        """Seed of the procedural room: the third part of ``path``, else ``first_seed``."""
        parts = self.path.split(":")
        if len(parts) < 3:
            return self.first_seed
        _require("path", self.path, parts[2].isdecimal(), "write synthetic:rooms-v1:SEED")
        return int(parts[2])

    def build(self) -> Scene:
        """Read (or make) the scene.

        Raises:
            SceneError: the capture cannot be used. ConfigError: an unknown procedural world.
        """
        if self.synthetic is None:
            from maskfield.data.readers.detect import read_any

            return read_any(
                Path(self.path),
                format=self.format,
                holdout=self.holdout,
                downscale=self.downscale,
                mixed_sizes=self.mixed_sizes,
                images=self.images,
            )
        _require("path", self.path, self.synthetic == "rooms-v1", "the known world is rooms-v1")
        from maskfield.data.scene import with_split
        from maskfield.data.synthetic.rooms import room_scene

        scene = room_scene(self.seed, views=self.views, width=self.width, height=self.height)
        return with_split(scene, self.holdout)


def _require(name: str, value: object, good: bool, remedy: str) -> None:
    if not good:
        raise ConfigError("a data option is out of range", field=name, value=value, remedy=remedy)

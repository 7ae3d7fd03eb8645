"""The NeRF "Blender" data sets: transforms_{train,val,test}.json and RGBA images.

Z-up world, OpenGL axes, object within [-1.5, 1.5]^3, cameras 4 units away (near 2, far 6). The
world is kept as it is. Alpha is straight and becomes ``Scene.opacity``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from maskfield.core.errors import SceneError
from maskfield.core.files import StrPath, read_json
from maskfield.data.readers.capture import Frame, load_frames, to_scene
from maskfield.data.readers.options import DEFAULT, ReadOptions
from maskfield.data.readers.transforms_json import read_frames
from maskfield.data.scene import Scene

_SPLITS = ("train", "val", "test")
_HALF_SIDE = 1.5
_NEAR, _FAR = 2.0, 6.0


def read(path: StrPath, options: ReadOptions = DEFAULT) -> Scene:
    """Read a folder with transforms_train.json (val and test may be absent).

    Raises:
        SceneError: no transforms_train.json, missing or damaged images, bad poses.
    """
    folder = Path(path)
    frames, split = _all_frames(folder)
    loaded = load_frames(frames, options, file=str(folder))
    box = torch.tensor([[-_HALF_SIDE] * 3, [_HALF_SIDE] * 3])
    official = split if len(split["val"]) + len(split["test"]) else None
    scene = to_scene(
        loaded,
        box,
        torch.eye(4, dtype=torch.float64),
        file=str(folder),
        holdout=options.holdout,
        split=official,
    )
    return replace(scene, near=_NEAR, far=_FAR, up_known=True)


def _all_frames(folder: Path) -> tuple[list[Frame], dict[str, tuple[int, ...]]]:
    frames: list[Frame] = []
    split: dict[str, tuple[int, ...]] = {}
    for name in _SPLITS:
        file = folder / f"transforms_{name}.json"
        found = read_frames(file, read_json(file)) if file.is_file() else []
        split[name] = tuple(range(len(frames), len(frames) + len(found)))
        frames += found
    if not split["train"]:
        raise SceneError(
            "no training cameras",
            file=folder / "transforms_train.json",
            remedy="give a folder in the NeRF-synthetic layout",
        )
    return frames, split

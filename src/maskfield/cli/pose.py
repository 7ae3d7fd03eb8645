"""``maskfield pose``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro


def pose(
    field: tyro.conf.Positional[Path],
    photo: tyro.conf.Positional[Path],
    camera: Annotated[str | None, tyro.conf.arg(metavar="FX,FY,CX,CY|JSON")] = None,
    init: Annotated[Path | None, tyro.conf.arg(metavar="POSE.json")] = None,
    search: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    track: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    scene: Path | None = None,
    data: str | None = None,
    split: str = "test",
    object: str = "0",  # noqa: A002
    sources: tuple[int, ...] = (),
    mask: Path | None = None,
    out: Path | None = None,
    by: Literal["auto", "lm", "adam"] = "auto",
    steps: int = 300,
    pixels: int = 512,
    sampling: Literal["regions", "random", "points", "center", "patch"] = "regions",
    near: float | None = None,
    far: float | None = None,
    film: bool = True,
    seed: int = 0,
    compat: Literal["maskfield", "official"] = "maskfield",
) -> None:
    """Find the camera of a photograph by making a field look like it (iNeRF).

    Args:
        field: run folder of `fit`; a NeRF: ours, or a nerf-pytorch checkpoint; or a pixelNeRF.
        photo: an 8-bit RGB photograph; with --track a folder of consecutive frames.
        camera: intrinsics in pixels; the scene's unless given.
        init: start pose: what this verb wrote, or a 3 x 4 or 4 x 4 matrix (OpenCV axes).
        search: poses that a global search weighs; 200 where neither this nor --init is given.
        track: each frame starts from the pose of the last.
        scene: what the field was fitted to, when it has moved, or for its intrinsics.
        data: objects for a pixelNeRF; those of its training unless given.
        split: of the objects.
        object: the object that the photograph shows: its name, or its number in the split.
        sources: the views of it that the pixelNeRF is shown; the first unless given.
        mask: a picture, white where the photograph counts.
        out: folder for the answer; runs/pose-PHOTO unless given.
        by: lm (Levenberg-Marquardt), adam (the paper's search), or auto.
        steps: of Adam.
        pixels: per step of Adam.
        sampling: how Adam's pixels are chosen.
        near: of a NeRF or pixelNeRF, scene units.
        far: of a NeRF or pixelNeRF, scene units.
        film: also write a film of the search.
        seed: of every random draw.
        compat: official: the original notebook's loop as it is, for a pixelNeRF with --init.
    """
    from maskfield import api

    answer = api.pose(
        field,
        photo,
        camera=camera,
        init=init,
        search=search,
        track=track,
        scene=scene,
        data=data,
        split=split,
        object=object,
        sources=sources,
        mask=mask,
        out=out,
        by=by,
        steps=steps,
        pixels=pixels,
        sampling=sampling,
        near=near,
        far=far,
        film=film,
        seed=seed,
        compat=compat,
    )
    for file, found in zip(answer.photos, answer.estimates, strict=True):
        x, y, z = found.camera_to_world[:, 3].tolist()
        print(f"{file.name}: {found.verdict}; centre {x:.3f} {y:.3f} {z:.3f}; {found.reason}")
    print(f"report: {answer.folder / 'report.html'}")

"""``maskfield render``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from maskfield.cli.options import Device


def render(
    field: tyro.conf.Positional[Path],
    out: Path | None = None,
    path: Literal["test", "train", "tour", "orbit", "spiral", "dtu"] = "orbit",
    frames: int = 60,
    elevation: float | None = None,
    radius: float | None = None,
    video: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    fps: int = 24,
    scale: float = 1.0,
    mesh: Literal["obj", "ply"] | None = None,
    mesh_nodes: int = 128,
    mesh_level: float | None = None,
    scene: Path | None = None,
    data: str | None = None,
    split: Literal["train", "val", "test"] = "test",
    object: str = "0",  # noqa: A002
    sources: tuple[int, ...] = (),
    seed: int = 0,
    photo: Path | None = None,
    focal: float = 131.25,
    near: float = 0.8,
    far: float = 1.8,
    memory_mb: float = 512,
    device: Device = "auto",
) -> None:
    """Pictures of a field, or of a model that is shown a few images, along a camera path.

    Args:
        field: the run folder of `fit`, a NeRF, or an image-conditioned model (a run of
            `pretrain pixelnerf:SIZE`, weights, pixel_nerf_latest).
        out: folder for the pictures; renders/PATH in the run folder unless given (of a model
            renders/OBJECT/PATH).
        path: the held-out cameras, the training cameras, a smooth tour through the training
            cameras, an orbit, a forward-facing spiral, or pixelNeRF's way round a DTU table.
        frames: pictures along a path that may have any number.
        elevation: of an orbit, degrees above the ground; that of the cameras unless given.
        radius: of an orbit, scene units; that of the cameras unless given. Also the distance from
            which a photograph was taken (1.3 unless given).
        video: also write a film (.mp4 with the extra `video`, else .gif).
        fps: pictures per second of the film.
        scale: size of the pictures relative to the photographs.
        mesh: also write the surface with its colours (extra `image`).
        mesh_nodes: of the mesh's lattice, along its longest side.
        mesh_level: density of the surface; unless given, what stops half the light in one step of
            the lattice. Less for soft fields.
        scene: the scene a field was fitted to, when it has moved since.
        data: objects for a model: a data set, a folder of scenes, or synthetic:objects-v1; those
            of its training unless given.
        split: part of the objects.
        object: which of them: its name, or its number.
        sources: the views a model is shown; the first unless given, -1 for one at random.
        seed: draws that view.
        photo: show a model this photograph (see `data normalize-photo`) instead of an object.
        focal: of the photograph, pixels of a picture 128 wide.
        near: distance along rays before which nothing of the photographed object lies.
        far: distance behind which nothing of it lies.
        memory_mb: working memory of a model's rendering; less is slower.
    """
    from maskfield import api

    written = api.render(
        field,
        out=out,
        path=path,
        frames=frames,
        elevation=elevation,
        radius=radius,
        video=video,
        fps=fps,
        scale=scale,
        mesh=mesh,
        mesh_nodes=mesh_nodes,
        mesh_level=mesh_level,
        scene=scene,
        data=data,
        split=split,
        object=object,
        sources=sources,
        seed=seed,
        photo=photo,
        focal=focal,
        near=near,
        far=far,
        memory_mb=memory_mb,
        device=device,
    )
    print(f"wrote: {len(written)} files in {written[0].parent}")
    if video:
        print(f"film:  {written[-1]}")

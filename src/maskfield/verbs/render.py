"""Pictures of a field or an image-conditioned model along a camera path, a film, a mesh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maskfield.core.errors import ConfigError
from maskfield.verbs.conditioned import is_conditioned
from maskfield.verbs.conditions import Conditions, refuse_conditions, refuse_scene

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.scene import Scene
    from maskfield.figures.pictures import Picture
    from maskfield.geometry.cameras import Cameras
    from maskfield.verbs.subjects import Subject

CameraPath = Literal["test", "train", "tour", "orbit", "spiral", "dtu"]
MeshKind = Literal["obj", "ply"]


@dataclass(frozen=True, kw_only=True)
class Shots:
    """Which cameras, and what is made of their pictures.

    Attributes:
        frames: of a path that has any number. elevation, radius: of an orbit, degrees above the
            ground and scene units; those of the scene's cameras unless given.
        scale: of the pictures' size.
        mesh: also write the surface, of what suffix. mesh_nodes: of its lattice's longest side.
        mesh_level: density of the surface, 1 / scene unit; see ``fields.mesh.field_mesh``.
    """

    path: CameraPath = "orbit"
    frames: int = 60
    elevation: float | None = None
    radius: float | None = None
    scale: float = 1.0
    video: bool = False
    fps: int = 24
    mesh: MeshKind | None = None
    mesh_nodes: int = 128
    mesh_level: float | None = None

    def __post_init__(self) -> None:
        _require("frames", self.frames, self.frames >= 1, "give 1 or more")
        _require("fps", self.fps, self.fps >= 1, "give 1 or more")
        _require("scale", self.scale, 0 < self.scale <= 8, "give a factor above 0 and at most 8")
        low = self.elevation is None or abs(self.elevation) < 90
        _require("elevation", self.elevation, low, "give degrees between -90 and 90")
        far = self.radius is None or self.radius > 0
        _require("radius", self.radius, far, "give a distance above 0")
        few = 8 <= self.mesh_nodes <= 1024
        _require("mesh_nodes", self.mesh_nodes, few, "give 8 to 1024")


def render_shots(
    path: Path,
    shots: Shots,
    *,
    out: StrPath | None,
    scene: StrPath | None,
    conditions: Conditions,
    device: str,
    memory_mb: float,
) -> list[Path]:
    """See :func:`maskfield.api.render`."""
    from maskfield.fields.mesh import require_skimage
    from maskfield.figures.video import best_suffix
    from maskfield.verbs.subjects import conditioned_subject, fitted_subject

    if shots.mesh is not None:
        require_skimage()
    if is_conditioned(path):
        refuse_scene(scene)
        subject = conditioned_subject(path, conditions, device=device, memory_mb=memory_mb)
    else:
        refuse_conditions(conditions)
        subject = fitted_subject(path, scene)
    cameras = shot_cameras(subject.scene, shots)
    folder = Path(out) if out is not None else subject.folder / shots.path
    film = folder / f"{shots.path}{best_suffix()}" if shots.video else None
    first = _sources(subject, folder)
    pictures = _write(_pictures(subject, cameras, shots.path), folder, film, len(cameras), shots)
    return [*first, *_mesh(subject, folder, shots), *pictures]


def shot_cameras(scene: Scene, shots: Shots) -> Cameras:
    """The cameras of a path through a scene, in the size asked for.

    Raises:
        SceneError: "test" or "train" of a scene without that split. ConfigError: unknown path.
    """
    cameras = path_cameras(scene, shots)
    size = [max(1, round(side * shots.scale)) for side in (cameras.width, cameras.height)]
    return cameras if shots.scale == 1 else cameras.resized(*size)


def path_cameras(scene: Scene, shots: Shots) -> Cameras:
    """The same in the size of the scene's own."""
    from dataclasses import replace

    from maskfield.geometry.camera_paths import dtu_film, spiral, tour

    path, frames = shots.path, shots.frames
    if path in ("test", "train"):
        return scene.cameras[list(scene.indices(path))]
    train = scene.cameras[list(scene.indices("train"))]
    if path == "tour":
        return tour(train, frames)
    if path == "orbit":
        return _orbit(train, scene, shots)
    if path == "dtu":
        lens = train.intrinsics[:1].expand(frames, 4).clone()
        poses = dtu_film(frames, shots.radius or 2.0)
        return replace(train, camera_to_world=poses, intrinsics=lens, distortion=None)
    _require("path", path, path == "spiral", "choose test, train, tour, orbit, spiral or dtu")
    return spiral(train, frames)


def _orbit(train: Cameras, scene: Scene, shots: Shots) -> Cameras:
    """As the cameras stand; where height or distance is given (or there is one camera only), about
    the middle of the box."""
    import math

    from maskfield.geometry.camera_paths import orbit, turn_table

    if shots.elevation is None and shots.radius is None and len(train) > 1:
        return orbit(train, scene.box, shots.frames)
    middle = scene.box.mean(0).to(train.centres)
    offset = train.centres - middle
    distance = offset.norm(dim=-1)
    steep = (offset[:, 2] / distance.clamp_min(1e-9)).clamp(-1, 1).asin().median()
    x, y, z = middle.tolist()
    return turn_table(
        train,
        shots.frames,
        radius=float(distance.median()) if shots.radius is None else shots.radius,
        elevation_degrees=(
            math.degrees(float(steep)) if shots.elevation is None else shots.elevation
        ),
        centre=(x, y, z),
    )


def _pictures(subject: Subject, cameras: Cameras, label: str) -> Iterator[Picture]:
    """Every camera's picture, rendered when it is asked for."""
    from maskfield.core.log import Progress
    from maskfield.figures.pictures import to_picture

    with Progress(len(cameras), f"render {label}") as progress:
        for index in range(len(cameras)):
            yield to_picture(subject.draw(cameras, index))
            progress.update(index + 1)


def _write(
    pictures: Iterator[Picture], folder: Path, film: Path | None, count: int, shots: Shots
) -> list[Path]:
    from maskfield.figures.pictures import save_picture
    from maskfield.figures.video import write_video

    written: list[Path] = []

    def saved() -> Iterator[Picture]:
        for index, picture in enumerate(pictures):
            path = folder / f"{index:0{max(3, len(str(count)))}d}.png"
            save_picture(picture, path)
            written.append(path)
            yield picture

    if film is None:
        for _ in saved():
            continue
        return written
    made = write_video(saved(), film, fps=shots.fps)
    return [*written, made]


def _sources(subject: Subject, folder: Path) -> list[Path]:
    """``sources.png``: what the model is shown."""
    from maskfield.figures.pictures import save_picture

    if subject.sources is None:
        return []
    save_picture(subject.sources, folder / "sources.png")
    return [folder / "sources.png"]


def _mesh(subject: Subject, folder: Path, shots: Shots) -> list[Path]:
    from maskfield.fields.mesh import field_mesh
    from maskfield.fields.mesh_files import write_mesh

    if shots.mesh is None:
        return []
    mesh = field_mesh(
        subject.field, subject.scene.box, longest=shots.mesh_nodes, level=shots.mesh_level
    )
    return [write_mesh(mesh, folder / f"mesh.{shots.mesh}")]


def _require(name: str, value: object, good: bool, remedy: str) -> None:
    if not good:
        raise ConfigError("a render option is out of range", field=name, value=value, remedy=remedy)

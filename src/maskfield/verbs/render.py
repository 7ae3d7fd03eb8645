"""Pictures of a fitted field along a camera path, and a film."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maskfield.core.errors import ConfigError

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.scene import Scene
    from maskfield.figures.pictures import Picture
    from maskfield.geometry.cameras import Cameras

CameraPath = Literal["test", "train", "tour", "orbit", "spiral"]


def render_path(
    field: Path,
    *,
    out: StrPath | None,
    path: CameraPath,
    frames: int,
    video: bool,
    fps: int,
    scale: float,
    scene: StrPath | None,
) -> list[Path]:
    """See :func:`maskfield.api.render`."""
    from maskfield.fields.fit import load_field
    from maskfield.figures.video import best_suffix
    from maskfield.verbs.runs import scene_of_run

    _require("frames", frames, frames >= 1, "give 1 or more")
    _require("fps", fps, fps >= 1, "give 1 or more")
    _require("scale", scale, 0 < scale <= 8, "give a factor above 0 and at most 8")
    loaded, source = load_field(field), scene_of_run(field, scene)
    cameras = _scaled(path_cameras(source, path, frames), scale)
    folder = Path(out) if out is not None else _beside(field) / "renders" / path
    film = folder / f"{path}{best_suffix()}" if video else None
    return _write(_pictures(loaded, cameras, path), folder, film, len(cameras), fps)


def path_cameras(scene: Scene, path: CameraPath, frames: int) -> Cameras:
    """The cameras of a path through a scene.

    Raises:
        SceneError: "test" or "train" of a scene without that split. ConfigError: unknown path.
    """
    from maskfield.geometry.camera_paths import orbit, spiral, tour

    if path in ("test", "train"):
        return scene.cameras[list(scene.indices(path))]
    train = scene.cameras[list(scene.indices("train"))]
    if path == "tour":
        return tour(train, frames)
    if path == "orbit":
        return orbit(train, scene.box, frames)
    _require("path", path, path == "spiral", "choose test, train, tour, orbit or spiral")
    return spiral(train, frames)


def _pictures(field, cameras: Cameras, label: str) -> Iterator[Picture]:
    """Every camera's picture, rendered when it is asked for."""
    from maskfield.core.log import Progress
    from maskfield.fields.evaluate import field_image
    from maskfield.figures.pictures import to_picture

    with Progress(len(cameras), f"render {label}") as progress:
        for index in range(len(cameras)):
            yield to_picture(field_image(field, cameras, index).colour)
            progress.update(index + 1)


def _write(
    pictures: Iterator[Picture], folder: Path, film: Path | None, count: int, fps: int
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
    made = write_video(saved(), film, fps=fps)
    return [*written, made]


def _scaled(cameras: Cameras, scale: float) -> Cameras:
    size = (max(1, round(cameras.width * scale)), max(1, round(cameras.height * scale)))
    return cameras if scale == 1 else cameras.resized(*size)


def _beside(field: Path) -> Path:
    return field if field.is_dir() else field.parent


def _require(name: str, value: object, good: bool, remedy: str) -> None:
    if not good:
        raise ConfigError("a render option is out of range", field=name, value=value, remedy=remedy)

"""Finding the run a path belongs to, and the scene a field was fitted to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import SceneError

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.scene import Scene


def run_folder_of(path: Path) -> Path:
    """The run folder that a path names or lies in.

    Raises:
        DataError: none of the folders above it is a run.
    """
    from maskfield.core.runs import RunFolder

    for folder in (path, *path.resolve().parents):
        if (folder / "config.yaml").is_file():
            return folder
    return RunFolder.open(path).path


def scene_of_run(field: Path, scene: StrPath | None = None) -> Scene:
    """The scene a field was fitted to; ``scene`` says where it is now, when it has moved.

    Raises:
        DataError: not a run. SceneError: the scene is gone, or the run has none.
    """
    from maskfield.core.config import load_config
    from maskfield.data.config import SceneDataConfig

    if scene is not None:
        return SceneDataConfig(path=str(scene)).build()
    folder = run_folder_of(field)
    data = load_config(folder).data
    if not isinstance(data, SceneDataConfig):
        raise SceneError(
            "this run was not fitted to one scene",
            file=folder / "config.yaml",
            field="data",
            value=type(data).__name__,
            remedy="give the run folder of `maskfield fit`",
        )
    return data.build()

"""Films: .mp4 through PyAV (extra ``video``), .gif through Pillow."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from maskfield.core.errors import ConfigError, DataError, MissingPartError
from maskfield.core.files import StrPath, atomic_path

Frame = UInt8[np.ndarray, "height width 3"]


def write_video(frames: Iterable[Frame], path: StrPath, *, fps: int = 24) -> Path:
    """Write frames of one size as .mp4 (H.264) or .gif; frames may be a generator.

    Raises:
        MissingPartError: .mp4 without PyAV. ConfigError: another suffix.
        DataError: no frames, or frames of several sizes. StorageError: the folder is not writable.
    """
    path = Path(path)
    writers = {".mp4": _write_mp4, ".gif": _write_gif}
    if path.suffix not in writers:
        raise ConfigError(
            "unknown kind of video", field="path", value=path.name, remedy="end it in .mp4 or .gif"
        )
    if path.suffix == ".mp4":
        require_av()
    checked = _checked(frames)
    with atomic_path(path) as temporary:
        writers[path.suffix](checked, temporary, fps)
    return path


def best_suffix() -> str:
    """``.mp4`` where PyAV is installed, else ``.gif``."""
    return ".mp4" if importlib.util.find_spec("av") else ".gif"


def require_av() -> None:
    """Raises MissingPartError without PyAV."""
    if importlib.util.find_spec("av") is None:
        raise MissingPartError(
            "writing .mp4 needs PyAV, which is not installed",
            field="av",
            remedy="pip install 'maskfield[video]', or write a .gif",
        )


def _checked(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The same frames, after refusing none at all and mixed sizes."""
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise DataError("a film needs at least one frame", remedy="ask for one frame or more")
    for index, frame in enumerate(chain([first], source)):
        if frame.shape != first.shape or frame.dtype != np.uint8:
            raise DataError(
                "the frames of a film must be uint8 and of one size",
                field=f"frame {index}",
                value=(frame.shape, str(frame.dtype)),
                remedy=f"give {first.shape} uint8 like frame 0",
            )
        yield frame


def _write_mp4(frames: Iterator[Frame], path: Path, fps: int) -> None:
    import av

    first = next(frames)
    height, width = first.shape[0] // 2 * 2, first.shape[1] // 2 * 2  # H.264 wants even sizes
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in chain([first], frames):
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(frame[:height, :width]), format="rgb24"
            )
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _write_gif(frames: Iterator[Frame], path: Path, fps: int) -> None:
    first, *rest = (
        Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames
    )
    milliseconds = max(20, round(1000 / fps))
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0)

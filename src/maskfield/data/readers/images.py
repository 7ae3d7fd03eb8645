"""Photographs to uint8 arrays, decoded once, in threads; every file is checked before the work.

Order of operations: decode, turn (EXIF, only where the intrinsics ask for it), crop right and
bottom to the common size, reduce by an exact area mean. None of these moves a principal point other
than by the reduction factor.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from maskfield.core.errors import SceneError
from maskfield.data.readers.options import ReadOptions

_THREADS = 8
_HALF = 128  # a mask pixel counts from here on (JPEG masks ring)
_COLOUR_MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1", "I;16", "I;16L", "I;16B", "I")
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I")
_ORIENTATION = 0x0112
Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a file's header says: size after the turn (width, height), mode, and the turn."""

    size: Size
    mode: str
    turned: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Common crop (width, height) of all images and the reduction that follows."""

    crop: Size
    downscale: int

    @property
    def size(self) -> Size:
        """Final width and height."""
        return self.crop[0] // self.downscale, self.crop[1] // self.downscale


def require_files(paths: Sequence[Path]) -> None:
    """Refuse missing files before anything is decoded.

    Raises:
        SceneError: names the first missing file and counts the others.
    """
    missing = [p for p in paths if not p.is_file()]
    if missing:
        raise SceneError(
            f"{len(missing)} of {len(paths)} files of the capture are missing",
            file=missing[0],
            remedy="restore the files, or remove their frames from the description of the capture",
        )


def probe_images(paths: Sequence[Path], expected: Sequence[Size | None]) -> list[Probe]:
    """Read every header; ``expected`` is the size that a frame's intrinsics are for, if known.

    Raises:
        SceneError: a missing, unreadable or unsupported file.
    """
    require_files(paths)
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_probe, paths, expected))


def plan_sizes(
    paths: Sequence[Path], probes: Sequence[Probe], options: ReadOptions, file: str
) -> Plan:
    """The size all images come to.

    Raises:
        SceneError: sizes differ and ``mixed_sizes`` is "error", or the crop would lose over half.
    """
    sizes = np.array([p.size for p in probes])
    common = sizes.min(0)
    odd = int((sizes != sizes[0]).any(1).argmax())
    if odd and options.mixed_sizes == "error":
        raise SceneError(
            "the images have different sizes",
            file=paths[odd],
            field="width, height",
            value=f"{probes[odd].size}, but {paths[0].name} has {probes[0].size}",
            remedy="read with `--mixed-sizes crop` (cuts right and bottom to the common size), "
            "or resample the images with their intrinsics",
        )
    worst = int(sizes.prod(1).argmax())
    if common.prod() < 0.5 * sizes[worst].prod():
        raise SceneError(
            "the common size of the images is less than half of one of them",
            file=paths[worst],
            field="width, height",
            value=f"{probes[worst].size}, common {tuple(common.tolist())}",
            remedy="import portrait and landscape (or large and small) images separately",
        )
    d = options.downscale
    crop = (int(common[0]) // d * d, int(common[1]) // d * d)
    if min(crop) < 2 * d:
        raise SceneError(
            "the images are too small for this reduction",
            file=file,
            field="downscale",
            value=f"{tuple(common.tolist())} / {d}",
            remedy="use a smaller --downscale",
        )
    return Plan(crop=crop, downscale=d)


def decode_images(
    paths: Sequence[Path], probes: Sequence[Probe], plan: Plan
) -> tuple[UInt8[np.ndarray, "n h w 3"], UInt8[np.ndarray, "n h w"] | None]:
    """All images as straight colour, and their opacity where any file has one.

    Raises:
        SceneError: a truncated or damaged file.
    """
    width, height = plan.size
    colour = np.empty((len(paths), height, width, 3), np.uint8)
    opacity = np.empty((len(paths), height, width), np.uint8)

    def one(index: int) -> None:
        rgba = _decode_rgba(paths[index], probes[index])
        rgba = reduce_rgba(_crop(rgba, plan), plan.downscale)
        colour[index], opacity[index] = rgba[..., :3], rgba[..., 3]

    _in_threads(one, len(paths))
    return colour, None if bool((opacity == 255).all()) else opacity


def decode_masks(
    paths: Sequence[Path | None], probes: Sequence[Probe], plan: Plan
) -> UInt8[np.ndarray, "n h w"] | None:
    """Masks, 1 = pixel counts; a frame without one counts everywhere; None when no frame has one.

    A reduced pixel counts when all its source pixels do.
    """
    if not any(paths):
        return None
    width, height = plan.size
    masks = np.ones((len(paths), height, width), np.uint8)

    def one(index: int) -> None:
        path = paths[index]
        if path is not None:
            grey = _fitted(_open_array(path, "L"), probes[index])
            blocks = _blocks(_crop(grey, plan)[..., None], plan.downscale)
            masks[index] = blocks.min((1, 3))[..., 0] >= _HALF

    _in_threads(one, len(paths))
    return masks


def decode_depths(
    paths: Sequence[Path | None], probes: Sequence[Probe], plan: Plan, unit: float
) -> Float[np.ndarray, "n h w"] | None:
    """Depth along camera z: stored value times ``unit``; 0 = unknown.

    16-bit 65535, NaN, infinity and negative values are unknown. A reduced pixel takes the sample
    beside its middle: a mean would invent depths between foreground and background.
    """
    if not any(paths):
        return None
    width, height = plan.size
    depths = np.zeros((len(paths), height, width), np.float32)

    def one(index: int) -> None:
        path = paths[index]
        if path is not None:
            depth = _crop(_fitted(read_depth(path, unit), probes[index]), plan)
            middle = plan.downscale // 2
            depths[index] = depth[middle :: plan.downscale, middle :: plan.downscale]

    _in_threads(one, len(paths))
    return depths


def read_depth(path: Path, unit: float) -> Float[np.ndarray, "h w"]:
    """One depth map (16-bit PNG or float ``.npy``) times ``unit``; unknown values become 0.

    Raises:
        SceneError: a damaged file, or more than one channel.
    """
    if path.suffix == ".npy":
        raw = _load_npy(path).astype(np.float32).squeeze()
        invalid = ~np.isfinite(raw)
    else:
        stored = _open_array(path, None)
        invalid = stored == 65535
        raw = stored.astype(np.float32)
    if raw.ndim != 2:
        raise SceneError(
            "a depth map must have one channel",
            file=path,
            value=raw.shape,
            remedy="store depth as 16-bit greyscale PNG or [h, w] .npy",
        )
    return np.where(invalid | (raw < 0), np.float32(0), raw) * np.float32(unit)


def reduce_rgba(rgba: UInt8[np.ndarray, "h w 4"], d: int) -> UInt8[np.ndarray, "hd wd 4"]:
    """Area mean over d x d pixels; colour is averaged premultiplied, then divided by alpha."""
    if d == 1:
        return rgba
    blocks = _blocks(rgba, d).astype(np.float32)
    alpha = blocks[..., 3:]
    total = alpha.sum((1, 3))
    colour = (blocks[..., :3] * alpha).sum((1, 3)) / np.maximum(total, 1e-6)
    mean = np.concatenate([colour, total / (d * d)], axis=-1)
    return np.floor(mean + 0.5).clip(0, 255).astype(np.uint8)


def _probe(path: Path, expected: Size | None) -> Probe:
    try:
        with Image.open(path) as image:
            size, mode = image.size, image.mode
            orientation = image.getexif().get(_ORIENTATION, 1)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise _damaged(path, error) from error
    if mode not in _COLOUR_MODES:
        raise SceneError(
            f"images of mode {mode} are not read: their colours need a profile or a scale",
            file=path,
            field="mode",
            value=mode,
            remedy="convert the images to 8-bit RGB, RGBA or greyscale",
        )
    swapped = (size[1], size[0])
    turned = orientation >= 5 and _same_shape(expected, swapped) > _same_shape(expected, size)
    return Probe(size=swapped if turned else size, mode=mode, turned=turned)


def _same_shape(expected: Size | None, size: Size) -> bool:
    """Same aspect ratio up to rounding."""
    if expected is None:
        return False
    return abs(expected[0] * size[1] / (expected[1] * size[0]) - 1) < 0.02


def _decode_rgba(path: Path, probe: Probe) -> UInt8[np.ndarray, "h w 4"]:
    image = _open_image(path)
    if probe.turned:
        image = ImageOps.exif_transpose(image)
    if image.mode in _SIXTEEN_BIT:
        grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        image = Image.fromarray(grey)
    return np.asarray(image.convert("RGBA"))


def _open_image(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
            image.load()
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise _damaged(path, error) from error
    return image


def _open_array(path: Path, mode: str | None) -> np.ndarray:
    image = _open_image(path)
    return np.asarray(image if mode is None else image.convert(mode))


def _load_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SceneError:
    return SceneError(
        f"cannot decode the file: {error}",
        file=path,
        remedy="it is truncated, damaged or of another kind; copy or export it again",
    )


def _fitted(array: np.ndarray, probe: Probe) -> np.ndarray:
    """Nearest-neighbour to the image's own size (masks and depth stored smaller or larger)."""
    width, height = probe.size
    if array.shape[:2] == (height, width):
        return array
    rows = (np.arange(height) * array.shape[0] + array.shape[0] // 2) // height
    columns = (np.arange(width) * array.shape[1] + array.shape[1] // 2) // width
    return array[rows.clip(0, array.shape[0] - 1)][:, columns.clip(0, array.shape[1] - 1)]


def _crop(array: np.ndarray, plan: Plan) -> np.ndarray:
    return array[: plan.crop[1], : plan.crop[0]]


def _blocks(array: np.ndarray, d: int) -> np.ndarray:
    """[h, w, c] to [h / d, d, w / d, d, c]."""
    h, w, c = array.shape
    return array.reshape(h // d, d, w // d, d, c)


def _in_threads(work: Callable[[int], None], count: int) -> None:
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(work, range(count)))

"""Final figures from written pictures: ``metrics.txt`` per object, ``all_metrics.txt`` over all.

What the official ``calc_metrics`` does (spec pixelnerf 8.2): the pictures of a rendered folder
``OUT/OBJECT/VIEW.png`` are read back as eight bits and compared with the data set's own files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError, DataError
from maskfield.core.files import StrPath, read_json, write_text
from maskfield.core.log import Progress
from maskfield.data.photo import read_photo
from maskfield.data.view_lists import SourceList, read_source_list, read_view_list
from maskfield.methods.pixelnerf.metric_config import BAD_DTU_VIEWS, MetricConfig
from maskfield.methods.pixelnerf.truth_views import TruthObject, truth_objects
from maskfield.metrics.image import psnr, ssim

OBJECT_FILE, ALL_FILE = "metrics.txt", "all_metrics.txt"
_FIGURES = ("psnr", "ssim", "lpips")
# two batches [image, 3, h, w] in [-1, 1] -> [image] distances
Perceptual = Callable[[Tensor, Tensor], Float[Tensor, " image"]]


@dataclass(frozen=True, kw_only=True)
class ObjectFigures:
    """Means over the compared views of one object, by name of the figure."""

    name: str
    category: str
    values: dict[str, float]


def measure_pictures(
    rendered: StrPath,
    truth: StrPath,
    config: MetricConfig | None = None,
    *,
    perceptual: Perceptual | None = None,
) -> tuple[ObjectFigures, ...]:
    """Compare every object of a rendered folder; write the files of figures.

    Objects that have a ``metrics.txt`` are not compared again (``overwrite`` does). Folders whose
    name begins with "_" are no objects.

    Args:
        rendered: folder OBJECT/VIEW.png, views of six digits.
        truth: root of the data set, as ``config.layout`` says.
        perceptual: LPIPS (``metrics.lpips.load_lpips``); without it that figure is left out.

    Returns:
        the figures of all objects, in the order of their names (by scan number: ``dtu_sort``).

    Raises:
        DataError: an object or view that is missing, sizes that differ, no objects.
    """
    rendered, config = Path(rendered), config or MetricConfig()
    known = {o.name: o for o in truth_objects(Path(truth), config)}
    objects = [(f, _known(known, f)) for f in _object_folders(rendered, config)]
    names = category_names(config.metadata)
    found = []
    with Progress(len(objects), "objects") as bar:
        for index, (folder, one) in enumerate(objects):
            if not config.reduce_only and (
                config.overwrite or not (folder / OBJECT_FILE).is_file()
            ):
                _measure_object(folder, one, config, perceptual)
            category = names.get(one.category, one.category)
            values = read_figures(folder / OBJECT_FILE)
            found.append(ObjectFigures(name=one.name, category=category, values=values))
            bar.update(index + 1)
    write_text(rendered / ALL_FILE, table_text(found, categories=config.categories))
    return tuple(found)


def table_text(figures: Sequence[ObjectFigures], *, categories: bool) -> str:
    """``all_metrics.txt``: a line per category, if asked for, and the mean over all objects."""
    lines = []
    for name in sorted({f.category for f in figures}) if categories else ():
        members = [f for f in figures if f.category == name]
        lines.append(f"{name:<12} {_means(members)} n_inst: {len(members)}")
    return "\n".join([*lines, "---", f"{'total':<12} {_means(figures)}"])


def read_figures(file: Path) -> dict[str, float]:
    """The lines "figure value" of a ``metrics.txt``.

    Raises:
        DataError: no such file, or another content.
    """
    try:
        pairs = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
        values = {name: float(value) for name, value in pairs}
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read the figures of an object: {error}",
            file=file,
            remedy="delete the file and measure again, without reduce_only",
        ) from error
    return {name: values[name] for name in _FIGURES if name in values}


def category_names(metadata: str | None) -> dict[str, str]:
    """Category id -> what stands before the comma of its name in ShapeNet's ``metadata.yaml``.

    Raises:
        DataError: not that file.
    """
    if metadata is None:
        return {}
    content: Any = read_json(metadata)
    try:
        return {str(key): str(row["name"]).partition(",")[0] for key, row in content.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(
            "not a list of categories",
            file=metadata,
            field="name",
            remedy="give metadata.yaml of the NMR data set (JSON, id -> name)",
        ) from error


def _measure_object(
    folder: Path, truth: TruthObject, config: MetricConfig, perceptual: Perceptual | None
) -> None:
    views, files = _compared_views(truth, config), truth.views
    pairs = [(_written(folder / f"{v:06d}.png"), _truth(files[v])) for v in views]
    for view, (made, true) in zip(views, pairs, strict=True):
        _check_sizes(made, true, folder / f"{view:06d}.png")
    values = {
        "psnr": _mean(float(psnr(a, b)) for a, b in pairs),
        "ssim": _mean(float(ssim(a, b, window="uniform")) for a, b in pairs),
    }
    if perceptual is not None:
        values["lpips"] = _mean(_distances(pairs, perceptual, config.batch_size))
    write_text(folder / OBJECT_FILE, "\n".join(f"{k} {v!r}" for k, v in values.items()))


def _compared_views(truth: TruthObject, config: MetricConfig) -> list[int]:
    listed = None if config.target_list is None else read_view_list(config.target_list)
    left_out = {*config.exclude, *(BAD_DTU_VIEWS if config.exclude_dtu_bad else ())}
    if config.source_list is not None:
        left_out |= set(_sources(read_source_list(config.source_list), truth, config))
    count = len(truth.views)
    views = range(count) if listed is None else listed
    wrong = [v for v in views if v >= count]
    chosen = [v for v in views if v not in left_out]
    if wrong or not chosen:
        raise DataError(
            "the object does not have such a view" if wrong else "no view is left to be compared",
            file=truth.name,
            field="views",
            value=wrong or sorted(left_out),
            remedy=f"the object has views 0 to {count - 1}",
        )
    return chosen


def _sources(listed: SourceList, truth: TruthObject, config: MetricConfig) -> tuple[int, ...]:
    key = (truth.category, truth.name.removeprefix(f"{truth.category}_"))
    if key not in listed:
        raise DataError(
            "the list of source views lacks an object",
            file=config.source_list,
            field="category object",
            value=key,
            remedy="use the list that belongs to this data set and split",
        )
    return listed[key]


def _distances(
    pairs: Sequence[tuple[Tensor, Tensor]], perceptual: Perceptual, at_once: int
) -> list[float]:
    found: list[float] = []
    for start in range(0, len(pairs), at_once):
        batch = pairs[start : start + at_once]
        a, b = (torch.stack(x).permute(0, 3, 1, 2) * 2 - 1 for x in zip(*batch, strict=True))
        with torch.no_grad():
            found += perceptual(a, b).reshape(-1).tolist()
    return found


def _written(path: Path) -> Float[Tensor, "h w 3"]:
    return torch.from_numpy(read_photo(path)[0]).float() / 255


def _truth(path: Path) -> Float[Tensor, "h w 3"]:
    """Over white, where the file has an opacity."""
    colour, opacity = read_photo(path)
    image = torch.from_numpy(colour).float() / 255
    if opacity is None:
        return image
    share = torch.from_numpy(opacity.astype(np.float32))[..., None] / 255
    return image * share + (1 - share)


def _check_sizes(made: Tensor, true: Tensor, file: Path) -> None:
    if made.shape != true.shape:
        raise DataError(
            "a rendered picture has another size than the true view",
            file=file,
            field="height, width",
            value=(tuple(made.shape[:2]), tuple(true.shape[:2])),
            remedy="render at the size of the data set (scale 1)",
        )


def _object_folders(rendered: Path, config: MetricConfig) -> list[Path]:
    found = sorted(p for p in rendered.glob("*") if p.is_dir() and p.name[0] not in "_.")
    if not found:
        raise DataError(
            "the folder holds no rendered objects",
            file=rendered,
            remedy="give the folder that the evaluation wrote, with a folder per object",
        )
    return sorted(found, key=_scan_number) if config.dtu_sort else found


def _scan_number(folder: Path) -> int:
    number = folder.name.rpartition("scan")[2]
    if not number.isdecimal():
        raise ConfigError(
            "this object is not a DTU scan",
            field="dtu_sort",
            value=folder.name,
            remedy="leave dtu_sort out: the name of a scan ends in `scan` and a number",
        )
    return int(number)


def _known(truth: dict[str, TruthObject], folder: Path) -> TruthObject:
    if folder.name not in truth:
        raise DataError(
            "the data set does not have this object",
            file=folder,
            field="name",
            value=folder.name,
            remedy="check root, layout and list of the data set; folders of objects are named "
            "CATEGORY_OBJECT with `categories`; a name with a leading _ is passed over",
        )
    return truth[folder.name]


def _means(figures: Sequence[ObjectFigures]) -> str:
    """``psnr: ... ssim: ...`` over objects, of the figures that all of them have."""
    common = [n for n in _FIGURES if all(n in f.values for f in figures)]
    return " ".join(f"{n}: {_mean(f.values[n] for f in figures):.6f}" for n in common)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))

"""A data set as published -> the official training layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import ConfigError, DataError
from maskfield.core.registry import Table, resolve

if TYPE_CHECKING:
    from maskfield.data.preparation.options import DataSet, PrepareOptions
    from maskfield.data.preparation.report import PreparedReport

DATA_SETS = Table(
    "data sets",
    "data set",
    {
        "front3d": "maskfield.data.preparation.front3d:prepare",
        "hm3d": "maskfield.data.preparation.hm3d:prepare",
        "hypersim": "maskfield.data.preparation.hypersim:prepare",
        "scannet": "maskfield.data.preparation.scannet_scenes:prepare",
        "sunrgbd": "maskfield.data.preparation.sunrgbd:prepare",
    },
)


def prepare_data_set(
    dataset: DataSet, source: Path, out: Path, options: PrepareOptions | None
) -> PreparedReport:
    """See :func:`maskfield.api.data_prepare`."""
    from maskfield.data.preparation.options import PrepareOptions

    prepare = resolve(DATA_SETS, dataset, field="dataset")
    if not source.is_dir():
        raise DataError("no such folder", file=source, field="source", remedy="check the path")
    if out.resolve() == source.resolve():
        raise ConfigError(
            "the prepared data would mix with the source",
            field="out",
            value=str(out),
            remedy="give another folder",
        )
    return prepare(source, out, options or PrepareOptions())

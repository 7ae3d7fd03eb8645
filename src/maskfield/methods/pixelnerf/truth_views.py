"""Which files are the true views of a data set's objects, layout by layout (spec pixelnerf 8.2)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskfield.core.errors import DataError
from maskfield.data.readers.folders import list_images
from maskfield.methods.pixelnerf.metric_config import MetricConfig


@dataclass(frozen=True, kw_only=True)
class TruthObject:
    """The pictures of one object, in the order of its views.

    Attributes:
        name: as in what is rendered. category: "" where the data set has none.
    """

    name: str
    category: str
    folder: Path
    layout: str

    @property
    def views(self) -> list[Path]:
        """The picture of each view.

        Raises:
            SceneError: there are none.
        """
        if self.layout == "nerf":
            return sorted(self.folder.glob("*_obj.png")) or list_images(self.folder)
        return list_images(self.folder / ("image" if self.layout == "dvr" else "rgb"))


def truth_objects(root: Path, config: MetricConfig) -> list[TruthObject]:
    """All objects of a data set.

    Args:
        root: of "dvr" the folder with the list of objects, or (``categories``) that of the
            categories; of "srn" the folder of a split; of "nerf" a folder with transforms.json
            somewhere below.

    Raises:
        DataError: none there.
    """
    if config.layout == "dvr":
        found = _listed(root, config)
    else:
        mark = "rgb" if config.layout == "srn" else "transforms.json"
        folders = sorted({p.parent for p in root.rglob(mark)})
        found = [_object(f, "", config.layout) for f in folders]
    if not found:
        raise DataError(
            "the folder holds no objects of this layout",
            file=root,
            field="layout",
            value=config.layout,
            remedy="give the folder that holds the objects themselves, e.g. cars_test",
        )
    return found


def _listed(root: Path, config: MetricConfig) -> list[TruthObject]:
    pattern = f"{'*/' if config.categories else ''}{config.list_name}.lst"
    lists = sorted(root.glob(pattern))
    if not lists:
        raise DataError(
            "no list of the objects",
            file=root,
            field="list_name",
            value=pattern,
            remedy="give the folder with the list, or that of all categories with `categories`",
        )
    return [
        _object(file.parent / name, file.parent.name if config.categories else "", "dvr")
        for file in lists
        for name in file.read_text(encoding="utf-8").split()
    ]


def _object(folder: Path, category: str, layout: str) -> TruthObject:
    name = f"{category}_{folder.name}" if category else folder.name
    return TruthObject(name=name, category=category, folder=folder, layout=layout)

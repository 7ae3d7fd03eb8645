"""Options of comparing written pictures with a data set (spec pixelnerf 8.2). Torch-free."""

from __future__ import annotations

from typing import Literal

from maskfield.core.config import config
from maskfield.core.errors import ConfigError

BAD_DTU_VIEWS = (3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 36, 37, 38, 39)  # shadowed by the rig


@config
class MetricConfig:
    """What is compared with what.

    Attributes:
        layout: of the data set's folder (official ``-F``): "dvr" (also DTU), "srn", "nerf".
        list_name: of the lists of objects of "dvr", without ``.lst``.
        categories: the folder holds a folder per category; objects are called CATEGORY_OBJECT in
            what was rendered (``--multicat``).
        metadata: file with the categories' names (``--metadata``); their ids otherwise.
        exclude: views left out, the sources as a rule (``-P``).
        source_list: file with the source views of each object, left out (``-L``).
        target_list: file whose first line names the views to compare; None: all.
        exclude_dtu_bad: leave out DTU's shadowed views.
        dtu_sort: objects in the order of their scan numbers.
        overwrite: compare objects that have figures already.
        reduce_only: compare nothing, only average the figures that are there (``-R``).
        batch_size: pictures at once through the perceptual network.
    """

    layout: Literal["dvr", "srn", "nerf"] = "dvr"
    list_name: str = "softras_test"
    categories: bool = False
    metadata: str | None = None
    exclude: tuple[int, ...] = ()
    source_list: str | None = None
    target_list: str | None = None
    exclude_dtu_bad: bool = False
    dtu_sort: bool = False
    overwrite: bool = False
    reduce_only: bool = False
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(
                "out of range", field="batch_size", value=self.batch_size, remedy="give 1 or more"
            )
        if any(view < 0 for view in self.exclude):
            raise ConfigError(
                "views are numbers from 0 on",
                field="exclude",
                value=self.exclude,
                remedy="give for example (64,)",
            )
        if self.overwrite and self.reduce_only:
            raise ConfigError(
                "nothing is measured, so nothing can be overwritten",
                field="overwrite, reduce_only",
                value=(True, True),
                remedy="choose one of them",
            )

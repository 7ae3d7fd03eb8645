"""Options every reader of photographs understands."""

from __future__ import annotations

from dataclasses import dataclass

from maskfield.core.errors import ConfigError
from maskfield.data.config import MixedSizes


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How photographs become a scene.

    Attributes:
        holdout: every n-th image is the test split where the source has no split; 0 = none.
        downscale: integer factor of an exact area mean.
        mixed_sizes: "error", or "crop" right and bottom to the smallest common size.
        images: name of the image folder, where the layout allows several; None chooses.
    """

    holdout: int = 8
    downscale: int = 1
    mixed_sizes: MixedSizes = "error"
    images: str | None = None

    def __post_init__(self) -> None:
        wrong = {
            "holdout": self.holdout < 0 or self.holdout == 1,
            "downscale": self.downscale < 1,
            "mixed_sizes": self.mixed_sizes not in ("error", "crop"),
        }
        for name in (n for n, bad in wrong.items() if bad):
            raise ConfigError(
                "a reading option is out of range",
                field=name,
                value=getattr(self, name),
                remedy="holdout: 0 or >= 2; downscale: >= 1; mixed_sizes: error or crop",
            )


DEFAULT = ReadOptions()

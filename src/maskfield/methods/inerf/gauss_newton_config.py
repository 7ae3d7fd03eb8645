"""Options of the Gauss-Newton pose search. Torch-free."""

from __future__ import annotations

from maskfield.core.config import config
from maskfield.core.errors import ConfigError


def _require(name: str, value: object, good: bool, remedy: str) -> None:
    if not good:
        raise ConfigError(
            "an option of the pose search is out of range", field=name, value=value, remedy=remedy
        )


@config
class StageConfig:
    """One stage, coarse to fine.

    Attributes:
        side: the photograph is reduced to about this many pixels along its longer side.
        pool: voxels are pooled by this factor (voxel fields).
        blur: standard deviation of the Gaussian on colour differences, pixels of this stage;
            above 0 the whole image is compared.
        pixels: random pixels compared where there is no blur; 0: all of them.
        iterations: most steps.
        robust: colour difference at which a pixel's weight has fallen to a quarter
            (Geman-McClure); 0: squares.
        palette: compare shares of this many main colours of the photograph; 0: colours.
        palette_width: how far one of them reaches.
        keep: most tracks that go on to this stage, the best ones.
    """

    side: int
    pool: int = 1
    blur: float = 0.0
    pixels: int = 0
    iterations: int = 15
    robust: float = 0.0
    palette: int = 0
    palette_width: float = 0.15
    keep: int = 64

    def __post_init__(self) -> None:
        for name in ("side", "pool", "iterations", "keep"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "give 1 or more")
        for name in ("blur", "pixels", "robust"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "give 0 or more")
        if self.blur > 0 and self.pixels > 0:
            raise ConfigError(
                "a stage with blur compares the whole image",
                field="pixels",
                value=self.pixels,
                remedy="set pixels or blur to 0",
            )


@config
class GaussNewtonConfig:
    """Levenberg-Marquardt on the six numbers of a pose.

    Attributes:
        stages: coarse to fine.
        damping: first damping, relative to the diagonal of the normal equations.
        max_turn: degrees that one step may turn the camera about the scene; also limits shifts.
        tolerance: a stage ends when a step lowers the cost by less than this share.
        exposure: colours may differ by a gain and an offset per channel, which are solved for.
        retries: when a search does not explain the photograph, this many times more is searched
            from poses around the start; 0: one search, from the start alone.
        tracks: searches of a retry, as one batch. spread: degrees they are turned by.
        explained: share of the photograph's variance that a found pose must explain.
    """

    stages: tuple[StageConfig, ...] = (
        StageConfig(side=50, pool=4, blur=6.0, iterations=25),
        StageConfig(side=50, pool=4, blur=3.0, iterations=20, keep=6),
        StageConfig(side=50, pool=2, blur=1.0, iterations=20, keep=4),
        StageConfig(side=100, pool=2, iterations=12, keep=2),
        StageConfig(side=200, pixels=4096, iterations=10, robust=0.2, keep=1),
    )
    damping: float = 1e-2
    max_turn: float = 15.0
    tolerance: float = 1e-4
    exposure: bool = False
    retries: int = 2
    tracks: int = 8
    spread: float = 25.0
    explained: float = 0.7

    def __post_init__(self) -> None:
        _require("stages", self.stages, len(self.stages) > 0, "give at least one stage")
        for name in ("damping", "max_turn", "tolerance", "spread"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "give a number above 0")
        _require("retries", self.retries, self.retries >= 0, "give 0 or more")
        _require("tracks", self.tracks, self.tracks >= 1, "give 1 or more")
        _require("explained", self.explained, 0 <= self.explained < 1, "give a share below 1")

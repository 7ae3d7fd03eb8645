"""Options of the pose search. Torch-free."""

from __future__ import annotations

from typing import Literal

from maskfield.core.config import config
from maskfield.core.errors import ConfigError

Parameterisation = Literal["se3", "so3xt", "wvtheta", "matrix"]
Sampling = Literal["regions", "random", "points", "center", "patch"]
RobustLoss = Literal["mse", "l1", "huber", "log-l1", "cauchy"]
Detector = Literal["harris", "dog"]


def _require(name: str, value: object, good: bool, remedy: str) -> None:
    if not good:
        raise ConfigError(
            "an option of the pose search is out of range", field=name, value=value, remedy=remedy
        )


@config
class PixelConfig:
    """Which pixels of the photograph are compared.

    Attributes:
        strategy: "random": any; "points": at detected keypoints, filled up with random ones;
            "regions": within dilated keypoints; "center": within the central box, with replacement
            (official demo); "patch": every pixel of a smaller central box (official demo).
        count: pixels per step and pose ("patch" ignores it).
        detector: of keypoints: corners ("harris") or blobs ("dog").
        keypoints: most keypoints that are kept, the strongest first.
        kernel, dilation: regions are squares of ``kernel`` pixels, dilated ``dilation`` times.
        centre_share, patch_share: sides of the central box as shares of the image.
    """

    strategy: Sampling = "regions"
    count: int = 512
    detector: Detector = "dog"
    keypoints: int = 1000
    kernel: int = 5
    dilation: int = 3
    centre_share: float = 0.5
    patch_share: float = 0.25

    def __post_init__(self) -> None:
        _require("count", self.count, self.count >= 1, "give 1 or more")
        _require("keypoints", self.keypoints, self.keypoints >= 1, "give 1 or more")
        _require("kernel", self.kernel, self.kernel >= 1 and self.kernel % 2 == 1, "give odd >= 1")
        _require("dilation", self.dilation, self.dilation >= 0, "give 0 or more")
        for name in ("centre_share", "patch_share"):
            value = getattr(self, name)
            _require(name, value, 0 < value <= 1, "give a share in (0, 1]")


@config
class VerdictConfig:
    """What is asked of a pose before it is called found.

    Attributes:
        pixels: random pixels that final losses, covariance and verdict rest on.
        explained: share of the photograph's variance that the pose must explain, else "failed".
        texture: mean standard deviation of the photograph's colours below which it cannot tell
            poses apart, else "ambiguous".
        degrees, share: largest standard deviation of the orientation (degrees) and of the centre
            (share of the distance to what is seen), else "ambiguous".
        rival_degrees, rival_share: another track further away than this, whose loss is not clearly
            worse, makes the answer "ambiguous".
        noise: colour error that a perfect pose would leave as well; keeps the covariance of
            noiseless pictures from vanishing.
    """

    pixels: int = 1024
    explained: float = 0.8
    texture: float = 0.02
    degrees: float = 2.0
    share: float = 0.05
    rival_degrees: float = 5.0
    rival_share: float = 0.05
    noise: float = 0.01

    def __post_init__(self) -> None:
        _require("pixels", self.pixels, self.pixels >= 1, "give 1 or more")
        _require("explained", self.explained, 0 <= self.explained < 1, "give a share below 1")
        for name in ("texture", "degrees", "share", "rival_degrees", "rival_share", "noise"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "give a number above 0")


@config
class PoseConfig:
    """How a pose is found: Adam on a left-multiplied motion of the start pose.

    Attributes:
        parameterisation: "se3": exponential coordinates of a left motion (the paper); "so3xt":
            rotation about the camera centre and translation apart; "wvtheta": the community's 7
            free numbers; "matrix": all entries of the matrix are free (official demo).
        pixels: which pixels are compared.
        steps: of Adam. lr: its first step length; step t has lr * decay ** (t / decay_steps).
        loss, loss_scale: of colour differences; the scale is where "huber", "log-l1" and "cauchy"
            stop growing as the square.
        pyramid: image reductions, coarse to fine. shares: fraction of the steps at each.
        drop_at: steps (as shares of all) at which the worse half of the poses still running is
            given up; the best is always kept.
        patience: steps without a better smoothed loss after which a pose stands still and is done;
            0 never stops early. tolerance: relative improvement that counts as better.
        noise: initial parameters are drawn with this standard deviation.
        verdict: what is asked of the result.
    """

    parameterisation: Parameterisation = "se3"
    pixels: PixelConfig = PixelConfig()
    steps: int = 300
    lr: float = 0.01
    decay: float = 0.8
    decay_steps: float = 100.0
    loss: RobustLoss = "mse"
    loss_scale: float = 0.1
    pyramid: tuple[int, ...] = (4, 2, 1)
    shares: tuple[float, ...] = (0.3, 0.3, 0.4)
    drop_at: tuple[float, ...] = (0.1, 0.2, 0.3)
    patience: int = 60
    tolerance: float = 1e-3
    noise: float = 1e-6
    verdict: VerdictConfig = VerdictConfig()

    def __post_init__(self) -> None:
        _require("steps", self.steps, self.steps >= 1, "give 1 or more")
        for name in ("lr", "decay", "decay_steps", "loss_scale"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "give a number above 0")
        for name in ("patience", "tolerance", "noise"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "give 0 or more")
        levels = len(self.pyramid)
        _require(
            "pyramid", self.pyramid, levels >= 1 and min(self.pyramid) >= 1, "give factors >= 1"
        )
        fits = len(self.shares) == levels and abs(sum(self.shares) - 1) < 1e-6
        _require("shares", self.shares, fits, "give one fraction per level, with sum 1")
        inside = all(0 < s < 1 for s in self.drop_at)
        _require("drop_at", self.drop_at, inside, "give shares of the steps in (0, 1)")

    def learning_rate(self, step: int) -> float:
        """Step length of step ``step``, counted from 0."""
        return self.lr * self.decay ** (step / self.decay_steps)

    def level(self, step: int) -> int:
        """The pyramid level (index) that a step belongs to."""
        done, total = 0, 0.0
        for share in self.shares[:-1]:
            total += share
            done += step >= round(total * self.steps)
        return done


@config
class OfficialConfig:
    """The loop of the official demo (its notebook; the script: lr 1e-3, strategy "random").

    Attributes:
        steps: the script's own option for it has no effect there. lr: never decays.
        pixels: "center", "random" or "patch"; drawn with replacement.
    """

    steps: int = 101
    lr: float = 0.01
    pixels: PixelConfig = PixelConfig(strategy="center", count=1024)

    def __post_init__(self) -> None:
        _require("steps", self.steps, self.steps >= 1, "give 1 or more")
        _require("lr", self.lr, self.lr > 0, "give a number above 0")
        known = self.pixels.strategy in ("center", "random", "patch")
        _require("pixels.strategy", self.pixels.strategy, known, "choose center, random or patch")


def paper() -> PoseConfig:
    """The recipe of the paper: 2048 pixels of interest regions at full size, no early stop."""
    return PoseConfig(
        pixels=PixelConfig(count=2048), pyramid=(1,), shares=(1.0,), drop_at=(), patience=0
    )

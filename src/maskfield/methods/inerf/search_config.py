"""Options of the global search for a start pose. Torch-free."""

from __future__ import annotations

from maskfield.core.config import config
from maskfield.core.errors import ConfigError


@config
class SearchConfig:
    """Particles over possible poses (spec inerf 14.7).

    Attributes:
        particles: poses drawn in each round after the first. rounds: how many.
        pixels: random pixels that weigh all particles of a round.
        side: the photograph is reduced to about this many pixels along its shorter side.
        power: a particle's weight is (1 / loss) ** power.
        shift: deviation of the noise on centres, in units of the start poses' spread.
        turn: deviation of the noise on orientations, radians.
        middle, near: spreads of the particles, as shares of the start poses' spread, below which
            the noise is halved and quartered.
        restless: share of the particles that are moved four times as far.
        refined: poses from which gradients then go on; the best ones that are ``apart_turn``
            radians or ``apart_shift`` (in units of the start poses' spread) from each other.
        attempts: searches at most, while what is found does not explain the photograph.
    """

    particles: int = 300
    rounds: int = 8
    pixels: int = 256
    side: int = 32
    power: float = 4.0
    shift: float = 0.1
    turn: float = 0.1
    middle: float = 0.4
    near: float = 0.15
    restless: float = 0.05
    refined: int = 16
    apart_turn: float = 0.35
    apart_shift: float = 0.3
    attempts: int = 3

    def __post_init__(self) -> None:
        for name in ("particles", "pixels", "side", "refined", "attempts"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "give 1 or more")
        _require("rounds", self.rounds, self.rounds >= 0, "give 0 or more")
        for name in ("power", "shift", "turn", "apart_turn", "apart_shift"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "give a number above 0")
        _require("restless", self.restless, 0 <= self.restless <= 1, "give a share in [0, 1]")
        ordered = 0 < self.near <= self.middle
        _require("near", self.near, ordered, f"give a number up to middle ({self.middle})")


def _require(name: str, value: object, good: bool, remedy: str) -> None:
    if not good:
        raise ConfigError(
            "an option of the pose search is out of range", field=name, value=value, remedy=remedy
        )

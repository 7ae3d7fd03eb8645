"""Figures of an evaluation: per object, per category, over all; and their file, ``finish.txt``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.metrics.image import psnr, ssim

_WINDOW = 7


@dataclass(frozen=True, kw_only=True)
class ObjectScore:
    """Means over the rendered views of one object; NaN where they were not computed.

    Attributes:
        name: as in what is written. category: "" where the data set has none.
    """

    name: str
    psnr: float
    ssim: float
    category: str = ""


@dataclass(frozen=True)
class Evaluation:
    """The scores of all objects; means are over objects, each counting once."""

    scores: tuple[ObjectScore, ...]

    @property
    def psnr(self) -> float:
        return _mean(self.scores, lambda s: s.psnr)

    @property
    def ssim(self) -> float:
        return _mean(self.scores, lambda s: s.ssim)

    def by_category(self) -> dict[str, Evaluation]:
        """The same for each category, in alphabetical order."""
        names = sorted({s.category for s in self.scores})
        return {n: Evaluation(tuple(s for s in self.scores if s.category == n)) for n in names}

    def summary(self) -> dict[str, float]:
        """``psnr``, ``ssim``, ``objects``, and ``psnr_CATEGORY`` ... where there are several."""
        found = {"psnr": self.psnr, "ssim": self.ssim, "objects": float(len(self.scores))}
        parts = self.by_category()
        if len(parts) > 1:
            for name, part in parts.items():
                found |= {f"psnr_{name}": part.psnr, f"ssim_{name}": part.ssim}
        return found


def view_scores(
    image: Float[Tensor, "h w 3"], truth: Float[Tensor, "h w 3"]
) -> tuple[float, float]:
    """PSNR, and SSIM over 7 x 7 windows (NaN for smaller images), of colours in [0, 1]."""
    image = image.clamp(0, 1)
    small = min(truth.shape[:2]) < _WINDOW
    similarity = math.nan if small else float(ssim(image, truth, window="uniform"))
    return float(psnr(image, truth)), similarity


def score_line(score: ObjectScore) -> str:
    """One line of ``finish.txt``: name, PSNR, SSIM, and a one for "done"."""
    return f"{score.name} {score.psnr:.9g} {score.ssim:.9g} 1\n"


def read_scores(file: Path) -> dict[str, ObjectScore]:
    """The finished objects; a last line that was cut off does not count.

    Raises:
        DataError: a line that is no score.
    """
    if not file.is_file():
        return {}
    text = file.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # drop the cut line, or the next score would be appended to it
        file.write_text(whole, encoding="utf-8")
    scores = [_parsed(line, file) for line in whole.splitlines() if line.strip()]
    return {s.name: s for s in scores}


def _parsed(line: str, file: Path) -> ObjectScore:
    try:
        name, first, second, _ = line.rsplit(maxsplit=3)
        return ObjectScore(name=name, psnr=float(first), ssim=float(second))
    except ValueError as error:
        raise DataError(
            "a line is no score",
            file=file,
            field="name psnr ssim 1",
            value=line,
            remedy="delete the line: its object is rendered again",
        ) from error


def _mean(scores: Sequence[ObjectScore], value: Callable[[ObjectScore], float]) -> float:
    known = [v for v in map(value, scores) if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan

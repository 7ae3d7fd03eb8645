"""What `pose` is asked, apart from field and photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from maskfield.core.errors import ConfigError

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.methods.inerf.config import PoseConfig
    from maskfield.methods.inerf.find import Search


@dataclass(frozen=True, kw_only=True)
class PoseQuestion:
    """What is asked, apart from field and photograph.

    Attributes:
        camera: intrinsics, see :func:`maskfield.api.pose`. init: file of a start pose.
        search: number of particles. mask: picture of what counts in the photograph.
        track: the photographs are consecutive frames.
        compat: "official" runs the original's loop as it is, with its own settings.
    """

    camera: StrPath | None
    init: StrPath | None
    search: int | None
    mask: StrPath | None
    track: bool
    by: Search
    adam: PoseConfig
    seed: int
    film: bool
    compat: Literal["maskfield", "official"] = "maskfield"

    @property
    def official(self) -> bool:
        return self.compat == "official"


def check_question(question: PoseQuestion) -> None:
    """Whether what is asked goes together.

    Raises:
        ConfigError: it does not; an unknown search.
    """
    from maskfield.methods.inerf.find import Search

    _require_one_of("by", question.by, get_args(Search))
    _require_one_of("compat", question.compat, ("maskfield", "official"))
    if question.init is not None and question.search is not None:
        raise ConfigError(
            "a start pose and a search for one exclude each other",
            field="init, search",
            value=(str(question.init), question.search),
            remedy="leave out one of them",
        )
    if question.search is not None and question.search < 1:
        raise ConfigError(
            "a search needs particles", field="search", value=question.search, remedy="give >= 1"
        )
    if question.official and (question.init is None or question.track):
        raise ConfigError(
            "the original's loop takes one photograph and a start pose",
            field="compat",
            value="official",
            remedy="give --init, and leave out --track",
        )


def refuse_official(question: PoseQuestion) -> None:
    """The original's loop on a field that no model made.

    Raises:
        ConfigError: it is asked for.
    """
    if question.official:
        raise ConfigError(
            "the original's loop encodes source views in each step; this field has none",
            field="compat",
            value="official",
            remedy="give a pixelNeRF, or leave compat out",
        )


def _require_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(
            "no such search", field=name, value=value, remedy=f"use one of {', '.join(known)}"
        )

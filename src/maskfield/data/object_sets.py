"""Sets of objects: each a :class:`Scene` of posed images, decoded once.

The images of an object are as a network takes them (over white where the data set has no
background of its own); ``Scene.opacity`` is the mask of the object, if the data set has one.
"""

from __future__ import annotations

from typing import Protocol

from maskfield.data.scene import Scene


class ObjectSet(Protocol):
    """A sequence of objects.

    Attributes:
        names: one per object. categories: one per object, "" where the data set has none.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def categories(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Scene:
        """The posed images of one object, pixels memory-mapped where they are many."""
        ...

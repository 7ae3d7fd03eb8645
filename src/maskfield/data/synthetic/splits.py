"""Which seeds belong to which split of ``synthetic:rooms-v1`` and ``synthetic:objects-v1``.

The one place that says so.
"""

from __future__ import annotations

from maskfield.core.errors import DataError

ROOMS_V1 = "rooms-v1"
OBJECTS_V1 = "objects-v1"
FIRST_SEED = {"train": 0, "val": 1_000_000, "test": 2_000_000}
SPLIT_SIZE = 1_000_000


def split_of(seed: int) -> str:
    """The split a seed belongs to."""
    return max((s for s in FIRST_SEED if FIRST_SEED[s] <= seed), key=FIRST_SEED.__getitem__)


def split_seeds(split: str, count: int) -> range:
    """The first ``count`` seeds of a split; rooms and objects share the numbers, nothing else.

    Raises:
        DataError: unknown split, or more rooms or objects than a split may hold.
    """
    if split not in FIRST_SEED:
        raise DataError(
            "unknown split", field="split", value=split, remedy=f"use one of {list(FIRST_SEED)}"
        )
    if not 0 <= count <= SPLIT_SIZE:
        raise DataError(
            "a split cannot hold that many rooms or objects",
            field="count",
            value=count,
            remedy=f"ask for 0 to {SPLIT_SIZE}; beyond that splits would share seeds",
        )
    return range(FIRST_SEED[split], FIRST_SEED[split] + count)

"""Means of the numbers of several steps, for one line of the log."""

from __future__ import annotations

from collections.abc import Mapping


class Meter:
    """Sums of named numbers since the last :meth:`take`."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Add one step's numbers."""
        self._steps += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        """Means over the steps added, and start again."""
        means = {k: v / max(1, self._steps) for k, v in self._sums.items()}
        self._sums, self._steps = {}, 0
        return means

    def state_dict(self) -> dict[str, object]:
        """Sums and number of steps."""
        return {"sums": dict(self._sums), "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take over sums and number of steps."""
        sums, steps = state["sums"], state["steps"]
        assert isinstance(sums, Mapping)
        assert isinstance(steps, int)
        self._sums, self._steps = dict(sums), steps

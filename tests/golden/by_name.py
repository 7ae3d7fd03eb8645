"""Outputs whose names state an option: computed when the runner asks for the name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class ByName(Mapping[str, Any]):
    """Outputs by name, and outputs by pattern: the pattern's groups are the function's arguments.

    ``ByName({"y": y}, {r"ap_(.+)_topk(\\d+)": lambda iou, k: ...})``
    """

    def __init__(
        self, known: Mapping[str, Any], patterns: Mapping[str, Callable[..., Any]]
    ) -> None:
        self._known, self._patterns = dict(known), dict(patterns)

    def also(self, more: Mapping[str, Any]) -> ByName:
        """With further known outputs."""
        return ByName({**self._known, **more}, self._patterns)

    def __getitem__(self, name: str) -> Any:
        if name in self._known:
            return self._known[name]
        for pattern, compute in self._patterns.items():
            match = re.fullmatch(pattern, name)
            if match:
                return compute(*match.groups())
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        text = str(name)
        return text in self._known or any(re.fullmatch(p, text) for p in self._patterns)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

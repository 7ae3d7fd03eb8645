"""Lists of views: which are the sources of each object, which are to be rendered (spec 4.5)."""

from __future__ import annotations

from pathlib import Path

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath

SourceList = dict[tuple[str, str], tuple[int, ...]]  # (category, object) -> its source views


def read_source_list(file: StrPath) -> SourceList:
    """Lines "category object view [view ...]".

    Raises:
        DataError: no such file, a line that is none of these, two lines for one object.
    """
    sources: SourceList = {}
    for number, line in _lines(file):
        words = line.split()
        key = (words[0], words[1]) if len(words) > 2 else None
        if key is None or key in sources:
            raise DataError(
                "an object has two lines"
                if key
                else "a line needs a category, an object and views",
                file=file,
                field=f"line {number}",
                value=line,
                remedy="write lines such as `02691156 1021a0914a7207aff927ed529ad90a11 12`",
            )
        sources[key] = _views(words[2:], file, number)
    return sources


def read_view_list(file: StrPath) -> tuple[int, ...]:
    """View numbers in the first line.

    Raises:
        DataError: no such file, or no numbers in its first line.
    """
    number, line = _lines(file)[0]
    return _views(line.split(), file, number)


def _lines(file: StrPath) -> list[tuple[int, str]]:
    """Numbered lines that say something."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read the list of views: {error}", file=file, remedy="check the path"
        ) from error
    found = [(i, line.strip()) for i, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise DataError("the list of views is empty", file=file, remedy="check the path")
    return found


def _views(words: list[str], file: StrPath, number: int) -> tuple[int, ...]:
    if not all(word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise DataError(
            "views are whole numbers from 0 on, each named once",
            file=file,
            field=f"line {number}",
            value=" ".join(words),
            remedy="write the numbers with spaces between them",
        )
    return tuple(int(word) for word in words)

"""Atomic writing: a reader sees the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskfield.core.errors import DataError, StorageError

StrPath = str | os.PathLike[str]


@contextmanager
def atomic_path(target: StrPath) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; move it over ``target`` when the block succeeds.

    Raises:
        StorageError: the folder is read-only, the disk is full, or the move is refused.
    """
    target = Path(target)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.tmp-", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as error:
        raise StorageError(
            f"cannot write: {error.strerror or error}",
            file=target,
            remedy="choose a folder that is writable and has free space, then run again",
        ) from error
    finally:
        if temporary is not None and temporary.exists():
            temporary.unlink()


def write_text(target: StrPath, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: StrPath, value: Any) -> None:
    """Write JSON atomically, indented, keys in the given order, NaN refused."""
    write_text(target, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(source: StrPath) -> Any:
    """Read JSON.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(source).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError("file not found", file=source, remedy="check the path") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"not valid JSON: {error}", file=source, remedy="repair or re-export the file"
        ) from error
    except OSError as error:
        raise DataError(
            f"cannot read: {error.strerror}", file=source, remedy="check the permissions"
        ) from error

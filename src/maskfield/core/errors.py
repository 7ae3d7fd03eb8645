"""Typed errors. Each names the file, the field, the offending value and the remedy."""

from __future__ import annotations

import os

_VALUE_LIMIT = 200


class MaskfieldError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        problem: one sentence saying what is wrong.
        remedy: one sentence saying what the user can do about it.
        file: the file (or folder) concerned.
        field: the field, key, row or option concerned.
        value: the offending value; long values are shortened in the message.
    """

    def __init__(
        self,
        problem: str,
        *,
        remedy: str,
        file: str | os.PathLike[str] | None = None,
        field: str | None = None,
        value: object = None,
    ) -> None:
        self.problem = problem
        self.remedy = remedy
        self.file = None if file is None else os.fspath(file)
        self.field = field
        self.value = value
        super().__init__(self._message())

    def _message(self) -> str:
        parts = [self.problem]
        if self.file is not None:
            parts.append(f"  file:   {self.file}")
        if self.field is not None:
            parts.append(f"  field:  {self.field}")
        if self.value is not None:
            parts.append(f"  value:  {_shorten(self.value)}")
        parts.append(f"  remedy: {self.remedy}")
        return "\n".join(parts)


class ConfigError(MaskfieldError):
    """A config, override or command line option is unknown or out of range."""


class DataError(MaskfieldError):
    """Input data are missing, damaged or inconsistent."""


class SceneError(DataError):
    """A scene (images, poses, intrinsics, box) cannot be used."""


class GridError(DataError):
    """A radiance or label grid is empty, constant, of the wrong shape or activation."""


class CheckpointError(MaskfieldError):
    """A checkpoint is missing, damaged, or belongs to another method, size or data convention."""


class NumericsError(MaskfieldError):
    """A loss or a gradient became NaN or infinite."""


class StorageError(MaskfieldError):
    """A file cannot be written: read-only folder, full disk, name taken by something else."""


class MissingPartError(MaskfieldError):
    """An optional dependency is needed and not installed."""


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _VALUE_LIMIT else f"{text[: _VALUE_LIMIT - 3]}..."

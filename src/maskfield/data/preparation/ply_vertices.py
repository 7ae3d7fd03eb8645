"""Vertices of a PLY mesh: ascii or binary, whatever other properties they have."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float

from maskfield.core.errors import DataError

_NAMES = {
    "i1": ("char", "int8"),
    "u1": ("uchar", "uint8"),
    "i2": ("short", "int16"),
    "u2": ("ushort", "uint16"),
    "i4": ("int", "int32"),
    "u4": ("uint", "uint32"),
    "f4": ("float", "float32"),
    "f8": ("double", "float64"),
}
_TYPES = {name: code for code, names in _NAMES.items() for name in names}
_ORDER = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}


def read_vertices(path: Path) -> Float[np.ndarray, "n 3"]:
    """x, y, z of every vertex, float64.

    Raises:
        DataError: missing or damaged, vertices that are not the first element, or not finite.
    """
    try:
        with path.open("rb") as stream:
            form, count, properties = _header(stream)
            table = _table(stream, form, count, properties)
        vertices = np.stack([table[axis] for axis in "xyz"], axis=1).astype(np.float64)
        if len(vertices) != count or not np.isfinite(vertices).all():
            raise ValueError(f"{count} vertices announced, {len(vertices)} read, or not finite")
    except (OSError, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read the vertices of the mesh: {error}",
            file=path,
            field="element vertex",
            remedy="give a PLY file whose first element is vertex with x, y, z",
        ) from error
    return vertices


def _header(stream: BinaryIO) -> tuple[str, int, list[tuple[str, str]]]:
    """Format, number of vertices, and (name, type) of their properties."""
    if stream.readline().strip() != b"ply":
        raise ValueError("not a PLY file")
    form, count, properties, element = "", 0, [], ""
    for line in iter(stream.readline, b""):
        words = line.decode("ascii").split()
        if words[:1] == ["end_header"]:
            return form, count, properties
        if words[:1] == ["format"]:
            form = words[1]
        elif words[:1] == ["element"]:
            if words[1] != "vertex" and not element:
                raise ValueError("the first element is not vertex")
            element = words[1]
            count = int(words[2]) if element == "vertex" else count
        elif words[:1] == ["property"] and element == "vertex":
            properties.append((words[-1], _TYPES[words[1]]))
    raise ValueError("the header does not end")


def _table(
    stream: BinaryIO, form: str, count: int, properties: list[tuple[str, str]]
) -> np.ndarray:
    kind = np.dtype([(name, _ORDER[form] + code) for name, code in properties])
    if form != "ascii":
        return np.frombuffer(stream.read(kind.itemsize * count), kind)
    rows = [tuple(stream.readline().split()[: len(properties)]) for _ in range(count)]
    return np.array([tuple(float(v) for v in row) for row in rows], kind)

"""Meshes as files: Wavefront OBJ (text) and PLY (binary), both with vertex colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from maskfield.core.errors import ConfigError
from maskfield.core.files import StrPath, atomic_path
from maskfield.fields.mesh import Mesh

_HEADER = """ply
format binary_little_endian 1.0
element vertex {vertices}
property float x
property float y
property float z
{colours}element face {faces}
property list uchar int vertex_indices
end_header
"""
_COLOURS = "property uchar red\nproperty uchar green\nproperty uchar blue\n"
_PLACE = [("place", "<f4", 3)]
_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])


def write_mesh(mesh: Mesh, path: StrPath) -> Path:
    """Write ``.obj`` or ``.ply``, as the suffix says.

    Raises:
        ConfigError: another suffix. StorageError: the file cannot be written.
    """
    path = Path(path)
    writers: dict[str, Callable[[Mesh], bytes]] = {".obj": obj_bytes, ".ply": ply_bytes}
    if path.suffix not in writers:
        raise ConfigError(
            "unknown kind of mesh file",
            field="path",
            value=path.name,
            remedy="end it in .obj or .ply",
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(writers[path.suffix](mesh))
    return path


def obj_bytes(mesh: Mesh) -> bytes:
    """``v x y z [r g b]`` with 4 decimals (colours in 0..1), ``f a b c`` counted from 1."""
    rows = mesh.vertices.double().numpy()
    if mesh.colours is not None:
        rows = np.concatenate([rows, mesh.colours.double().numpy()], axis=1)
    lines = [f"v {' '.join(f'{value:.4f}' for value in row)}" for row in rows]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.triangles.tolist()]
    return "\n".join([*lines, ""]).encode()


def ply_bytes(mesh: Mesh) -> bytes:
    """Little-endian binary; colours as 8 bit."""
    coloured = mesh.colours is not None
    points = np.empty(len(mesh.vertices), [*_PLACE, *([("rgb", "u1", 3)] if coloured else [])])
    points["place"] = mesh.vertices.numpy()
    if mesh.colours is not None:
        points["rgb"] = (mesh.colours.clamp(0, 1) * 255).round().byte().numpy()
    faces = np.empty(len(mesh.triangles), _FACE)
    faces["count"], faces["corners"] = 3, mesh.triangles.numpy()
    header = _HEADER.format(
        vertices=len(points), faces=len(faces), colours=_COLOURS if coloured else ""
    )
    return header.encode() + points.tobytes() + faces.tobytes()

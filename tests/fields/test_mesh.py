"""Meshes of fields: place, winding, colours, files, and what is refused."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
import torch

from maskfield.core.errors import ConfigError, DataError, MissingPartError
from maskfield.fields.mesh import Mesh, field_mesh, isosurface
from maskfield.fields.mesh_files import obj_bytes, write_mesh
from maskfield.geometry.grids import grid_nodes
from maskfield.rendering.field import FieldOutput

BOX = torch.tensor([[-1.0, -1.5, -1.0], [1.0, 1.5, 1.2]])
CENTRE = torch.tensor([0.1, -0.2, 0.0])
RADIUS = 0.6


class Ball:
    """A ball whose colour is the way it is looked at."""

    def __init__(self, strength: float = 1.0) -> None:
        self.strength = strength

    def __call__(self, samples):
        distance = (samples.points - CENTRE).norm(dim=-1)
        density = 100 * self.strength * torch.sigmoid((RADIUS - distance) * 20)
        colour = (samples.directions * 0.5 + 0.5).expand_as(samples.points)
        return FieldOutput(colour=colour, density=density)

    def prepare(self, views=None):
        return self

    def fused(self, sampler, compositing):
        return None


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return field_mesh(Ball(), BOX, longest=40, level=50.0)


def test_vertices_lie_on_the_surface_and_normals_point_out(mesh):
    offset = mesh.vertices - CENTRE
    torch.testing.assert_close(
        offset.norm(dim=-1), torch.full((len(offset),), RADIUS), atol=2e-3, rtol=0
    )
    assert float((mesh.normals * offset / RADIUS).sum(-1).min()) > 0.97


def test_triangles_are_a_closed_surface_wound_outwards(mesh):
    corners = mesh.vertices[mesh.triangles].double()
    across = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert bool(((corners.mean(1) - CENTRE) * across).sum(-1).gt(0).all())
    volume = float((corners[:, 0] * across).sum() / 6)
    assert volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.02)
    edges = mesh.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).sort(-1).values
    _, times = edges.unique(dim=0, return_counts=True)
    assert bool((times == 2).all())


def test_colours_are_seen_straight_on(mesh):
    torch.testing.assert_close(mesh.colours, (0.5 - 0.5 * mesh.normals).clamp(0, 1))
    assert field_mesh(Ball(), BOX, longest=20, coloured=False).colours is None


def test_default_level_is_half_opacity_of_a_step():
    step = 3.0 / 39
    expected = field_mesh(Ball(), BOX, longest=40, level=math.log(2) / step)
    assert torch.equal(field_mesh(Ball(), BOX, longest=40).vertices, expected.vertices)
    faint = field_mesh(Ball(0.1), BOX, longest=40)
    half = field_mesh(Ball(), BOX, longest=40, level=50.0)
    torch.testing.assert_close(faint.vertices, half.vertices, atol=1e-3, rtol=0)


def test_official_step_is_one_node_short():
    values = -grid_nodes(BOX, (9, 13, 9))[..., 2]
    right = isosurface(values, 0.0, BOX).vertices
    official = isosurface(values, 0.0, BOX, compat="official").vertices
    torch.testing.assert_close(right[:, 2], torch.zeros(len(right)), atol=1e-6, rtol=0)
    nodes = torch.tensor([9.0, 13.0, 9.0])
    torch.testing.assert_close(official - BOX[0], (right - BOX[0]) * (nodes - 1) / nodes)


def test_bad_requests_are_refused(monkeypatch):
    values = torch.rand(4, 4, 4)
    with pytest.raises(DataError, match="no surface of this density"):
        isosurface(values, 7.0, BOX)
    with pytest.raises(DataError, match="two nodes"):
        isosurface(values[:1], 0.5, BOX)
    with pytest.raises(ConfigError, match="8 to 1024"):
        field_mesh(Ball(), BOX, longest=2)
    with pytest.raises(ConfigError, match="unknown way"):
        isosurface(values, 0.5, BOX, compat="unofficial")  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match=r"maskfield\[image\]"):
        isosurface(values, 0.5, BOX)


def fan() -> Mesh:
    vertices = torch.tensor([[-0.53512, -0.2, 0.0], [0.0, 1.0, 2.0], [3.0, -4.0, 0.55557]])
    return Mesh(
        vertices=vertices,
        normals=torch.nn.functional.normalize(vertices, dim=-1),
        triangles=torch.tensor([[0, 1, 2]]),
        colours=torch.tensor([[0.0, 0.5, 1.0], [1.0, 0.0, 0.0], [0.25, 0.25, 0.25]]),
    )


def test_obj_has_four_decimals_and_counts_from_one():
    assert obj_bytes(fan()).decode().splitlines() == [
        "v -0.5351 -0.2000 0.0000 0.0000 0.5000 1.0000",
        "v 0.0000 1.0000 2.0000 1.0000 0.0000 0.0000",
        "v 3.0000 -4.0000 0.5556 0.2500 0.2500 0.2500",
        "f 1 2 3",
    ]


def test_ply_is_read_back(tmp_path, mesh):
    for written in (fan(), field_mesh(Ball(), BOX, longest=12, coloured=False)):
        raw = write_mesh(written, tmp_path / "m.ply").read_bytes()
        head, _, body = raw.partition(b"end_header\n")
        assert f"element vertex {len(written.vertices)}".encode() in head
        stride = 12 if written.colours is None else 15
        points = np.frombuffer(body[: stride * len(written.vertices)], np.uint8).reshape(-1, stride)
        place = points[:, :12].copy().view("<f4")
        np.testing.assert_array_equal(place, written.vertices.numpy())
        faces = np.frombuffer(body[stride * len(written.vertices) :], np.uint8).reshape(-1, 13)
        assert (faces[:, 0] == 3).all()
        np.testing.assert_array_equal(faces[:, 1:].copy().view("<i4"), written.triangles.numpy())
    with pytest.raises(ConfigError, match=r"\.obj or \.ply"):
        write_mesh(mesh, tmp_path / "m.stl")

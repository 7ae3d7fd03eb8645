"""Trilinear look-up: every backend against scipy, one another, and numerical gradients."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch.autograd import gradcheck

from maskfield.core.errors import ConfigError, DataError
from maskfield.ops.trilinear import trilinear
from maskfield.ops.trilinear_numba import slab_edges

BACKENDS = ("embedding_bag", "grid_sample", "numba")
SCIPY_MODES = {"border": "nearest", "zeros": "grid-constant"}
SIZE = (4, 5, 6)


def inputs(generator, count=40, channels=3, dtype=torch.float64, margin=2.0):
    volume = torch.randn(*SIZE, channels, generator=generator, dtype=dtype)
    span = torch.tensor(SIZE, dtype=dtype) + 2 * margin
    points = torch.rand(count, 3, generator=generator, dtype=dtype) * span - margin
    return volume, points


@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_matches_scipy(backend, padding, generator):
    volume, points = inputs(generator, count=300)
    out = trilinear(volume, points, padding=padding, backend=backend)
    for c in range(3):
        expected = map_coordinates(
            volume[..., c].numpy(), points.numpy().T - 0.5, order=1, mode=SCIPY_MODES[padding]
        )
        np.testing.assert_allclose(out[:, c].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_voxel_centres_return_the_stored_value(backend, dtype, generator):
    volume, _ = inputs(generator, dtype=dtype)
    axes = [torch.arange(n, dtype=dtype) + 0.5 for n in SIZE]
    centres = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    out = trilinear(volume, centres, backend=backend)
    torch.testing.assert_close(out, volume.reshape(-1, 3), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_to_volume_and_points(backend, padding, generator):
    volume, points = inputs(generator, count=12, channels=2, margin=1.0)
    points = torch.where((points % 1 - 0.5).abs() < 0.02, points + 0.1, points)  # off the kinks
    volume, points = volume.requires_grad_(), points.requires_grad_()
    assert gradcheck(
        lambda v, p: trilinear(v, p, padding=padding, backend=backend), (volume, points)
    )


@pytest.mark.parametrize("padding", ["border", "zeros"])
def test_backends_agree_on_gradients_in_float32(padding, generator):
    volume, points = inputs(generator, count=500, channels=4, dtype=torch.float32)
    seed = torch.randn(500, 4, generator=generator)
    grads = []
    for backend in BACKENDS:
        v, p = volume.clone().requires_grad_(), points.clone().requires_grad_()
        (trilinear(v, p, padding=padding, backend=backend) * seed).sum().backward()
        grads.append((v.grad, p.grad))
    for other in grads[1:]:
        torch.testing.assert_close(grads[0], other, atol=1e-4, rtol=1e-4)


def test_numba_gradient_has_the_same_bits_for_any_number_of_threads(generator):
    volume, points = inputs(generator, count=5000, channels=4, dtype=torch.float32)
    threads, found = numba.get_num_threads(), []
    try:
        for count in {1, threads}:
            numba.set_num_threads(count)
            v = volume.clone().requires_grad_()
            trilinear(v, points, backend="numba").square().sum().backward()
            found.append(v.grad)
    finally:
        numba.set_num_threads(threads)
    assert all(torch.equal(found[0], g) for g in found)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_slabs_cover_all_planes_once_and_balance_the_points(threads):
    x = np.concatenate([np.full(900, 2.2), np.linspace(-5, 20, 100)])
    edges = slab_edges(x, 10, threads)
    assert edges[0] == 0
    assert edges[-1] == 10
    assert (np.diff(edges) >= 0).all()
    assert len(edges) == threads + 1
    even = slab_edges(np.arange(1000) % 12 + 0.5, 12, 4)
    assert even.tolist() == [0, 3, 6, 9, 12]


def test_gradient_is_unchanged_by_slab_borders(generator, monkeypatch):
    """As if there were many threads: each plane its own slab."""
    import maskfield.ops.trilinear_numba as fast

    volume, points = inputs(generator, count=200, dtype=torch.float32)
    grads = []
    for planes in (1, SIZE[0]):
        edges = np.linspace(0, SIZE[0], planes + 1).astype(np.int64)
        monkeypatch.setattr(fast, "slab_edges", lambda *_, e=edges: e)
        v = volume.clone().requires_grad_()
        trilinear(v, points, backend="numba").square().sum().backward()
        grads.append(v.grad)
    assert torch.equal(*grads)


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
def test_smoke_and_far_outside(backend):
    volume = torch.ones(2, 2, 2, 1)
    points = torch.tensor([[1e9, -1e9, 0.0], [1.0, 1.0, 1.0]])
    out = trilinear(volume, points, backend=backend)
    torch.testing.assert_close(out, torch.ones(2, 1))
    if backend != "grid_sample":
        zero = trilinear(volume, points, padding="zeros", backend=backend)
        torch.testing.assert_close(zero, torch.tensor([[0.0], [1.0]]))


def test_empty_points_and_single_voxel():
    one = torch.full((1, 1, 1, 2), 3.0)
    assert trilinear(one, torch.zeros(0, 3)).shape == (0, 2)
    torch.testing.assert_close(trilinear(one, torch.rand(4, 3)), torch.full((4, 2), 3.0))


def test_bad_input_is_refused():
    volume, points = torch.zeros(2, 2, 2, 1), torch.zeros(3, 3)
    with pytest.raises(ConfigError, match="unknown backend"):
        trilinear(volume, points, backend="magic")
    with pytest.raises(DataError, match="share dtype"):
        trilinear(volume, points.double())
    with pytest.raises(DataError, match="non-empty volume"):
        trilinear(volume[0], points)
    with pytest.raises(DataError, match="padding"):
        trilinear(volume, points, padding="mirror")

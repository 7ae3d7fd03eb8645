"""Fixed-step marching: both backends against a loop over all steps of each ray."""

from __future__ import annotations

import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.geometry.rays import Rays
from maskfield.ops.march import march

BACKENDS = ("torch", "numba")
BOX = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)


def scene(generator, rays=30):
    origins = torch.randn(rays, 3, generator=generator, dtype=torch.float64) * 2
    towards = torch.rand(rays, 3, generator=generator, dtype=torch.float64) - 0.5 - origins
    directions = towards / towards.norm(dim=-1, keepdim=True)
    near = torch.zeros(rays, dtype=torch.float64)
    made = Rays(origins=origins, directions=directions, near=near, far=near + torch.inf)
    return made.clipped(BOX), torch.rand(5, 6, 7, generator=generator) > 0.6


def loop(rays, occupied, step):
    """All kept (t, delta) of each ray, one step after the other."""
    size = torch.tensor(occupied.shape)
    kept = []
    for o, d, near, far in zip(rays.origins, rays.directions, rays.near, rays.far, strict=True):
        row, k = [], 0
        while near + k * step < far:
            start = float(near) + k * step
            width = min(start + step, float(far)) - start
            t = start + 0.5 * width
            cell = (((o + t * d) - BOX[0]) / 2 * size).floor().long()
            if occupied[tuple(torch.minimum(cell.clamp_min(0), size - 1))]:
                row.append((t, width))
            k += 1
        kept.append(row)
    return kept


@pytest.mark.parametrize("backend", BACKENDS)
def test_matches_a_loop(backend, generator):
    rays, occupied = scene(generator)
    t, delta, mask = march(rays, occupied, BOX, 0.07, backend=backend)
    expected = loop(rays, occupied, 0.07)
    assert mask.shape[1] == max(len(row) for row in expected)
    for r, row in enumerate(expected):
        assert int(mask[r].sum()) == len(row)
        assert mask[r, : len(row)].all()
        found = torch.stack([t[r], delta[r]], -1)[: len(row)]
        reference = torch.tensor(row, dtype=torch.float64).reshape(-1, 2)
        torch.testing.assert_close(found, reference)
        assert (delta[r, len(row) :] == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_max_samples_keeps_the_nearest(backend, generator):
    rays, occupied = scene(generator)
    t, _, mask = march(rays, occupied, BOX, 0.05, backend=backend)
    few, _, few_mask = march(rays, occupied, BOX, 0.05, max_samples=4, backend=backend)
    assert few.shape[1] == 4
    assert torch.equal(few_mask, mask[:, :4])
    torch.testing.assert_close(few, t[:, :4])


@pytest.mark.parametrize("backend", BACKENDS)
def test_offset_moves_samples_within_their_step(backend, generator):
    rays, _ = scene(generator)
    full = torch.ones(2, 2, 2, dtype=torch.bool)
    low, delta, mask = march(rays, full, BOX, 0.1, offset=torch.zeros(30).double(), backend=backend)
    middle, _, _ = march(rays, full, BOX, 0.1, backend=backend)
    torch.testing.assert_close((low + 0.5 * delta)[mask], middle[mask])
    covered = delta.sum(-1)
    torch.testing.assert_close(covered, rays.far - rays.near)


@pytest.mark.parametrize("backend", BACKENDS)
def test_misses_and_empty_grids_give_one_masked_column(backend):
    away = Rays(
        origins=torch.tensor([[5.0, 5.0, 5.0]]),
        directions=torch.tensor([[1.0, 0.0, 0.0]]),
        near=torch.zeros(1),
        far=torch.full((1,), torch.inf),
    ).clipped(BOX.float())
    t, delta, mask = march(away, torch.ones(2, 2, 2).bool(), BOX, 0.1, backend=backend)
    assert mask.shape == (1, 1)
    assert not mask.any()
    assert float(delta.sum()) == 0
    assert torch.isfinite(t).all()


def test_an_infinite_far_is_refused():
    rays = Rays(
        origins=torch.zeros(1, 3),
        directions=torch.tensor([[1.0, 0.0, 0.0]]),
        near=torch.zeros(1),
        far=torch.full((1,), torch.inf),
    )
    with pytest.raises(DataError, match="finite far"):
        march(rays, torch.ones(2, 2, 2).bool(), BOX, 0.1)

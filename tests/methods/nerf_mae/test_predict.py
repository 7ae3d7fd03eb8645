"""Labels and finer grids of one grid: own voxels, padding cut off, what is empty stays empty."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from maskfield.core.errors import GridError
from maskfield.data.network_input import alpha_grid, occupied
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.synthetic.config import RoomConfig
from maskfield.data.synthetic.rasterise import rasterise_room
from maskfield.data.synthetic.room import build_room
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.downstream_config import SemanticConfig, SuperResolutionConfig
from maskfield.methods.nerf_mae.predict import best_class, segment, super_resolve

NAMES = ("void", "low x", "high x")
TINY = NerfMAEConfig(
    resolution=32, embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), stochastic_depth=0.0
)


@pytest.fixture(scope="module")
def grid() -> RadianceGrid:
    return rasterise_room(build_room(3, RoomConfig()), 32).radiance


def faint(grid: RadianceGrid) -> RadianceGrid:
    density = torch.rand(grid.density.shape) * 0.009
    return replace(grid, density=density, density_kind="alpha", activation="none")


class HalfAndHalf(nn.Module):
    """Class 1 left of the middle of a grid of ``size`` voxels along x, class 2 right of it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.size = size

    def forward(self, cubes: Tensor) -> Tensor:
        b, _, x, y, z = cubes.shape
        place = (torch.arange(x) + 0.5 - self.size / 2)[None, :, None, None].expand(b, x, y, z)
        return torch.stack([torch.full_like(place, 99.0), -place, place], dim=1)


@pytest.mark.parametrize("resolution", [32, 64, 16])
def test_labels_lie_on_the_grids_own_voxels(grid, resolution):
    shown = round(grid.resolution[0] * resolution / 32)
    found = segment(HalfAndHalf(shown), NAMES, grid, resolution=resolution)  # type: ignore[arg-type]

    found.validated().matches(grid)
    assert found.class_names == NAMES
    assert found.ngp_scale == grid.ngp_scale
    matter = occupied(alpha_grid(grid))
    assert (found.labels[~matter] == 0).all()
    assert (found.labels[matter] > 0).all(), "void is not an answer where there is matter"
    half = grid.resolution[0] // 2
    assert set(found.labels[: half - 2][matter[: half - 2]].tolist()) == {1}
    assert set(found.labels[half + 2 :][matter[half + 2 :]].tolist()) == {2}


def test_best_class_is_the_argmax_without_void():
    logits = torch.randn(6, 4, 5, 3, generator=torch.Generator().manual_seed(0))
    expected = logits[1:].argmax(0) + 1
    assert torch.equal(best_class(logits, (4, 5, 3)).long(), expected)
    assert best_class(logits, (8, 10, 6)).shape == (8, 10, 6)


def test_a_real_semantic_network_and_an_empty_scene(grid):
    torch.manual_seed(0)
    model = SemanticConfig(base=TINY, class_names=NAMES).build().eval()
    found = segment(model, NAMES, grid, resolution=32)
    assert int(found.labelled().sum()) == int(occupied(alpha_grid(grid)).sum())
    assert not segment(model, NAMES, faint(grid), resolution=32).labelled().any()


class Ramp(nn.Module):
    """Red grows along x over the whole cube, alpha's logit is ``alpha``; side scale * input."""

    def __init__(self, fine: int, alpha: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.fine, self.alpha = fine, alpha

    def forward(self, cubes: Tensor) -> Tensor:
        n = self.fine
        red = ((torch.arange(n) + 0.5) / n)[:, None, None].expand(n, n, n)
        return torch.stack([red, 0 * red, 0 * red - 1, 0 * red + self.alpha])[None]


def test_the_padded_part_is_cut_off_and_the_box_stays(grid):
    found = super_resolve(Ramp(51, 0.0), grid, resolution=32)  # type: ignore[arg-type]
    assert found.resolution == tuple(round(n * 51 / 32) for n in grid.resolution)
    assert torch.equal(found.box, grid.box)
    assert found.rgb.dtype == torch.uint8
    matter = occupied(found)
    x = ((torch.arange(found.resolution[0]) + 0.5) / 51 * 255)[:, None, None]
    error = (found.rgb[0].float() - x).abs()[matter]
    assert float(error.max()) <= 1
    assert int(found.rgb[2][matter].max()) == 0, "colours are clamped"
    found.validated()


def test_alpha_is_interpolated_unless_the_training_supervised_it(grid):
    own = super_resolve(Ramp(64, 3.0), grid, resolution=32)  # type: ignore[arg-type]
    coarse = alpha_grid(grid)
    ratio = float(own.to_alpha().mean() / coarse.density.mean())
    assert ratio == pytest.approx(1, abs=0.15)
    learned = super_resolve(Ramp(64, 3.0), grid, resolution=32, learned_alpha=True)  # type: ignore[arg-type]
    assert float(learned.to_alpha().min()) == pytest.approx(0.9526, abs=1e-3)


def test_a_real_network_makes_a_finer_grid(grid):
    torch.manual_seed(0)
    config = SuperResolutionConfig(base=TINY, scale=1.6)
    found = super_resolve(config.build().eval(), grid, resolution=32)
    assert max(found.resolution) == config.fine_resolution


def test_a_grid_finer_than_the_model_is_refused(grid):
    with pytest.raises(GridError, match="finer") as caught:
        super_resolve(Ramp(25, 0.0), grid, resolution=16, file="g.npz")  # type: ignore[arg-type]
    assert caught.value.file == "g.npz"
    assert "--longest 16" in caught.value.remedy


def test_density_that_cannot_become_alpha_is_refused(grid):
    sigma = replace(grid, density_kind="sigma", activation="none", ngp_scale=None)
    with pytest.raises(GridError, match="scale"):
        segment(HalfAndHalf(32), NAMES, sigma, resolution=32)  # type: ignore[arg-type]
    with pytest.raises(GridError, match="scale"):
        super_resolve(Ramp(51, 0.0), sigma, resolution=32)  # type: ignore[arg-type]

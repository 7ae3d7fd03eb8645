from __future__ import annotations

import pytest
import torch

from maskfield.fields.voxel import VoxelField, VoxelSettings, field_from_weights
from maskfield.rendering.field import Field, RaySamples


def samples_at_points(points: torch.Tensor) -> RaySamples:
    ones = points.new_ones(len(points), 1)
    directions = torch.tensor([[0.0, 0.0, 1.0]], dtype=points.dtype).expand(len(points), 3)
    return RaySamples(
        points=points[:, None], directions=directions[:, None], t=ones, delta=ones, mask=ones > 0
    )


class TestVoxelField:
    def test_smoke_speaks_the_protocol(self, make_field):
        field = make_field()
        assert isinstance(field, Field)
        assert field.prepare() is field

    def test_shapes(self, make_field):
        field = make_field(degree=2, longest=16)
        assert field.resolution == (12, 16, 12)
        assert field.colour.shape == (12, 16, 12, 27)
        assert field.occupancy.shape == (6, 8, 6)

    def test_values_at_voxel_centres(self, make_field):
        """sigma = softplus(raw + shift) / unit; colour = sigmoid of the harmonics' sum."""
        field = make_field()
        field.occupancy.fill_(1)
        centres = field.world_of_voxels().reshape(-1, 3)
        out = field(samples_at_points(centres))
        expected = torch.nn.functional.softplus(field.density.reshape(-1) - 1) / field.unit
        torch.testing.assert_close(out.density[:, 0], expected)
        colour = field.colour.reshape(-1, 3, 4)
        shown = torch.sigmoid(
            0.28209479177387814 * colour[..., 0] + 0.4886025119029199 * colour[..., 2]
        )
        torch.testing.assert_close(out.colour[:, 0], shown)

    def test_nothing_outside_a_bounded_field(self, make_field):
        out = make_field()(samples_at_points(torch.tensor([[1.01, 0.0, 0.0]]).double()))
        assert out.density.detach().item() == 0

    def test_a_contracted_field_goes_on_outside(self, make_field):
        field = make_field(shell=0.5)
        field.occupancy.fill_(1)
        out = field(samples_at_points(torch.tensor([[30.0, 0.0, 0.0]]).double()))
        assert out.density.detach().item() > 0

    def test_gradcheck_of_density_colour_and_points(self, make_field):
        field = make_field(shell=0.5, longest=8)
        start = torch.randn(6, 3, generator=torch.Generator().manual_seed(3)).double()

        def answer(points, density, colour):
            state = {"density": density, "colour": colour}
            out = torch.func.functional_call(field, state, (samples_at_points(points), "torch"))
            return out.density, out.colour

        inputs = (start.requires_grad_(), field.density, field.colour)
        assert torch.autograd.gradcheck(answer, inputs)


class TestResampled:
    def test_finer_voxels_show_the_same(self, make_field, generator):
        field = make_field(shell=0.5)
        field.occupancy.fill_(1)
        finer = field.resampled(None, 24)
        inner = torch.rand(100, 3, generator=generator).double() - 0.5
        a, b = field(samples_at_points(inner)), finer(samples_at_points(inner))
        correlation = torch.corrcoef(torch.stack([a.density[:, 0], b.density[:, 0]]))[0, 1]
        assert float(correlation) > 0.95

    def test_same_grid_same_values(self, make_field):
        field = make_field(shell=0.5)
        again = field.resampled(None, 12)
        torch.testing.assert_close(again.density, field.density)
        torch.testing.assert_close(again.colour, field.colour)

    def test_a_new_box_moves_the_voxels_not_the_content(self, make_field):
        field = make_field()
        with torch.no_grad():  # linear along x: trilinear look-up is exact
            x = field.world_of_voxels()[..., 0]
            field.density.copy_(3 * x)
        box = torch.tensor([[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]]).double()
        other = field.resampled(box, 8)
        torch.testing.assert_close(other.density.detach(), 3 * other.world_of_voxels()[..., 0])


class TestOccupancy:
    def test_skipped_cells_are_really_empty(self, make_field, generator):
        """Wherever the occupancy is 0, the look-up is below the threshold."""
        field = make_field(longest=16)
        with torch.no_grad():
            field.density.sub_(8)
            field.density[4:7, 5:9, 2:4] += 10
        share = field.update_occupancy(0.25)
        assert 0 < share < 1
        marked = field.occupancy.clone()
        field.occupancy.fill_(1)
        points = (torch.rand(4000, 3, generator=generator).double() * 2 - 1) * torch.tensor(
            [1.0, 1.5, 1.0]
        )
        sigma = field(samples_at_points(points)).density[:, 0]
        alpha = 1 - torch.exp(-sigma * field.step)
        field.occupancy.copy_(1 - marked)
        visible = field(samples_at_points(points)).density[:, 0] > 0  # lies in an empty cell
        assert visible.any()
        assert float(alpha[visible].max()) <= 0.25 + 1e-9


class TestStoring:
    def test_round_trip(self, make_field):
        field = make_field(shell=0.5, dtype=torch.float32)
        again = field_from_weights(field.state_dict(), field.header())
        assert again.settings == field.settings
        for name, value in field.state_dict().items():
            assert torch.equal(again.state_dict()[name], value), name

    def test_adapt_to_takes_the_stored_resolution(self):
        field = VoxelField(torch.tensor([[-1.0] * 3, [1.0] * 3]), 8, VoxelSettings())
        field.adapt_to({"density": [16, 8, 12]})
        assert field.resolution == (16, 8, 12)
        assert field.occupancy.shape == (8, 4, 6)

    @pytest.mark.parametrize("shell", [0.0, 0.5])
    def test_box_is_kept(self, shell):
        box = torch.tensor([[0.0, 1.0, 2.0], [4.0, 3.0, 3.0]])
        field = VoxelField(box, 8, VoxelSettings(shell=shell))
        torch.testing.assert_close(field.box, box)

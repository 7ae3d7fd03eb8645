"""Boxes of one grid: resampling, world frame, selection, empty scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from maskfield.core.errors import GridError
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.readers.nerf_rpn import boxes_to_grid
from maskfield.data.synthetic.config import RoomConfig
from maskfield.data.synthetic.rasterise import rasterise_room
from maskfield.data.synthetic.room import build_room
from maskfield.methods.nerf_rpn.config import AnchorConfig, FCOSConfig, NerfRPNConfig, SwinConfig
from maskfield.methods.nerf_rpn.model.outputs import Proposals
from maskfield.methods.nerf_rpn.predict import boxes_from_rows, detect

SWIN = SwinConfig(embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2))


def tiny(head: FCOSConfig | AnchorConfig, resolution: int | None = 32) -> nn.Module:
    torch.manual_seed(0)
    config = NerfRPNConfig(backbone=SWIN, head=head, channels=64, resolution=resolution)
    return config.build().eval()


@pytest.fixture(scope="module")
def room():
    return rasterise_room(build_room(3, RoomConfig()), 32)


class Oracle(nn.Module):
    """Answers the truth, in voxels of whatever it is shown; remembers what that was."""

    def __init__(self, truth, grid: RadianceGrid, scores: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.config = NerfRPNConfig(resolution=64)
        self.truth, self.grid, self.scores = truth, grid, scores
        self.shown: list[Tensor] = []

    def forward(self, grids: Sequence[Tensor]) -> list[Proposals]:
        self.shown.append(grids[0])
        x, y, z = grids[0].shape[1:]
        rows = boxes_to_grid(self.truth, replace(self.grid, rgb=torch.zeros(3, x, y, z))).rows()
        levels = torch.zeros(len(rows), dtype=torch.long)
        return [Proposals(boxes=rows, scores=self.scores, levels=levels)]


@pytest.mark.parametrize("resolution", [None, 32, 48])
def test_boxes_come_back_to_the_world_whatever_the_resolution(room, resolution):
    scores = torch.linspace(0.4, 0.9, len(room.boxes))
    oracle = Oracle(room.boxes, room.radiance, scores)
    found = detect(oracle, room.radiance, resolution=resolution, top=100)  # type: ignore[arg-type]

    assert max(oracle.shown[0].shape) == (resolution or 64)
    assert found.score is not None
    order = scores.argsort(descending=True)
    torch.testing.assert_close(found.score, scores[order])
    torch.testing.assert_close(found.centre, room.boxes.centre[order], atol=1e-3, rtol=0)
    torch.testing.assert_close(found.size, room.boxes.size[order], atol=2e-2, rtol=0.03)
    torch.testing.assert_close(found.yaw, room.boxes.yaw[order])


def test_top_and_threshold_choose_the_best(room):
    scores = torch.linspace(0.1, 0.9, len(room.boxes))
    oracle = Oracle(room.boxes, room.radiance, scores)
    best = detect(oracle, room.radiance, top=2, threshold=0.0)  # type: ignore[arg-type]
    torch.testing.assert_close(best.score, scores.sort(descending=True).values[:2])
    none = detect(oracle, room.radiance, threshold=0.95)  # type: ignore[arg-type]
    assert len(none) == 0


def test_rows_that_are_no_boxes_are_left_out(room):
    scores = torch.full((len(room.boxes),), 0.9)
    truth = replace(room.boxes, size=room.boxes.size.clone(), yaw=room.boxes.yaw.clone())
    truth.size[0, 1], truth.yaw[1] = 0, float("nan")
    found = detect(Oracle(truth, room.radiance, scores), room.radiance)  # type: ignore[arg-type]
    assert len(found) == len(room.boxes) - 2
    found.validated()


@pytest.mark.parametrize("rotated", [True, False])
@pytest.mark.parametrize("head", [FCOSConfig, AnchorConfig])
def test_a_real_detector_answers_valid_boxes_near_the_room(room, head, rotated):
    model = tiny(head(rotated=rotated))
    found = detect(model, room.radiance, top=20, threshold=0.0)  # type: ignore[arg-type]
    assert 0 < len(found) <= 20
    found.validated()
    assert found.score is not None
    assert (found.score[:-1] >= found.score[1:]).all()
    low, high = room.radiance.box
    slack = high - low
    assert ((found.centre > low - slack) & (found.centre < high + slack)).all()
    if not rotated:
        assert (found.yaw == 0).all()


def test_axis_aligned_rows_become_boxes():
    boxes = boxes_from_rows(torch.tensor([[1.0, 2, 3, 5, 4, 9]]), torch.tensor([0.5]))
    assert boxes.centre.tolist() == [[3, 3, 6]]
    assert boxes.size.tolist() == [[4, 2, 6]]
    assert boxes.yaw.tolist() == [0]


def test_an_empty_scene_gets_an_empty_answer_without_the_network(room):
    oracle = Oracle(room.boxes, room.radiance, torch.ones(len(room.boxes)))
    faint = torch.rand(room.radiance.density.shape) * 0.009
    empty = replace(room.radiance, density=faint, density_kind="alpha", activation="none")
    found = detect(oracle, empty)  # type: ignore[arg-type]
    assert len(found) == 0
    assert found.score is not None
    assert oracle.shown == []
    assert found.to_json()["centre"] == []


def test_density_that_cannot_become_alpha_is_refused(room):
    grid = replace(room.radiance, density_kind="sigma", activation="none", ngp_scale=None)
    with pytest.raises(GridError, match="scale"):
        detect(tiny(FCOSConfig()), grid, file="a.safetensors")  # type: ignore[arg-type]

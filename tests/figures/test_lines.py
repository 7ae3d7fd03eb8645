"""World lines in pictures: where they are, what the near plane cuts, how a lens bends them."""

from __future__ import annotations

import numpy as np
import torch

from maskfield.figures.lines import Mark, Stroke, draw_lines, visible_pieces
from maskfield.geometry.camera_paths import look_at, pinholes
from maskfield.geometry.cameras import Cameras

NEAR = 0.1


def camera(distortion: list[float] | None = None) -> Cameras:
    """At the origin, looking along +y; x to the right, z up; 90 degrees wide."""
    pose = look_at(torch.zeros(1, 3), torch.tensor([[0.0, 1, 0]]))
    cameras = pinholes(pose, 80, 60, 90.0)
    if distortion is None:
        return cameras
    return Cameras(
        camera_to_world=cameras.camera_to_world,
        intrinsics=cameras.intrinsics,
        width=80,
        height=60,
        distortion=torch.tensor([distortion]),
    )


def line(*ends: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor([ends])


def test_a_line_lands_where_its_ends_project():
    pieces = visible_pieces(camera(), line((-0.5, 1, 0), (0.5, 1, 0.25)), NEAR)
    torch.testing.assert_close(pieces[0, 0], torch.tensor([20.0, 30.0]))
    torch.testing.assert_close(pieces[-1, 1], torch.tensor([60.0, 20.0]))
    torch.testing.assert_close(pieces[1:, 0], pieces[:-1, 1])


def test_what_is_behind_is_gone_and_what_crosses_is_cut_at_the_near_plane():
    behind = line((0, -1, 0), (1, -2, 0))
    assert len(visible_pieces(camera(), behind, NEAR)) == 0
    crossing = line((0.05, -1, 0.02), (0.05, 1, 0.02))
    pieces = visible_pieces(camera(), crossing, NEAR)
    torch.testing.assert_close(pieces[-1, 1], torch.tensor([42.0, 29.2]))
    torch.testing.assert_close(pieces[0, 0], torch.tensor([40 + 40 * 0.5, 30 - 40 * 0.2]))
    flipped = visible_pieces(camera(), crossing.flip(1), NEAR)
    torch.testing.assert_close(flipped[0, 0], pieces[-1, 1])


def test_a_lens_bends_lines_as_the_cameras_projection_does():
    lens = camera([-0.3, 0.05, 0.0, 0.0, 0.0])
    edge = line((-0.8, 1, 0.6), (0.8, 1, 0.6))
    pieces = visible_pieces(lens, edge, NEAR)
    middle = pieces[len(pieces) // 2, 0]
    chord = (pieces[0, 0, 1] + pieces[-1, 1, 1]) / 2
    assert float(chord - middle[1]) > 1, "barrel distortion pulls the ends towards the middle"
    exact = lens.project(torch.tensor([[0.0, 1, 0.6]]))[0][0, 0]
    torch.testing.assert_close(middle, exact)


def test_points_that_the_lens_folds_back_into_the_picture_are_not_drawn():
    lens = camera([-0.3, 0.0, 0.0, 0.0, 0.0])
    far_off = line((6.0, 1, 0), (6.5, 1, 0))
    folded = lens.project(far_off[0])[0][0]
    assert float(folded[0, 0]) < 0, "the polynomial throws it to the other side"
    assert len(visible_pieces(lens, far_off, NEAR)) == 0
    fold = line((1.82, 1, 0), (1.9, 1, 0))  # r (1 - 0.3 r^2) is small again here
    assert 0 <= float(lens.project(fold[0])[0][0, 0, 0]) <= 80
    assert len(visible_pieces(lens, fold, NEAR)) == 0


def test_strokes_and_marks_are_drawn_in_their_colour_and_nothing_else_changes():
    black = np.zeros((60, 80, 3), np.uint8)
    stroke = Stroke(lines=line((-0.5, 1, 0), (0.5, 1, 0)), colour="#ff0000")
    drawn = draw_lines(black, camera(), [stroke], near=NEAR)
    assert (drawn[30, 25:55, 0] > 200).all()
    assert int(drawn[30, 25:55, 1].max()) < 60
    assert int(drawn[:20].max()) == 0
    assert int(black.max()) == 0, "the given picture is not painted over"
    mark = Mark(point=torch.tensor([0.0, 1, 0]), text="7", colour="#00ff00")
    marked = draw_lines(black, camera(), [], [mark], near=NEAR)
    assert (marked[20:40, 30:50].astype(int) @ [-1, 2, -1]).max() > 200
    hidden = Mark(point=torch.tensor([0.0, -1, 0]), text="7", colour="#00ff00")
    assert int(draw_lines(black, camera(), [], [hidden], near=NEAR).max()) == 0

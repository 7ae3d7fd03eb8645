"""Pixel sampling and colour jitter."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from maskfield.data.colour_jitter import (
    ColourJitter,
    draw_jitter,
    jitter_images,
    jitter_pixels,
    tinted_grey,
    turn_hue,
)
from maskfield.data.pixel_sampling import (
    draw_anywhere,
    draw_by_mask,
    draw_in_boxes,
    mask_boxes,
    pixels_by_mask,
    pixels_in_boxes,
)


def masks() -> np.ndarray:
    found = np.zeros((3, 8, 10), np.uint8)
    found[0, 2:5, 3:9] = 255
    found[2, 7, 0] = 1
    return found


def test_boxes_are_inclusive_and_of_an_empty_mask_the_whole_image():
    boxes, filled = mask_boxes(masks())
    assert boxes.tolist() == [[3, 2, 8, 4], [0, 0, 9, 7], [0, 7, 0, 7]]
    assert filled.tolist() == [True, False, True]


def test_pixels_in_boxes_reach_every_pixel_of_a_box_and_no_other(generator: torch.Generator):
    boxes, _ = mask_boxes(masks())
    views = torch.zeros(2000, dtype=torch.long)
    pixels = draw_in_boxes(boxes, views, 8, 10, generator)
    seen = {tuple(p) for p in pixels.tolist()}
    assert seen == {(0, y, x) for y in range(2, 5) for x in range(3, 9)}


@pytest.mark.parametrize("box", [[0, 0, 10, 8], [8.5, 6.5, 9.9, 7.9], [-1, -1, 3, 3]])
def test_boxes_beyond_the_image_are_clamped(box: list[float]):
    draws = torch.tensor([[0.0, 0.0], [0.999999, 0.999999]])
    pixels = pixels_in_boxes(torch.tensor([box]), torch.zeros(2, dtype=torch.long), draws, 8, 10)
    assert bool((pixels >= 0).all())
    assert bool((pixels[:, 1] <= 7).all() and (pixels[:, 2] <= 9).all())


def test_draw_anywhere_covers_the_images(generator: torch.Generator):
    pixels = draw_anywhere(torch.arange(3).repeat(500), 2, 3, generator)
    assert len(pixels.unique(dim=0)) == 3 * 2 * 3


def test_pixels_by_mask_count_on_and_off_separately():
    on = torch.from_numpy(masks()).float() / 255
    pixels = pixels_by_mask(on, torch.tensor([0, 17]), torch.tensor([0]))
    assert pixels.tolist() == [[0, 2, 3], [0, 4, 8], [0, 0, 0]]


@pytest.mark.parametrize(("value", "inside"), [(None, 14), (0.0, 0), (1.0, 20)])
def test_draw_by_mask_keeps_its_share_where_it_can(
    generator: torch.Generator, value: float | None, inside: int
):
    on = torch.from_numpy(masks()).float() / 255 if value is None else torch.full((3, 8, 10), value)
    pixels = draw_by_mask(on, 20, 0.7, generator)
    hit = on[pixels[:, 0], pixels[:, 1], pixels[:, 2]] >= 0.5
    assert int(hit.sum()) == inside
    assert len(pixels) == 20


def test_no_jitter_changes_nothing(generator: torch.Generator):
    images = torch.rand(2, 3, 5, 6, generator=generator)
    torch.testing.assert_close(jitter_images(images, ColourJitter()), images)


def test_hue_is_that_of_the_colour_circle(generator: torch.Generator):
    colours = torch.rand(50, 3, generator=generator, dtype=torch.float64)
    colours[:3] = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.4, 0.4, 0.4]])
    for turn in (-0.3, 0.07, 0.5):
        hsv = [colorsys.rgb_to_hsv(*c) for c in colours.tolist()]
        wanted = [colorsys.hsv_to_rgb((h + turn) % 1, s, v) for h, s, v in hsv]
        found = turn_hue(colours, turn, dim=-1)
        torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_single_pixels_change_as_their_images_do(generator: torch.Generator):
    images = torch.rand(2, 3, 7, 9, generator=generator)
    jitter = ColourJitter(hue=0.05, saturation=1.1, brightness=0.93, contrast=1.08)
    wanted = jitter_images(images, jitter)
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)
    grey = tinted_grey(pixels, jitter)
    found = jitter_pixels(pixels[1], grey[1].expand(63), jitter)
    torch.testing.assert_close(found, wanted[1].permute(1, 2, 0).reshape(63, 3))


def test_drawn_factors_stay_in_the_official_ranges(generator: torch.Generator):
    drawn = [draw_jitter(generator) for _ in range(200)]
    hues = [j.hue for j in drawn]
    assert -0.1 <= min(hues) < -0.08
    assert 0.08 < max(hues) <= 0.1
    assert all(0.9 <= f <= 1.1 for j in drawn for f in (j.saturation, j.contrast, j.brightness))

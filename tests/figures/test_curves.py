"""Curves: what is drawn depends on the numbers; log records are sorted into panels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from maskfield.figures.curves import Panel, draw_curves, panels_from_log, save_curves


def panel(y, **options) -> Panel:
    return Panel(title="Loss", lines={"train": (list(range(len(y))), y)}, **options)


def coloured(picture: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    """Rows at which a pixel of about this colour lies."""
    near = (np.abs(picture.astype(int) - rgb).sum(-1) < 60).any(1)
    return np.flatnonzero(near)


BLUE = (37, 99, 235)


def test_shapes():
    one = draw_curves([panel([1.0, 2.0])], width=3, height=2)
    two = draw_curves([panel([1.0, 2.0])] * 2, width=3, height=2)
    assert one.shape == (220, 330, 3)
    assert two.shape == (220, 660, 3)


def test_the_line_is_drawn_and_rises():
    picture = draw_curves([panel([0.0, 1.0])])
    columns = np.flatnonzero((np.abs(picture.astype(int) - BLUE).sum(-1) < 60).any(0))
    left = coloured(picture[:, columns[0] : columns[0] + 8], BLUE).mean()
    right = coloured(picture[:, columns[-1] - 7 : columns[-1] + 1], BLUE).mean()
    assert left > right + 100  # rows count downwards


def test_values_that_are_not_finite_are_left_out():
    clean = draw_curves([panel([1.0, 2.0, 3.0])])
    picture = draw_curves(
        [Panel(title="Loss", lines={"train": ([0, 1, 1.5, 2], [1.0, 2.0, float("nan"), 3.0])})]
    )
    assert len(coloured(picture, BLUE)) > 50
    np.testing.assert_array_equal(clean.shape, picture.shape)


def test_a_level_adds_a_named_line():
    without = draw_curves([panel([1.0, 2.0])])
    with_level = draw_curves([panel([1.0, 2.0], levels={"baseline": 1.5})])
    assert (without != with_level).mean() > 0.002


def test_panels_from_log():
    records = [
        {"kind": "train", "step": 1, "loss": 0.5, "lr": 1e-3},
        {"kind": "train", "step": 2, "loss": 0.25, "lr": 1e-3},
        {"kind": "validate", "step": 2, "psnr": 21.0, "loss": 0.4, "mean_baseline_psnr": 14.0},
        {"kind": "interrupt", "step": 2},
        {"note": "no step", "loss": 3.0},
        {"kind": "train", "step": 3, "loss": "nan"},
    ]
    loss, psnr = panels_from_log(records)
    assert loss.lines == {"loss": ([1.0, 2.0], [0.5, 0.25]), "held-out loss": ([2.0], [0.4])}
    assert loss.log_y
    assert psnr.lines == {"held-out psnr": ([2.0], [21.0])}
    assert psnr.levels == {"held-out mean baseline psnr": 14.0}


def test_no_numbers_no_panels():
    assert panels_from_log([{"step": 1, "lr": 0.1}]) == []


def test_saved_file_is_the_picture(tmp_path):
    save_curves([panel([1.0, 2.0])], tmp_path / "a" / "curves.png")
    stored = np.asarray(Image.open(tmp_path / "a" / "curves.png"))
    np.testing.assert_array_equal(stored, draw_curves([panel([1.0, 2.0])]))

from __future__ import annotations

import numpy as np
import pytest

from maskfield.data.synthetic import textures as tx
from maskfield.data.synthetic.lighting import display


def test_hash_is_uniform_and_fixed():
    values = np.array([tx.hash01(i, j, 0, 7) for i in range(-60, 60) for j in range(60)])
    assert values.min() >= 0
    assert values.max() < 1
    counts, _ = np.histogram(values, bins=16, range=(0, 1))
    assert counts.std() / counts.mean() < 0.12
    assert tx.hash01(1, 2, 3, 4) == tx.hash01(1, 2, 3, 4)
    assert tx.hash01(1, 2, 3, 4) != tx.hash01(2, 1, 3, 4)


def test_noise_is_continuous_and_takes_lattice_values():
    assert tx.value_noise(3.0, -2.0, 5.0, 1) == pytest.approx(tx.hash01(3, -2, 5, 1))
    x = np.linspace(-2, 2, 4001)
    values = np.array([tx.value_noise(v, 0.3, 0.7, 1) for v in x])
    assert np.abs(np.diff(values)).max() < 0.01


@pytest.mark.parametrize("texture", range(8))
def test_patterns_stay_in_range_and_vary(texture):
    points = np.random.default_rng(0).uniform(-3, 3, (400, 3))
    values = np.array([tx.pattern(texture, *p, 0.3, 5) for p in points])
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.std() > 0 or texture in (tx.FLAT, tx.SKY)


def test_surface_colours_are_albedos():
    colours = np.array([(0.8, 0.1, 0.2), (0.1, 0.9, 0.4)])
    points = np.random.default_rng(1).uniform(-2, 2, (300, 3))
    for texture in range(10):
        values = np.array(
            [tx.surface_colour(texture, colours, *p, 0.2, p[2] / 2, 3) for p in points]
        )
        assert values.min() >= 0
        assert values.max() <= 1
    assert tx.surface_colour(tx.FLAT, colours, 1.0, 2.0, 3.0, 0.2, 0.0, 3) == tuple(colours[0])


def test_display_curve_is_srgb_below_the_shoulder_and_monotone():
    assert display(0.0) == 0
    assert display(0.2140411) == pytest.approx(0.5, abs=1e-3)
    values = np.array([display(x) for x in np.linspace(0, 5, 500)])
    assert (np.diff(values) > 0).all()
    assert values[-1] < 1

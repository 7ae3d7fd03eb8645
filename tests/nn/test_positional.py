from __future__ import annotations

import math

import pytest
import torch

from maskfield.nn.positional import PositionalCode, axis_widths, sincos_1d, sincos_3d


def test_1d_values_by_hand() -> None:
    code = sincos_1d(4, torch.tensor([0.0, 3.0]))
    expected = [math.sin(3), math.sin(0.03), math.cos(3), math.cos(0.03)]
    assert torch.allclose(code[0], torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert torch.allclose(code[1], torch.tensor(expected))


def test_1d_refuses_odd_width() -> None:
    with pytest.raises(ValueError, match="even width"):
        sincos_1d(5, torch.zeros(1))


def test_first_third_encodes_axis_1() -> None:
    """The axis order of released weights: axis 1, axis 0, axis 2."""
    table = sincos_3d(12, (3, 4, 5))
    assert table.shape == (1, 3, 4, 5, 12)
    for third, axis in enumerate((1, 0, 2)):
        part = table[0, ..., 4 * third : 4 * third + 4]
        line = part.movedim(axis, 0)[:, 0, 0]
        assert torch.equal(line, sincos_1d(4, torch.arange(line.shape[0])))
        others = [a for a in range(3) if a != axis]
        for other in others:
            assert float(part.diff(dim=other).abs().max()) == 0


@pytest.mark.parametrize(
    ("width", "expected"), [(96, (32, 32, 32)), (128, (44, 42, 42)), (10, (4, 4, 2))]
)
def test_axis_widths(width: int, expected: tuple[int, int, int]) -> None:
    assert axis_widths(width) == expected
    assert sincos_3d(width, (2, 2, 2)).shape[-1] == width


@pytest.mark.parametrize("width", [7, 4])
def test_axis_widths_refuse(width: int) -> None:
    with pytest.raises(ValueError, match="even width >= 6"):
        axis_widths(width)


def test_coordinate_code_by_hand() -> None:
    code = PositionalCode(2, 1.5)
    x = torch.tensor([[0.3, -0.7]])
    angles = [1.5 * x, 3.0 * x]
    expected = torch.cat([x, *(f(a) for a in angles for f in (torch.sin, torch.cos))], dim=1)
    torch.testing.assert_close(code(x), expected, rtol=0, atol=1e-6)
    assert code.width(2) == expected.shape[1] == 10


def test_coordinate_code_without_the_coordinates() -> None:
    code = PositionalCode(3, 1.0, include_input=False)
    assert code(torch.zeros(4, 5, 2)).shape == (4, 5, code.width(2))
    assert set(code.state_dict()) == {"_freqs", "_phases"}

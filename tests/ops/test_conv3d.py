from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from maskfield.ops.conv3d import conv, conv_backward, upsample, upsample_backward


def _last(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 4, 1).contiguous()


@pytest.mark.parametrize("kernel", [1, 3])
def test_conv_and_gradients_match_autograd(kernel: int) -> None:
    x = torch.randn(2, 5, 4, 3, 6, requires_grad=True)
    weight = torch.randn(7, 5, kernel, kernel, kernel, requires_grad=True)
    expected = F.conv3d(x, weight, padding=kernel // 2)
    grad = torch.randn_like(expected)
    expected.backward(grad)
    rows, w = _last(x.detach()), weight.detach()
    assert torch.allclose(conv(rows, w), _last(expected), atol=1e-4)
    grad_x, grad_w = conv_backward(_last(grad), rows, w)
    assert torch.allclose(grad_x, _last(x.grad), atol=1e-4)
    assert torch.allclose(grad_w, weight.grad, atol=1e-3)


@pytest.mark.parametrize("factor", [2, 4])
def test_upsample_and_gradients_match_autograd(factor: int) -> None:
    x = torch.randn(2, 5, 2, 3, 4, requires_grad=True)
    weight = torch.randn(5, 3, factor, factor, factor, requires_grad=True)
    bias = torch.randn(3, requires_grad=True)
    expected = F.conv_transpose3d(x, weight, bias, stride=factor)
    grad = torch.randn_like(expected)
    expected.backward(grad)
    rows, w, b = _last(x.detach()), weight.detach(), bias.detach()
    assert torch.allclose(upsample(rows, w, b), _last(expected), atol=1e-4)
    grad_x, grad_w, grad_b = upsample_backward(_last(grad), rows, w)
    assert torch.allclose(grad_x, _last(x.grad), atol=1e-4)
    assert torch.allclose(grad_w, weight.grad, atol=1e-3)
    assert torch.allclose(grad_b, bias.grad, atol=1e-3)


def test_upsample_into_a_slice_without_bias() -> None:
    x, weight = torch.randn(1, 2, 1, 2, 3), torch.randn(3, 4, 2, 2, 2)
    wide = torch.full((1, 4, 2, 4, 6), 7.0)
    upsample(x, weight, None, out=wide[..., :4])
    expected = F.conv_transpose3d(x.permute(0, 4, 1, 2, 3), weight, stride=2)
    assert torch.allclose(wide[..., :4], _last(expected), atol=1e-5)
    assert float(wide[..., 4:].min()) == float(wide[..., 4:].max()) == 7


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 5, 3)])
def test_weight_gradient_in_bf16_on_thin_maps(shape: tuple[int, int, int]) -> None:
    """oneDNN alone gives infinite or wrong gradients here (see ``unsafe_in_bf16``)."""
    generator = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(4, *shape, 48, generator=generator).bfloat16() for _ in range(2))
    weight = torch.randn(48, 48, 3, 3, 3, generator=generator).bfloat16()
    exact = conv_backward(grad.float(), x.float(), weight.float())
    for _ in range(10):
        torch.full((4_000_000,), float("nan"))  # what was in the memory must not matter
        for found, wanted in zip(conv_backward(grad, x, weight), exact, strict=True):
            torch.testing.assert_close(
                found.float(), wanted, atol=0.02 * float(wanted.abs().max()), rtol=0
            )

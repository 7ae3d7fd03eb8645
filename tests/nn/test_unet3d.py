from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskfield.nn.unet3d import FullResolutionEncoder, OutBlock, ResidualBlock, UNetDecoder, UpBlock


def _twins(make, seed: int = 0):
    """The same block, plain and fused."""
    torch.manual_seed(seed)
    plain, fused = make(fused=False), make(fused=True)
    fused.load_state_dict(plain.state_dict())
    return plain, fused


def _gradients(block, inputs: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = block(*leaves)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    (out * weights).sum().backward()
    return out, [t.grad for t in leaves + list(block.parameters())]


BLOCKS = {
    "same": (lambda fused: ResidualBlock(6, 6, fused=fused), [(2, 6, 5, 4, 6)]),
    "projected": (lambda fused: ResidualBlock(8, 6, fused=fused), [(1, 8, 4, 5, 6)]),
    "up4": (lambda fused: UpBlock(6, 3, 4, fused=fused), [(2, 6, 3, 2, 2)]),
    "up2 skip": (
        lambda fused: UpBlock(8, 4, 2, skip_channels=4, fused=fused),
        [(2, 8, 3, 2, 4), (2, 4, 6, 4, 8)],
    ),
    "encoder": (lambda fused: FullResolutionEncoder(4, 3, fused=fused), [(2, 4, 6, 5, 4)]),
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fused_equals_plain(name: str, dtype: torch.dtype) -> None:
    make, shapes = BLOCKS[name]
    plain, fused = (b.to(dtype) for b in _twins(make))
    inputs = [torch.randn(s, dtype=dtype) for s in shapes]
    (a, grads_a), (b, grads_b) = _gradients(plain, inputs), _gradients(fused, inputs)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    assert torch.allclose(a, b, atol=tolerance)
    for x, y in zip(grads_a, grads_b, strict=True):
        assert torch.allclose(x, y, atol=20 * tolerance, rtol=1e-3)


@pytest.mark.parametrize("name", ["projected", "up2 skip"])
def test_fused_under_autocast(name: str) -> None:
    make, shapes = BLOCKS[name]
    plain, fused = _twins(make)
    inputs = [torch.randn(s) for s in shapes]
    with torch.autocast("cpu", torch.bfloat16):
        out = fused(*inputs)
    assert out.dtype == torch.bfloat16
    expected = plain(*inputs)
    assert float((out.float() - expected).norm() / expected.norm()) < 0.03


@pytest.mark.parametrize("name", ["same", "up2 skip"])
def test_fused_gradcheck(name: str) -> None:
    make, _ = BLOCKS[name]
    shapes = {"same": [(1, 6, 2, 2, 3)], "up2 skip": [(1, 8, 1, 2, 1), (1, 4, 2, 4, 2)]}[name]
    block = make(fused=True).double()
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(block, inputs, atol=1e-5)


def test_fused_keeps_two_maps() -> None:
    """Kept for backward: the hidden activation and the output, besides the inputs."""
    block = UpBlock(6, 3, 4, fused=True)
    x = torch.randn(1, 6, 4, 4, 4)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out = block(x)
    full = [t for t in kept if t.numel() == out.numel()]
    assert len(full) == 2


def test_frozen_input_gets_no_gradient() -> None:
    block = UpBlock(6, 3, 4, fused=True)
    x = torch.randn(1, 6, 2, 2, 2)
    block(x).sum().backward()
    assert x.grad is None
    assert block.transp_conv.weight.grad is not None


def test_out_block_is_a_1x1_convolution() -> None:
    block = OutBlock(6, 4)
    x = torch.randn(2, 6, 3, 4, 5)
    assert torch.allclose(block(x), F.conv3d(x, block.conv.weight, block.conv.bias), atol=1e-6)


def test_decoder_shape_and_keys() -> None:
    decoder = UNetDecoder(6, 4)
    features = [torch.randn(1, 6 * 2**i, 8 // 2**i, 8 // 2**i, 8 // 2**i) for i in range(4)]
    assert decoder(features).shape == (1, 3, 32, 32, 32)
    keys = set(decoder.state_dict())
    assert "decoder4.conv_block.conv3.weight" in keys
    assert "decoder1.conv_block.conv3.weight" not in keys

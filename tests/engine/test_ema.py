"""Weight averaging against its formula."""

from __future__ import annotations

import torch
from torch import nn

from maskfield.engine.ema import WeightEMA


def test_follows_the_formula():
    model = nn.Linear(2, 1, bias=False)
    model.weight.data = torch.tensor([[1.0, 2.0]])
    ema = WeightEMA(model, 0.75)
    expected = torch.tensor([[1.0, 2.0]])
    for value in (3.0, -1.0, 0.5):
        model.weight.data = torch.full((1, 2), value)
        ema.update(model)
        expected = 0.75 * expected + 0.25 * value
    torch.testing.assert_close(ema.state_dict()["weight"], expected)


def test_decay_zero_is_the_weight_itself():
    model = nn.Linear(3, 3)
    ema = WeightEMA(model, 0.0)
    model.weight.data += 1
    ema.update(model)
    torch.testing.assert_close(ema.state_dict()["weight"], model.weight.data)


def test_buffers_are_copied():
    model = nn.BatchNorm1d(2)
    ema = WeightEMA(model, 0.9)
    model(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    ema.update(model)
    assert ema.state_dict()["num_batches_tracked"].item() == 1
    assert torch.equal(ema.state_dict()["running_mean"], model.running_mean)


def test_applied_swaps_and_gives_back_even_after_an_error():
    model = nn.Linear(1, 1)
    own = model.weight.detach().clone()
    ema = WeightEMA(model, 0.5)
    ema.average["weight"].fill_(7.0)
    parameter = model.weight
    try:
        with ema.applied(model):
            assert model.weight.item() == 7.0
            raise KeyError
    except KeyError:
        assert torch.equal(model.weight, own)
    assert model.weight is parameter  # the optimiser still holds the same tensor


def test_tied_weights_are_averaged_under_both_names():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    ema = WeightEMA(model, 0.5)
    before = model[0].weight.detach().clone()
    model[0].weight.data += 2
    ema.update(model)
    for name in ("0.weight", "1.weight"):
        torch.testing.assert_close(ema.state_dict()[name], before + 1)

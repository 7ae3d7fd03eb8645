"""Gradient norms and clipping."""

from __future__ import annotations

import pytest
import torch

from maskfield.engine.config import OptimConfig
from maskfield.engine.optim import (
    build_optimiser,
    clip_gradients,
    first_bad_gradient,
    parameters_of,
)


def with_gradients(*gradients):
    parameters = [torch.nn.Parameter(torch.zeros(len(g))) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(gradient)
    return parameters


def test_clip_scales_all_gradients_together():
    a, b = with_gradients([3.0], [0.0, 4.0])
    assert clip_gradients([a, b], 1.0).item() == pytest.approx(5.0)
    torch.testing.assert_close(a.grad, torch.tensor([0.6]), rtol=1e-5, atol=0)
    torch.testing.assert_close(b.grad, torch.tensor([0.0, 0.8]), rtol=1e-5, atol=0)


def test_small_gradients_and_no_limit_are_left_alone():
    for limit in (10.0, None):
        (a,) = with_gradients([3.0, 4.0])
        assert clip_gradients([a], limit).item() == pytest.approx(5.0)
        assert a.grad.tolist() == [3.0, 4.0]


def test_parameters_without_gradient_are_passed_over():
    (a,) = with_gradients([3.0])
    idle = torch.nn.Parameter(torch.ones(1))
    assert clip_gradients([a, idle], 1.0).item() == pytest.approx(3.0)
    assert idle.grad is None


def test_first_bad_gradient_is_named():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model(torch.ones(1, 2)).sum().backward()
    assert first_bad_gradient(model) is None
    model[1].weight.grad[0, 0] = float("inf")
    assert first_bad_gradient(model) == "1.weight"


def test_groups_keep_their_own_settings():
    a, b = with_gradients([1.0], [1.0])
    groups = [{"params": [a]}, {"params": [b], "lr": 0.5, "weight_decay": 0.0}]
    optimiser = build_optimiser(groups, OptimConfig(lr=0.1, weight_decay=0.2))
    found = [(g["lr"], g["weight_decay"]) for g in optimiser.param_groups]
    assert found == [(0.1, 0.2), (0.5, 0.0)]
    assert parameters_of(optimiser) == [a, b]


def test_first_update_is_adamw():
    """First step of AdamW by hand: w(1 - lr λ) - lr g / (|g| + eps)."""
    parameter = torch.nn.Parameter(torch.tensor([2.0]))
    parameter.grad = torch.tensor([-3.0])
    build_optimiser([{"params": [parameter]}], OptimConfig(lr=0.1, weight_decay=0.5)).step()
    assert parameter.item() == pytest.approx(2 * (1 - 0.1 * 0.5) + 0.1, rel=1e-6)

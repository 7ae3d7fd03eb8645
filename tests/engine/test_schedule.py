"""Schedules against PyTorch's own and against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from maskfield.engine.config import OptimConfig, ScheduleConfig
from maskfield.engine.optim import build_optimiser
from maskfield.engine.schedule import build_schedule

PEAK = 1e-2


def trace(config: ScheduleConfig, steps: int, lrs=(PEAK,)) -> list[list[tuple[float, float]]]:
    """Per update and group: learning rate and first beta."""
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in lrs]
    optimiser = build_optimiser(groups, OptimConfig(lr=PEAK))
    schedule = build_schedule(optimiser, config, steps)
    seen = []
    for step in range(steps):
        seen.append([(g["lr"], g["betas"][0]) for g in optimiser.param_groups])
        optimiser.step()
        if step + 1 < steps:
            schedule.step()
    return seen


def annealed(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))


@pytest.mark.parametrize(
    ("steps", "warmup"), [(2, 1.0), (10, 0.1), (10, 0.3), (10, 1.0), (97, 0.1), (97, 0.3)]
)
def test_one_cycle_rises_and_falls_as_published(steps, warmup):
    seen = trace(ScheduleConfig(warmup=warmup), steps)
    top = warmup * steps - 1
    for step, [(lr, beta)] in enumerate(seen):
        if step <= top:
            fraction = step / top if top else 0.0
            expected = annealed(PEAK / 25, PEAK, fraction), annealed(0.95, 0.85, fraction)
        else:
            fraction = (step - top) / (steps - 1 - top)
            expected = annealed(PEAK, PEAK / 25 / 1e4, fraction), annealed(0.85, 0.95, fraction)
        assert (lr, beta) == pytest.approx(expected, rel=1e-6)


def test_one_cycle_keeps_beta_when_told():
    seen = trace(ScheduleConfig(cycle_momentum=False), 10)
    assert {beta for [(_, beta)] in seen} == {0.9}


def test_one_cycle_respects_the_groups_own_rates():
    seen = trace(ScheduleConfig(), 100, lrs=(PEAK, PEAK / 10))
    for (a, _), (b, _) in seen:
        assert a == pytest.approx(10 * b)


@pytest.mark.parametrize("name", ["one_cycle", "cosine", "constant"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.3), (1, 0.0), (1, 1.0), (5, 0.2), (3, 0.0)])
def test_short_runs_have_a_finite_positive_rate(name, steps, warmup):
    for [(lr, _)] in trace(ScheduleConfig(name=name, warmup=warmup), steps):
        assert 0 < lr <= PEAK


def test_cosine():
    seen = [lr for [(lr, _)] in trace(ScheduleConfig(name="cosine", warmup=0.2), 11)]
    assert seen[0] == pytest.approx(PEAK / 25)
    assert seen[-1] == pytest.approx(PEAK / 25 / 1e4)
    assert max(seen) <= PEAK
    assert seen[3:] == sorted(seen[3:], reverse=True)


def test_constant_after_warm_up():
    seen = [lr for [(lr, _)] in trace(ScheduleConfig(name="constant", warmup=0.4), 10)]
    assert seen[0] == pytest.approx(PEAK / 25)
    assert seen[:4] == sorted(seen[:4])
    assert seen[4:] == [PEAK] * 6

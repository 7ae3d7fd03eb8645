"""One update: batches → loss → gradients → clipping → optimiser, schedule, averages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from maskfield.core.errors import NumericsError
from maskfield.engine.distributed import own_slice, to_device
from maskfield.engine.optim import clip_gradients, first_bad_gradient, parameters_of
from maskfield.engine.precision import autocast
from maskfield.engine.seeding import mixed_seed
from maskfield.engine.session import Session
from maskfield.engine.task import StepOutput


@dataclass(frozen=True, kw_only=True)
class Update:
    """What one update did, as numbers (means over its batches and over the processes).

    Attributes:
        loss, parts: see :class:`maskfield.engine.task.StepOutput`.
        counts: work of this update, summed.
        grad_norm: norm of all gradients before clipping; None if the task updates itself.
        lr: learning rate of the first parameter group in this update; None likewise.
        stop: some process was asked to stop.
    """

    loss: float
    parts: dict[str, float]
    counts: dict[str, int]
    grad_norm: float | None
    lr: float | None
    stop: bool


def update(session: Session, asked_to_stop: Callable[[], bool]) -> Update:
    """Do one update and advance ``session.step``.

    Args:
        asked_to_stop: whether this process was; the answer is shared with the others.

    Raises:
        NumericsError: the loss or a gradient is not finite; the weights are left as they were,
            unless the task updates itself.
    """
    optimise = getattr(session.task, "optimise", None)
    if optimise is not None:
        outputs, norm = [optimise(_batch(session), session.step)], None
    else:
        outputs, norm = _differentiate(session), _clip(session)
    result = _shared(session, outputs, asked_to_stop(), norm)
    _refuse_non_finite(session, result)
    if optimise is None:
        _apply(session)
    session.step += 1
    if session.ema is not None:
        session.ema.update(session.task.model)
    after_step = getattr(session.task, "after_step", None)
    if after_step is not None:
        after_step(session.step)
    return result


def _batch(session: Session) -> Any:
    processes = session.processes
    share = getattr(session.task, "share", own_slice)
    mine = share(next(session.feed), processes.rank, processes.world)
    return to_device(mine, processes.device)


def _differentiate(session: Session) -> list[StepOutput]:
    """Forward and backward of every batch of this update; gradients are averaged over them."""
    config, processes = session.config.engine, session.processes
    outputs = []
    for i in range(config.accumulate):
        batch = _batch(session)
        number = session.step * config.accumulate + i
        session.generator.manual_seed(mixed_seed(session.config.seed, number, processes.rank))
        last = i == config.accumulate - 1
        with nullcontext() if last else processes.accumulating(session.stepper):
            with autocast(processes.device, config.precision):
                output = session.stepper(batch, session.step, session.generator)
            processes.backward(output.loss / config.accumulate)
        outputs.append(output)
    return outputs


def _clip(session: Session) -> torch.Tensor:
    assert session.optimiser is not None
    parameters = parameters_of(session.optimiser)
    return clip_gradients(parameters, session.config.engine.clip_grad_norm)


def _apply(session: Session) -> None:
    assert session.optimiser is not None
    assert session.schedule is not None
    session.optimiser.step()
    session.optimiser.zero_grad(set_to_none=True)
    if session.step + 1 < session.config.engine.steps:  # there is no step after the last one
        session.schedule.step()


def _shared(
    session: Session, outputs: list[StepOutput], stop: bool, norm: torch.Tensor | None
) -> Update:
    """Numbers of this update: one transfer from the device, one reduction over processes."""
    names = list(outputs[0].parts)
    rows = [torch.stack([_scalar(o.loss), *(_scalar(o.parts[n]) for n in names)]) for o in outputs]
    device = rows[0].device
    extra = torch.stack([_scalar(norm if norm is not None else 0.0), _scalar(stop)]).to(device)
    values = session.processes.mean(torch.cat([torch.stack(rows).mean(0), extra])).tolist()
    return Update(
        loss=values[0],
        parts=dict(zip(names, values[1:-2], strict=True)),
        counts=_counts(outputs, session.processes.world),
        grad_norm=None if norm is None else values[-2],
        lr=None if session.optimiser is None else float(session.optimiser.param_groups[0]["lr"]),
        stop=values[-1] > 0,
    )


def _scalar(value: torch.Tensor | float) -> torch.Tensor:
    return torch.as_tensor(value).detach().float().reshape(())


def _counts(outputs: list[StepOutput], world: int) -> dict[str, int]:
    names = outputs[0].counts
    return {n: world * sum(o.counts[n] for o in outputs) for n in names}


def _refuse_non_finite(session: Session, result: Update) -> None:
    if math.isfinite(result.loss) and math.isfinite(result.grad_norm or 0.0):
        return
    part, value = _offender(session, result)
    last = session.last_checkpoint
    raise NumericsError(
        f"training stopped at step {session.step}: {part} is not finite",
        file=last,
        field=part,
        value=value,
        remedy=(
            "lower the learning rate, clip gradients or use precision fp32; the last good "
            f"checkpoint is {'none yet' if last is None else last.name}"
        ),
    )


def _offender(session: Session, result: Update) -> tuple[str, float]:
    """The part of the loss, the whole loss, or the parameter that is to blame."""
    bad: Mapping[str, float] = {k: v for k, v in result.parts.items() if not math.isfinite(v)}
    if not math.isfinite(result.loss):
        return next(iter(bad.items()), ("loss", result.loss))
    assert result.grad_norm is not None
    name = first_bad_gradient(session.task.model) or "all parameters together"
    return f"the gradient of {name}", result.grad_norm

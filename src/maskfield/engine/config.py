"""What a run is made of: method, data, optimiser, schedule, engine. Free of torch."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeVar

from maskfield.core.config import Registered, config
from maskfield.core.errors import ConfigError
from maskfield.core.registry import CONFIGS, key_of

T = TypeVar("T")


@config
class OptimConfig:
    """AdamW. Weight decay acts on every tensor, unless the task's parameter groups say otherwise.

    Attributes:
        lr: (highest) learning rate.
        weight_decay: decoupled weight decay.
        betas: decay rates of the two moments; a one-cycle schedule with ``cycle_momentum`` moves
            the first one itself.
        eps: added to the root of the second moment.
    """

    lr: float = 1e-4
    weight_decay: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        _require(self.lr > 0, "lr", self.lr, "a learning rate above 0")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        _require(all(0 <= b < 1 for b in self.betas), "betas", self.betas, "two numbers in [0, 1)")
        _require(self.eps > 0, "eps", self.eps, "a number above 0")


@config
class ScheduleConfig:
    """How the learning rate moves, once per optimiser step.

    Attributes:
        name: "one_cycle" (PyTorch's OneCycleLR, cosine), "cosine" (linear warm-up, cosine to
            ``lr / (div * final_div)``) or "constant" (linear warm-up, then constant).
        warmup: fraction of the steps spent rising.
        div: the first learning rate is ``lr / div``.
        final_div: the last learning rate is ``lr / (div * final_div)``.
        cycle_momentum: one_cycle only: β₁ goes 0.95 → 0.85 → 0.95 against the learning rate.
    """

    name: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    warmup: float = 0.3
    div: float = 25.0
    final_div: float = 1e4
    cycle_momentum: bool = True

    def __post_init__(self) -> None:
        _require(0 <= self.warmup <= 1, "warmup", self.warmup, "a fraction in [0, 1]")
        _require(self.div >= 1, "div", self.div, "1 or more")
        _require(self.final_div >= 1, "final_div", self.final_div, "1 or more")


@config
class EngineConfig:
    """The loop's own settings. A step is one optimiser update, of ``accumulate`` batches.

    Attributes:
        steps: optimiser updates in the whole run.
        precision: "fp32", "bf16" (autocast of the forward pass; weights stay fp32), or "auto": bf16
            where the device computes in it.
        accumulate: batches whose gradients are averaged before one update.
        clip_grad_norm: greatest norm of all gradients together, or None.
        ema_decay: keep an exponential moving average of the weights, used for validation and stored
            as the checkpoint's weights; or None.
        log_every: steps between records in ``log.jsonl``.
        validate_every: steps between validations; 0: only at the end.
        checkpoint_every: steps between checkpoints; 0: only at the end.
        keep_checkpoints: how many of the newest checkpoints stay (the best one always does).
        threads: CPU threads of torch, or None for torch's own choice.
        device: "auto" (CUDA if there is one), "cpu", "cuda", "cuda:1" ...
        tensorboard: also write TensorBoard events (extra ``tensorboard``).
        best_metric: validation metric that decides which checkpoint is ``best``.
        best_mode: whether a smaller ("min") or a larger ("max") value is better.
    """

    steps: int = 1000
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    accumulate: int = 1
    clip_grad_norm: float | None = None
    ema_decay: float | None = None
    log_every: int = 10
    validate_every: int = 0
    checkpoint_every: int = 0
    keep_checkpoints: int = 2
    threads: int | None = None
    device: str = "auto"
    tensorboard: bool = False
    best_metric: str = "loss"
    best_mode: Literal["min", "max"] = "min"

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "log_every", "keep_checkpoints"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("validate_every", "checkpoint_every"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("threads", "clip_grad_norm"):
            value = getattr(self, name)
            _require(value is None or value > 0, name, value, "a number above 0, or null")
        decay = self.ema_decay
        _require(decay is None or 0 <= decay < 1, "ema_decay", decay, "a number in [0, 1), or null")


@config
class RunConfig:
    """Everything that decides a run's result, together with the code and the data.

    Attributes:
        method: the method's config (key of ``CONFIGS``, written as ``type``).
        data: the data's config, or None for a task that brings its own.
        seed: of weights, data order and every random draw.
        name: shown in logs and reports.
    """

    method: Registered
    data: Registered = None
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    seed: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed", self.seed, "0 or more")


def of_kind(value: object, kind: type[T], *, what: str, field: str, recipe: str) -> T:
    """A part of a run's configuration, after making sure that it is what a task works with.

    Args:
        what: the task, for the message. field: the part's name. recipe: one that has it right.

    Raises:
        ConfigError: a config of another class.
    """
    if isinstance(value, kind):
        return value
    raise ConfigError(
        f"{what} needs a config of type {key_of(CONFIGS, kind) or kind.__name__}",
        field=field,
        value=type(value).__name__,
        remedy=f"start from a recipe such as {recipe}",
    )


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError("out of range", field=name, value=value, remedy=f"give {expected}")

"""A task small enough for tests: a perceptron learns a sum. Also runs as a script, for torchrun."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from maskfield.core.config import config
from maskfield.engine.config import EngineConfig, OptimConfig, RunConfig
from maskfield.engine.loop import run
from maskfield.engine.task import Loaders, StepOutput


@config
class TinyConfig:
    """``noisy``: the step draws random numbers of every kind, and the net has buffers."""

    training_only: ClassVar[frozenset[str]] = frozenset({"loss_weight"})

    width: int = 8
    noisy: bool = False
    slope: float = 0.1
    loss_weight: float = 1.0


class TinyTask:
    """Regression of the sum of three numbers. ``before_step`` lets a test interfere."""

    def __init__(
        self, config: RunConfig, *, before_step: Callable[[int], None] | None = None
    ) -> None:
        self.config: TinyConfig = config.method
        self.before_step = before_step
        generator = torch.Generator().manual_seed(config.seed)
        dropout = 0.2 if self.config.noisy else 0.0
        self.model = nn.Sequential(
            nn.Linear(3, self.config.width),
            nn.BatchNorm1d(self.config.width) if self.config.noisy else nn.Identity(),
            nn.Dropout(dropout),
            nn.LeakyReLU(self.config.slope),
            nn.Linear(self.config.width, 1),
        )
        for parameter in self.model.parameters():
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
        self.x = torch.randn(48, 3, generator=torch.Generator().manual_seed(1))
        self.y = self.x.sum(1, keepdim=True)
        self.seen = 0

    def loaders(self) -> Loaders:
        data = TensorDataset(self.x, self.y)
        train = DataLoader(data, batch_size=8, shuffle=True)
        return Loaders(train=train, validation=[(self.x, self.y)])

    def training_step(self, batch: Any, step: int, generator: torch.Generator) -> StepOutput:
        if self.before_step is not None:
            self.before_step(step)
        x, y = batch
        if self.config.noisy:
            shift = random.random() + np.random.rand()  # noqa: NPY002 - third-party code does this
            x = x + 0.01 * shift + 0.01 * torch.randn(x.shape, generator=generator)
        loss = self.config.loss_weight * ((self.model(x) - y) ** 2).mean()
        return StepOutput(loss=loss, parts={"mse": loss.detach()}, counts={"rows": len(x)})

    def validate(self, loader: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
        assert not self.model.training
        assert not torch.is_grad_enabled()
        torch.rand(7)  # a validation may draw; training must not notice
        errors = [float(((self.model(x) - y) ** 2).mean()) for x, y in loader]
        return {"loss": sum(errors) / len(errors)}

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters())}]

    def after_step(self, step: int) -> None:
        self.seen += 1

    def state_dict(self) -> dict[str, int]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.seen = state["seen"]

    def conventions(self) -> dict[str, str]:
        return {"target": "sum"}


def main(folder: str) -> None:
    """Train 12 steps in however many processes there are."""
    engine = EngineConfig(steps=12, log_every=1, accumulate=2, clip_grad_norm=1.0, device="cpu")
    config = RunConfig(method=TinyConfig(), optim=OptimConfig(lr=1e-2), engine=engine)
    run(config, folder, task=TinyTask(config), progress="off")


if __name__ == "__main__":
    main(sys.argv[1])

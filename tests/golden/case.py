"""One golden case: a folder with meta.json, inputs, weights (outputs are the runner's)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from golden import rules
from golden.weights import WeightSource, weight_source

META = "meta.json"


class Case:
    """What an adapter may see: configuration, inputs and weights, never the outputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: dict[str, Any] = json.loads((folder / META).read_text())
        self.system: str = self.config["system"]
        self.name: str = self.config["case"]
        self.kind = f"{self.system}/{self.config['kind']}"

    def __repr__(self) -> str:
        return f"Case({self.system}/{self.name})"

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """Stored input tensors; empty where every input comes by rule."""
        path = self.folder / "inputs.safetensors"
        return load_file(path) if path.is_file() else {}

    @cached_property
    def weight_source(self) -> WeightSource:
        """Where the weights of this case come from: a file, or one of the rules."""
        return weight_source(self.folder, self.config)

    @property
    def weights(self) -> dict[str, Tensor]:
        """Weights whose keys and shapes the case itself lists (file, manifest or recipe)."""
        return self.weight_source.tensors({})

    def state_dict(self, template: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The official weights for a network whose official keys and shapes are ``template``.

        Args:
            template: official key -> tensor as built; rules that say "as constructed" keep it.
        """
        return self.weight_source.tensors(template)

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The weights whose key begins with ``prefix.``, without it."""
        start = f"{prefix}."
        return {k.removeprefix(start): v for k, v in self.weights.items() if k.startswith(start)}

    def unit(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """u in [0, 1) of the case's own hash rule for a tensor called ``name``, float64."""
        return rules.unit(rules.hash_of(self.config), name, shape)

    def grid(self, name: str, shape: tuple[int, int, int]) -> Tensor:
        """The grid [4, x, y, z] of ``formula_grid``: colour u; alpha u where occupied, else 0."""
        rules.expect_text(self.config, "formula_grid", rules.GRID_TEXT)
        values = self.unit(name, (4, *shape))
        values[3] *= self.unit(f"{name}.occ", shape) > 0.6
        return torch.from_numpy(values.astype(np.float32))

    def grids(self, stem: str = "grid") -> list[Tensor]:
        """All grids of a list: stored as ``grid0``, ``grid1``, ... or made by formula.

        Args:
            stem: "grid" or "target": of ``grid_names``, ``grid_shapes`` and the stored names.
        """
        shapes = [tuple(s) for s in self.config[f"{stem}_shapes"]]
        if f"{stem}0" in self.inputs:
            return [self.inputs[f"{stem}{i}"] for i in range(len(shapes))]
        names = self.config[f"{stem}_names"]
        return [self.grid(n, s) for n, s in zip(names, shapes, strict=True)]


def find_cases(root: Path) -> list[Path]:
    """All case folders ``SYSTEM/CASE`` under ``root``, sorted."""
    return sorted(p.parent for p in root.glob(f"*/*/{META}"))

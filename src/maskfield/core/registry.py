"""What names in config files and on the command line stand for; nothing is imported until asked.

A table maps a key to ``"module:attribute"``. Other packages add rows through the entry point group
``maskfield.plugins``: the entry's name is ``TABLE.KEY`` and its value ``module:attribute``, e.g.
``"tasks.my-method" = "my_package.task:MyTask"``. Entry points are read only when a key is not built
in, or when all keys are listed.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from maskfield.core.errors import ConfigError

PLUGIN_GROUP = "maskfield.plugins"


class Table(Mapping[str, str]):
    """Read-only map from key to ``"module:attribute"``, built-in rows before those of plugins.

    Args:
        name: the table's name in entry points ("configs", "recipes", "tasks").
        noun: what one row is called in error messages.
        rows: the built-in rows.
    """

    def __init__(self, name: str, noun: str, rows: Mapping[str, str]) -> None:
        self.name = name
        self.noun = noun
        self.rows = dict(rows)

    def __getitem__(self, key: str) -> str:
        return self.rows[key] if key in self.rows else self._plugins()[key]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._plugins(), **self.rows})

    def __len__(self) -> int:
        return len({**self._plugins(), **self.rows})

    def _plugins(self) -> dict[str, str]:
        prefix = f"{self.name}."
        found = entry_points(group=PLUGIN_GROUP)
        return {e.name.removeprefix(prefix): e.value for e in found if e.name.startswith(prefix)}


CONFIGS = Table(
    "configs",
    "config type",
    {
        "nerf-mae": "maskfield.methods.nerf_mae.config:NerfMAEConfig",
        "nerf-mae-detect": "maskfield.methods.nerf_mae.downstream_config:TransferDetectorConfig",
        "nerf-mae-segment": "maskfield.methods.nerf_mae.downstream_config:SemanticConfig",
        "nerf-mae-superres": "maskfield.methods.nerf_mae.downstream_config:SuperResolutionConfig",
        "nerf-rpn": "maskfield.methods.nerf_rpn.config:NerfRPNConfig",
        "pixelnerf": "maskfield.methods.pixelnerf.config:PixelNeRFConfig",
        "voxel-fit": "maskfield.fields.config:VoxelFitConfig",
        "grids": "maskfield.data.config:GridDataConfig",
        "objects": "maskfield.data.object_config:ObjectDataConfig",
        "scene": "maskfield.data.config:SceneDataConfig",
    },
)

TASKS = Table(
    "tasks",
    "task",
    {
        "nerf-mae": "maskfield.methods.nerf_mae.task:NerfMAETask",
        "nerf-mae-detect": "maskfield.methods.nerf_mae.finetuning.detect:TransferDetectionTask",
        "nerf-mae-segment": "maskfield.methods.nerf_mae.finetuning.segment:SemanticTask",
        "nerf-mae-superres": "maskfield.methods.nerf_mae.finetuning.superres:SuperResolutionTask",
        "nerf-rpn": "maskfield.methods.nerf_rpn.task:DetectionTask",
        "pixelnerf": "maskfield.methods.pixelnerf.task:PixelNeRFTask",
        "voxel-fit": "maskfield.fields.task:VoxelFitTask",
    },
)

RECIPES = Table(
    "recipes",
    "recipe",
    {
        "nerf-mae:tiny-cpu": "maskfield.recipes.nerf_mae:tiny_cpu",
        "nerf-mae:small": "maskfield.recipes.nerf_mae:small",
        "nerf-mae:paper": "maskfield.recipes.nerf_mae:paper",
        "nerf-mae-detect:tiny-cpu": "maskfield.recipes.finetune:detect_tiny_cpu",
        "nerf-mae-detect:small": "maskfield.recipes.finetune:detect_small",
        "nerf-mae-detect:paper": "maskfield.recipes.finetune:detect_paper",
        "nerf-mae-segment:tiny-cpu": "maskfield.recipes.finetune:segment_tiny_cpu",
        "nerf-mae-segment:small": "maskfield.recipes.finetune:segment_small",
        "nerf-mae-segment:paper": "maskfield.recipes.finetune:segment_paper",
        "nerf-mae-superres:tiny-cpu": "maskfield.recipes.finetune:superres_tiny_cpu",
        "nerf-mae-superres:small": "maskfield.recipes.finetune:superres_small",
        "nerf-mae-superres:paper": "maskfield.recipes.finetune:superres_paper",
        "nerf-rpn:tiny-cpu": "maskfield.recipes.nerf_rpn:tiny_cpu",
        "nerf-rpn:small": "maskfield.recipes.nerf_rpn:small",
        "nerf-rpn:paper": "maskfield.recipes.nerf_rpn:paper",
        "pixelnerf:tiny-cpu": "maskfield.recipes.pixelnerf:tiny_cpu",
        "pixelnerf:small": "maskfield.recipes.pixelnerf:small",
        "pixelnerf:paper": "maskfield.recipes.pixelnerf:paper",
    },
)


def resolve(table: Table, key: str, *, field: str | None = None) -> Any:
    """Import and return what ``key`` stands for.

    Args:
        field: the config field or option the key was given in, for the message.

    Raises:
        ConfigError: no such key; the message names the nearest one.
    """
    target = table.get(key) if isinstance(key, str) else None
    if target is None:
        raise ConfigError(
            f"unknown {table.noun}",
            field=field,
            value=key,
            remedy=suggestion(str(key), table),
        )
    return load_object(target)


def load_object(target: str) -> Any:
    """Import ``"module:attribute"``."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def key_of(table: Table, cls: type) -> str | None:
    """The key whose row names this class, or None; imports nothing."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    for rows in (table.rows, table):
        for key in rows:
            if rows[key] == target:
                return key
    return None


def suggestion(word: str, choices: Iterable[str]) -> str:
    """A remedy: the nearest of the choices if one is near, and all of them."""
    choices = sorted(choices)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}choose one of: {', '.join(choices)}"

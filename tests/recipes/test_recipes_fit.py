"""The parts of every recipe go together: network and data, sizes and metrics, both beginnings.

Networks are built on no device: shapes and names alone, whatever their size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from maskfield.core.registry import CONFIGS, RECIPES, TASKS, key_of, resolve
from maskfield.data.config import GridDataConfig
from maskfield.data.object_config import ObjectDataConfig
from maskfield.data.synthetic.classes import CLASS_NAMES
from maskfield.engine.config import RunConfig
from maskfield.methods.nerf_mae.batches import checked_data
from maskfield.methods.nerf_mae.config import SIZES, NerfMAEConfig
from maskfield.methods.nerf_mae.convert import refuse_unofficial
from maskfield.methods.nerf_mae.finetuning.detect import TransferDetectionTask
from maskfield.methods.nerf_mae.model import NerfMAE
from maskfield.methods.nerf_rpn.config import NerfRPNConfig
from maskfield.methods.nerf_rpn.task import DetectionTask, checked_detector
from maskfield.recipes.finetune import from_scratch, with_labels

METHODS = ("nerf-mae", "nerf-mae-detect", "nerf-mae-segment", "nerf-mae-superres", "nerf-rpn")
BEST = {
    "nerf-mae": "psnr",
    "nerf-mae-detect": "ap_50",
    "nerf-mae-segment": "mIoU",
    "nerf-mae-superres": "psnr",
    "nerf-rpn": "ap_50",
}
LENGTHS = ("tiny-cpu", "small", "paper")
ALL = [f"{method}:{size}" for method in METHODS for size in LENGTHS]  # on grids
VIEWS = [f"pixelnerf:{size}" for size in LENGTHS]  # on objects
CONTINUING = [name for name in ALL if name.startswith("nerf-mae-")]


def recipe(name: str) -> RunConfig:
    return resolve(RECIPES, name)()


def shapes(method: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a method's network; nothing is allocated."""
    with torch.device("meta"):
        return {k: tuple(v.shape) for k, v in method.build().state_dict().items()}


def base_of(config: RunConfig) -> NerfMAEConfig:
    base = getattr(config.method, "base", config.method)
    assert isinstance(base, NerfMAEConfig)
    return base


def test_every_method_has_the_three_sizes() -> None:
    assert sorted(RECIPES.rows) == sorted([*ALL, *VIEWS])


@pytest.mark.parametrize("name", VIEWS)
def test_recipes_on_objects_go_together(name: str) -> None:
    config = recipe(name)
    task = resolve(TASKS, key_of(CONFIGS, type(config.method)) or "")
    for part in ("loaders", "training_step", "validate", "parameter_groups", "conventions"):
        assert callable(getattr(task, part)), part
    assert isinstance(config.data, ObjectDataConfig)
    assert (config.engine.best_metric, config.engine.best_mode) == ("psnr", "max")
    assert 0 < config.method.boxed_steps < config.engine.steps
    assert shapes(config.method)


@pytest.mark.parametrize("name", ALL)
def test_the_task_is_a_task_and_says_what_is_best(name: str) -> None:
    config = recipe(name)
    task = resolve(TASKS, key_of(CONFIGS, type(config.method)) or "")
    for part in ("loaders", "training_step", "validate", "parameter_groups", "conventions"):
        assert callable(getattr(task, part)), part
    assert (config.engine.best_metric, config.engine.best_mode) == (BEST[name.split(":")[0]], "max")
    assert config.engine.steps >= config.engine.validate_every > 0
    assert task is not DetectionTask or isinstance(config.method, NerfRPNConfig)
    assert name.startswith("nerf-mae-detect") == (task is TransferDetectionTask)


@pytest.mark.parametrize("name", ALL)
def test_network_and_data_have_the_same_size(name: str) -> None:
    config = recipe(name)
    assert isinstance(config.data, GridDataConfig)
    if isinstance(config.method, NerfRPNConfig):
        assert checked_detector(config.method, config) == (config.method, config.data)
    elif name.startswith("nerf-mae-detect"):
        detector, data = checked_detector(config.method.detector(), config)
        assert detector.resolution == data.resolution
    else:
        assert checked_data(config, base_of(config)) == config.data


@pytest.mark.parametrize("name", ALL)
def test_the_network_builds_without_a_device(name: str) -> None:
    found = shapes(recipe(name).method)
    assert any(k.endswith("patch_partition.0.weight") for k in found)
    floats = sum(torch.Size(s).numel() for s in found.values())
    assert floats < 12e6 if name.endswith("tiny-cpu") else floats > 20e6


@pytest.mark.parametrize("name", CONTINUING)
def test_the_encoder_is_the_one_that_was_pretrained(name: str) -> None:
    config = recipe(name)
    prefix = "backbone." if "detect" in name else ""
    with torch.device("meta"):
        encoder = NerfMAE(base_of(config)).encoder.state_dict()
    found = shapes(config.method)
    for key, value in encoder.items():
        if key != "mask_token":
            assert found[f"{prefix}encoder.{key}"] == tuple(value.shape), key
    if name.endswith("tiny-cpu"):
        assert base_of(config) == SIZES["tiny"]  # whose weights come with the package


@pytest.mark.parametrize("name", CONTINUING)
def test_scratch_differs_by_the_table_alone(name: str) -> None:
    config = recipe(name)
    pretrained, scratch = shapes(config.method), shapes(from_scratch(config).method)
    missing = [k for k in pretrained if k not in scratch]
    assert [k.split(".")[-1] for k in missing if "mask_token" not in k] == ["pos_embed"]
    assert scratch == {k: s for k, s in pretrained.items() if k not in missing}


@pytest.mark.parametrize("name", CONTINUING)
def test_labels_are_taken_from_the_training_part_only(name: str) -> None:
    config = recipe(name)
    some = with_labels(config, 0.25)
    assert some.data.percent_train == 0.25
    assert some.data.validation_count == config.data.validation_count
    assert some.method == config.method


def test_paper_sizes_are_the_papers() -> None:
    for name in (n for n in ALL if n.endswith(":paper")):
        config = recipe(name)
        assert config.data.resolution == 160
        assert config.schedule.name == "one_cycle"
        assert config.engine.clip_grad_norm == 0.1
        if name.startswith("nerf-mae"):
            assert base_of(config) == SIZES["swin_s"]
            refuse_unofficial(base_of(config), Path("x.pt"), table=True)
    assert recipe("nerf-mae-superres:paper").method.fine_resolution == 256
    assert len(recipe("nerf-mae-segment:paper").method.class_names) == 19


def test_classes_of_rooms_are_those_of_the_rooms() -> None:
    for size in ("tiny-cpu", "small"):
        assert recipe(f"nerf-mae-segment:{size}").method.class_names == CLASS_NAMES

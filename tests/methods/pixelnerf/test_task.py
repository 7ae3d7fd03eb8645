"""Training: from procedural objects to figures, bit-identical, with honest baselines beside."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from maskfield.core.errors import ConfigError, DataError
from maskfield.data.config import GridDataConfig
from maskfield.data.object_config import ObjectDataConfig
from maskfield.engine.checkpoint import load_weights
from maskfield.engine.config import RunConfig
from maskfield.engine.loop import run
from maskfield.methods.pixelnerf.answers import source_views_of
from maskfield.methods.pixelnerf.config import (
    MLPConfig,
    PixelNeRFConfig,
    SamplingConfig,
    SmallEncoderConfig,
)
from maskfield.methods.pixelnerf.task import PixelNeRFTask
from maskfield.methods.pixelnerf.validation import held_out_views, mean_image, nearest_view
from maskfield.recipes.pixelnerf import tiny_cpu


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """The tiny recipe on four objects of 16 pixels."""
    recipe, mlp = tiny_cpu(), MLPConfig(blocks=2, hidden=16, combine_layer=1)
    method = PixelNeRFConfig(
        encoder=SmallEncoderConfig(widths=(8, 16)),
        mlp=mlp,
        mlp_fine=mlp,
        sampling=SamplingConfig(coarse=8, fine=6, fine_depth=2),
        boxed_steps=2,
    )
    data = ObjectDataConfig(
        batch_size=2,
        rays=16,
        image_size=16,
        views=4,
        train_count=4,
        validation_count=2,
        source_views=(1, 2),
        cache=str(tmp_path_factory.mktemp("cache")),
    )
    engine = replace(
        recipe.engine,
        steps=4,
        validate_every=0,
        checkpoint_every=2,
        precision="fp32",
        threads=1,
    )
    return replace(recipe, method=method, data=data, engine=engine)


def weights_of(folder: Path) -> dict[str, Tensor]:
    return load_weights(folder)[0]


def test_runs_and_resumes_to_the_same_bits(config: RunConfig, tmp_path: Path) -> None:
    whole = run(config, tmp_path / "whole", progress="off")
    assert whole.step == 4
    for n in (1, 2):
        for name in (f"psnr_{n}", f"psnr_{n}_nearest_source", f"psnr_{n}_mean_image"):
            assert 3 < whole.metrics[name] < 40
    assert (tmp_path / "whole" / "figures" / "views.png").is_file()
    checkpoint = whole.folder / "checkpoints" / "step-2"
    resumed = run(config, tmp_path / "resumed", resume=str(checkpoint), progress="off")
    first, second = weights_of(whole.folder), weights_of(resumed.folder)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_trains_and_validates_in_bfloat16(config: RunConfig, tmp_path: Path) -> None:
    engine = replace(config.engine, precision="bf16", steps=2)
    found = run(replace(config, engine=engine), tmp_path / "run", progress="off")
    assert 3 < found.metrics["psnr_1"] < 40


def test_a_step_learns_from_every_part(config: RunConfig) -> None:
    task = PixelNeRFTask(config)
    batch = next(iter(task.loaders().train))
    out = task.training_step(batch, 0, torch.Generator().manual_seed(0))
    out.loss.backward()
    assert set(out.parts) == {"coarse", "fine"}
    assert out.counts == {"rays": 32}
    used = {n for n, p in task.model.named_parameters() if p.grad is not None}
    assert any(n.startswith("encoder") for n in used)
    assert any(n.startswith("mlp_coarse") for n in used)
    assert any(n.startswith("mlp_fine") for n in used)


def test_rays_leave_the_boxes_after_boxed_steps(config: RunConfig) -> None:
    task = PixelNeRFTask(config)
    batch = next(iter(task.loaders().train))
    early, late = (
        task.training_step(batch, step, torch.Generator().manual_seed(0)).loss for step in (0, 2)
    )
    assert early.item() != late.item()


def test_held_out_views_are_not_their_sources(config: RunConfig) -> None:
    task = PixelNeRFTask(config)
    objects = task.held_out_objects
    first = held_out_views(objects, task.train_objects, 2, per_object=2)
    again = held_out_views(objects, task.train_objects, 2, per_object=2)
    assert len(first) == 4
    for view, same in zip(first, again, strict=True):
        assert torch.equal(view.image, same.image)
        pose = view.camera.camera_to_world[0]
        assert float((view.poses[0] - pose).abs().amax(dim=(1, 2)).min()) > 1e-3
    assert mean_image(task.train_objects).shape == (16, 16, 3)


def test_nearest_view_looks_the_same_way(config: RunConfig) -> None:
    cameras = PixelNeRFTask(config).train_objects[0].cameras
    alike = cameras.forward_axes @ cameras.forward_axes[0]
    assert nearest_view(cameras, [1, 2, 3], 0) == 1 + int(alike[1:].argmax())


def test_processes_share_a_batch(config: RunConfig) -> None:
    task = PixelNeRFTask(config)
    batch = next(iter(task.loaders().train))
    parts = [task.share(batch, rank, 2) for rank in range(2)]
    assert torch.equal(torch.cat([p.images for p in parts]), batch.images)
    with pytest.raises(DataError, match="equally"):
        task.share(batch, 0, 3)


def test_answers_are_every_other_view(config: RunConfig, tmp_path: Path) -> None:
    task = PixelNeRFTask(config)
    task.model.eval()
    paths = task.answers(tmp_path)
    scores = json.loads(paths[0].read_text())
    assert set(scores) == {"1", "2"}
    assert scores["2"]["objects"] == 2
    pictures = sorted(p.name for p in (tmp_path / "views-2").glob("*/*.png"))
    assert pictures == ["000001.png", "000001.png", "000003.png", "000003.png"]
    assert source_views_of(251, 2) == (64, 104)


def test_other_data_are_refused(config: RunConfig) -> None:
    with pytest.raises(ConfigError, match="pixelnerf:tiny-cpu"):
        PixelNeRFTask(replace(config, data=GridDataConfig()))

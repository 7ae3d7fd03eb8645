"""The verb `finetune`: recipes, shares of labels, where weights come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.recipes.pixelnerf import tiny_cpu
from maskfield.verbs import finetune as verb
from maskfield.verbs.finetune import finetune_config, share


def test_shares_of_labels() -> None:
    assert share("10%") == pytest.approx(0.1)
    assert share("100%") == 1.0
    for wrong in ("10", "0%", "101%", "ten%", "-5%"):
        with pytest.raises(ConfigError, match="labelled scenes"):
            share(wrong)


@pytest.mark.parametrize("method", ["detect", "segment", "superres"])
def test_scratch_drops_what_only_pretraining_brings(method: str) -> None:
    recipe = f"nerf-mae-{method}:paper"
    pretrained = finetune_config(recipe, labels="25%")
    scratch = finetune_config(recipe, init="scratch", labels="25%")
    assert pretrained.method.base.positional_table
    assert not scratch.method.base.positional_table
    assert scratch.method.base.stochastic_depth == 0
    assert scratch.data == pretrained.data
    assert pretrained.data.percent_train == 0.25


def test_the_package_has_weights_for_the_tiny_size_only() -> None:
    from maskfield import api

    with pytest.raises(ConfigError, match="no pre-trained weights of this size"):
        api.finetune("nerf-mae-detect:paper", out="nowhere")
    with pytest.raises(ConfigError, match="no pre-trained weights of this size"):
        api.finetune("nerf-rpn:tiny-cpu", out="nowhere")
    with pytest.raises(ConfigError, match="official pixel_nerf_latest"):
        api.finetune("pixelnerf:small", out="nowhere")


def test_a_pixelnerf_is_continued_shortly_with_smaller_steps() -> None:
    recipe = tiny_cpu()
    config = finetune_config("pixelnerf:tiny-cpu", init="somewhere", data="synthetic:objects-v1")
    assert config.engine.steps == recipe.engine.steps // 20
    assert config.method.boxed_steps < config.engine.steps
    assert config.optim.lr < recipe.optim.lr
    assert verb._packaged(config) == "zoo:pixelnerf-tiny"
    chosen = finetune_config("pixelnerf:tiny-cpu", overrides=["engine.steps=7", "optim.lr=0.01"])
    assert (chosen.engine.steps, chosen.optim.lr) == (7, 0.01)


def test_a_pixelnerf_from_scratch_is_its_recipe() -> None:
    assert finetune_config("pixelnerf:tiny-cpu", init="scratch") == tiny_cpu()


def test_objects_have_no_labels() -> None:
    with pytest.raises(ConfigError, match=r"data\.train_count"):
        finetune_config("pixelnerf:tiny-cpu", labels="10%")


def test_a_pixelnerf_goes_on_from_another_run(tmp_path: Path) -> None:
    """From procedural objects to a folder of SRN's layout, by the same network."""
    from maskfield import api
    from maskfield.engine.checkpoint import load_weights

    small = ["data.image_size=16", "data.rays=4", "data.batch_size=1", f"data.cache={tmp_path}"]
    short = ["engine.steps=1", "engine.precision=fp32", "engine.threads=1"]
    few = ["data.train_count=1", "data.validation_count=1", "data.views=3"]
    first = api.pretrain(
        "pixelnerf:tiny-cpu", out=tmp_path / "first", overrides=[*small, *short, *few]
    )
    _srn_objects(tmp_path)
    second = api.finetune(
        "pixelnerf:tiny-cpu",
        out=tmp_path / "second",
        init=str(first.folder),
        data=str(tmp_path / "cars"),
        overrides=[*small, *short, "optim.lr=1e-9"],
    )
    before, after = (load_weights(r.folder)[0] for r in (first, second))
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[k], after[k], atol=1e-6) for k in before)
    assert np.isfinite(second.metrics["psnr_2"])


def _srn_objects(folder: Path) -> None:
    """A red square from three cameras, once to learn from and once held out."""
    from PIL import Image

    from maskfield.data.synthetic.object_cameras import object_cameras

    cameras = object_cameras(3, 16, "spiral")
    pixels = np.full((16, 16, 3), 255, np.uint8)
    pixels[5:11, 5:11] = (200, 20, 20)
    for split in ("train", "val"):
        place = folder / f"cars_{split}" / "square"
        for part in ("rgb", "pose"):
            (place / part).mkdir(parents=True)
        (place / "intrinsics.txt").write_text("16.4 8 8 0\n0 0 0\n1\n16 16\n")
        for view, pose in enumerate(cameras.camera_to_world):
            Image.fromarray(pixels).save(place / "rgb" / f"{view}.png")
            rows = [*pose.reshape(-1).tolist(), 0, 0, 0, 1]
            (place / "pose" / f"{view}.txt").write_text(" ".join(map(str, rows)))

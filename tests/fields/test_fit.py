"""Fitting through the engine: it learns, resumes bit for bit, and what it leaves can be loaded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfield.core.errors import CheckpointError, ConfigError, SceneError
from maskfield.engine.checkpoint import save_weights
from maskfield.engine.config import EngineConfig, RunConfig
from maskfield.fields.config import VoxelFitConfig
from maskfield.fields.evaluate import evaluate_field, field_image, photograph
from maskfield.fields.fit import fit_config, fit_scene, load_field
from maskfield.fields.task import VoxelFitTask

METHOD = VoxelFitConfig(
    resolutions=(12, 24),
    rays=(256, 256),
    shares=(0.5, 0.5),
    patches=(1, 2),
    refit_box=-1,
    occupancy_every=20,
)


def run_config(steps: int = 120, **engine) -> RunConfig:
    return RunConfig(
        method=METHOD,
        engine=EngineConfig(steps=steps, best_metric="psnr", best_mode="max", threads=2, **engine),
    )


@pytest.fixture(scope="module")
def fitted(small_room, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "run"
    return fit_scene(small_room, folder, run_config(), progress="off")


class TestFitScene:
    def test_beats_the_mean_colour_on_held_out_views(self, small_room, fitted):
        train, test = (list(small_room.indices(s)) for s in ("train", "test"))
        mean = small_room.images[train].reshape(-1, 3).mean(0) / 255
        error = ((small_room.images[test] / 255 - mean) ** 2).mean((1, 2, 3))
        baseline = float(np.mean(-10 * np.log10(error)))
        assert fitted.metrics["psnr"] > baseline + 1

    def test_loaded_field_shows_the_same(self, small_room, fitted):
        field = load_field(fitted.folder)
        assert field.resolution == (24, 16, 12) or max(field.resolution) == 24
        score = evaluate_field(field, small_room)
        assert score.psnr == pytest.approx(fitted.metrics["psnr"], abs=1e-3)
        assert len(score.per_image) == len(small_room.indices("test"))

    def test_same_seed_same_bits(self, small_room, fitted, tmp_path):
        again = fit_scene(small_room, tmp_path / "again", run_config(), progress="off")
        a, b = load_field(fitted.folder), load_field(again.folder)
        assert torch.equal(a.density, b.density)
        assert torch.equal(a.colour, b.colour)

    @pytest.mark.parametrize("stop", [40, 90])
    def test_resumed_is_bit_identical(self, small_room, fitted, tmp_path, stop):
        """Stopped in the coarse or in the fine stage, gone on from the checkpoint."""
        task = VoxelFitTask(run_config(), small_room)
        _run_and_stop(task, tmp_path / "run", stop)
        result = fit_scene(
            small_room, tmp_path / "run", run_config(), resume="auto", progress="off"
        )
        assert result.step == 120
        a, b = load_field(fitted.folder), load_field(tmp_path / "run")
        for name, value in a.state_dict().items():
            assert torch.equal(value, b.state_dict()[name]), name

    def test_says_before_the_first_step_how_large_its_checkpoint_becomes(self, small_room, fitted):
        said = VoxelFitTask(run_config(), small_room).checkpoint_bytes()
        folder = fitted.folder / "checkpoints" / "step-120"
        found = sum(p.stat().st_size for p in folder.iterdir())
        assert 0.9 * found < said < 1.1 * found
        refitting = replace(run_config(), method=replace(METHOD, refit_box=0))
        assert VoxelFitTask(refitting, small_room).checkpoint_bytes() > said

    def test_masked_scenes_are_measured_on_what_counts(self, small_room, fitted):
        masks = np.ones(small_room.images.shape[:3], np.uint8)
        masks[:, :, 20:] = 0
        spoilt = small_room.images.copy()
        spoilt[masks == 0] = 0
        field = load_field(fitted.folder)
        clean = evaluate_field(field, replace(small_room, masks=masks))
        dirty = evaluate_field(field, replace(small_room, masks=masks, images=spoilt))
        assert clean.psnr == pytest.approx(dirty.psnr)
        assert clean.ssim == pytest.approx(dirty.ssim, abs=1e-6)


class TestRefusals:
    def test_no_scene(self):
        with pytest.raises(ConfigError, match="data"):
            VoxelFitTask.build(run_config())

    def test_scene_without_training_images(self, small_room):
        with pytest.raises(SceneError, match="train"):
            VoxelFitTask(run_config(), replace(small_room, split={"test": (0,)}))

    def test_weights_of_something_else(self, tmp_path):
        save_weights(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, {"conventions": {}})
        with pytest.raises(CheckpointError, match="voxel field"):
            load_field(tmp_path / "w.safetensors")


class TestPieces:
    def test_presets_are_whole_runs(self):
        for preset in ("default", "quick"):
            assert fit_config(preset).engine.best_metric == "psnr"

    def test_contracted_fit_moves_its_box_to_the_surfaces(self, small_room):
        scene = replace(small_room, unbounded=True)
        method = replace(METHOD, refit_box=0, shares=(0.9, 0.1))
        config = replace(run_config(), method=method)
        task = VoxelFitTask(config, scene)
        before = task.model.box
        for step in range(112):
            task.optimise(step, step)
        assert task.stage == 1
        assert not torch.allclose(before, task.model.box)
        assert task.model.settings.shell > 0

    def test_exposure_gains_keep_their_mean(self, small_room):
        dark = small_room.images.copy()
        dark[1] = dark[1] // 2
        config = replace(run_config(), method=replace(METHOD, exposure=True))
        task = VoxelFitTask(config, replace(small_room, images=dark))
        for step in range(60):
            task.optimise(step, step)
        gains = task.gains[list(small_room.indices("train"))]
        np.testing.assert_allclose(gains.mean(0), 1, rtol=1e-5)
        assert task.gains[1].mean() < gains.mean() - 0.05

    def test_picture_of_a_camera(self, small_room, fitted):
        image = field_image(load_field(fitted.folder), small_room.cameras, 0)
        assert image.colour.shape == (30, 40, 3)
        assert photograph(small_room, 0, torch.ones(3)).shape == (30, 40, 3)


def _run_and_stop(task, folder, stop):
    """A run that is asked to stop after ``stop`` steps, as SIGINT does."""
    import os
    import signal

    from maskfield.engine.loop import run

    own = task.optimise

    def optimise(batch, step):
        if step + 1 == stop:
            os.kill(os.getpid(), signal.SIGINT)
        return own(batch, step)

    task.optimise = optimise
    result = run(task.config, folder, task=task, progress="off")
    assert result.interrupted
    assert result.step == stop

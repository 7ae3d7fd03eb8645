"""Detection, labelling and super-resolution through the engine, on small rooms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maskfield.core.config import override
from maskfield.core.errors import CheckpointError, ConfigError
from maskfield.core.registry import RECIPES, resolve
from maskfield.engine.checkpoint import load_weights
from maskfield.engine.config import RunConfig
from maskfield.engine.loop import run
from maskfield.engine.setup import build_task
from maskfield.recipes.finetune import from_scratch

SMALL = (
    "method.base.resolution=32",
    "method.base.embed_dim=12",
    "method.base.depths=[1, 1, 1, 1]",
    "method.base.heads=[1, 1, 2, 2]",
    "data.resolution=32",
    "data.train_count=3",
    "data.validation_count=2",
    "data.batch_size=2",
    "engine.steps=2",
    "engine.validate_every=0",
    "engine.checkpoint_every=0",
    "engine.threads=1",
)
METRIC = {"detect": "ap_50", "segment": "mIoU", "superres": "psnr"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rooms")


@pytest.fixture(scope="module")
def pretrained(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked autoencoder of the small size, one step old."""
    small = [s.replace("method.base.", "method.") for s in SMALL]
    changes = [*small, f"data.cache={cache}", "engine.steps=1", "method.block_size=2"]
    config = override(resolve(RECIPES, "nerf-mae:tiny-cpu")(), changes)
    return run(config, tmp_path_factory.mktemp("mae") / "run").folder


def small(kind: str, cache: Path, *more: str) -> RunConfig:
    channels = ("method.channels=32",) if kind == "detect" else ()
    changes = [*SMALL, *channels, f"data.cache={cache}", *more]
    return override(resolve(RECIPES, f"nerf-mae-{kind}:tiny-cpu")(), changes)


@pytest.mark.parametrize("kind", ["detect", "segment", "superres"])
def test_a_run_starts_from_pretrained_weights(
    kind: str, cache: Path, pretrained: Path, tmp_path: Path
) -> None:
    result = run(small(kind, cache), tmp_path / "run", init=str(pretrained))
    assert result.step == 2
    assert METRIC[kind] in result.metrics
    assert list((tmp_path / "run" / "figures").glob("*.png"))


@pytest.mark.parametrize("kind", ["detect", "segment", "superres"])
def test_the_encoder_is_taken_over_and_the_head_is_not(
    kind: str, cache: Path, pretrained: Path
) -> None:
    task = build_task(small(kind, cache))
    before = {k: v.clone() for k, v in task.model.state_dict().items()}
    weights, header = load_weights(pretrained)
    task.initialise(weights, header)  # pyright: ignore[reportAttributeAccessIssue]
    after = task.model.state_dict()
    changed = {k for k in after if not torch.equal(after[k], before[k])}
    prefix = "backbone.encoder." if kind == "detect" else "encoder."
    assert f"{prefix}patch_partition.0.weight" in changed
    torch.testing.assert_close(
        after[f"{prefix}patch_partition.0.weight"], weights["encoder.patch_partition.0.weight"]
    )
    assert not any(
        k.startswith(("head.", "sem_out", "voxel_out", "decoder.encoder1")) for k in changed
    )
    assert any("decoder.decoder2" in k for k in changed) == (kind != "detect")


def test_the_table_is_left_behind_where_the_network_has_none(
    cache: Path, pretrained: Path, tmp_path: Path
) -> None:
    config = from_scratch(small("detect", cache))
    assert not any("pos_embed" in k for k in build_task(config).model.state_dict())
    assert run(config, tmp_path / "run", init=str(pretrained)).step == 2


def test_weights_of_another_size_are_refused(cache: Path, pretrained: Path, tmp_path: Path) -> None:
    config = small("detect", cache, "method.base.depths=[1, 1, 2, 1]")
    with pytest.raises(CheckpointError, match="another size"):
        run(config, tmp_path / "run", init=str(pretrained))


def test_weights_of_another_method_are_refused(
    cache: Path, pretrained: Path, tmp_path: Path
) -> None:
    detector = run(small("detect", cache), tmp_path / "a", init=str(pretrained)).folder
    with pytest.raises(CheckpointError, match="not those of a masked autoencoder"):
        run(small("segment", cache), tmp_path / "b", init=str(detector))


def test_a_resumed_run_continues_bit_identically(cache: Path, tmp_path: Path) -> None:
    config = small("detect", cache, "engine.steps=3", "engine.checkpoint_every=1")
    whole = run(config, tmp_path / "whole").folder
    run(config, tmp_path / "again", resume=str(whole / "checkpoints" / "step-2"))
    first, _ = load_weights(whole / "checkpoints" / "step-3")
    second, _ = load_weights(tmp_path / "again" / "checkpoints" / "step-3")
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_settings_that_do_not_go_together_are_refused(cache: Path) -> None:
    for change, message in (
        ("data.boxes=aabb", "kind of boxes"),
        ("data.resolution=64", "larger than the cube"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_task(small("detect", cache, change))
    with pytest.raises(ConfigError, match="cube's side"):
        build_task(small("segment", cache, "data.resolution=64"))
    with pytest.raises(ConfigError, match="config of type grids"):
        build_task(replace(small("superres", cache), data=None))


def test_class_weights_come_from_the_training_labels(cache: Path) -> None:
    from maskfield.metrics.segmentation import class_weights

    task = build_task(small("segment", cache))
    source = task.train_source  # pyright: ignore[reportAttributeAccessIssue]
    expected = class_weights((source.labels(i) for i in range(len(source))), 23)
    torch.testing.assert_close(task.model.class_weights.double(), expected, rtol=1e-6, atol=1e-6)


def test_answers_are_written_in_the_official_files(cache: Path, tmp_path: Path) -> None:
    import maskfield
    from maskfield.core.files import read_json
    from maskfield.methods.nerf_rpn.files import read_evaluation, read_proposals

    detector = run(small("detect", cache), tmp_path / "detect").folder
    metrics = maskfield.evaluate(detector, answers=True)
    folder = detector / "answers"
    assert read_evaluation(folder / "eval.json")["ap_50"]["ap"] == pytest.approx(metrics["ap_50"])
    scenes = read_json(folder / "scenes.json")
    assert len(scenes) == 2
    for name, report in scenes.items():
        found = read_proposals(folder / "proposals" / f"{name}.npz")
        assert len(found.boxes) == report["detections"]
    semantic = run(small("segment", cache), tmp_path / "segment").folder
    maskfield.evaluate(semantic, answers=True)
    assert len(list((semantic / "answers" / "voxel_outputs").glob("*_gt.npy"))) == 2
    finer = run(small("superres", cache), tmp_path / "superres").folder
    with pytest.raises(ConfigError, match="no answers to write"):
        maskfield.evaluate(finer, answers=True)


@pytest.mark.parametrize("kind", ["detect", "segment", "superres"])
def test_paths_are_dropped_in_training_as_the_generator_says(kind: str, cache: Path) -> None:
    task = build_task(small(kind, cache, "method.base.stochastic_depth=0.9"))
    batch = next(iter(task.loaders().train))
    task.model.train()

    def loss(seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        return float(task.training_step(batch, 0, generator).loss.detach())

    assert loss(0) == loss(0)
    assert len({loss(seed) for seed in range(6)}) > 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("lr_scale=1", True),
        ("lr_scale=0.1", True),
        ("lr_scale=0", False),
        ("frozen_share=0.5", True),
        ("frozen_share=1", False),
    ],
)
def test_the_encoder_learns_at_its_own_rate(
    change: str, expected: bool, cache: Path, pretrained: Path, tmp_path: Path
) -> None:
    config = small("detect", cache, f"method.encoder_{change}", "optim.weight_decay=0.1")

    def weights(lr: float) -> dict[str, torch.Tensor]:
        changed = override(config, [f"optim.lr={lr}"])
        folder = run(changed, tmp_path / str(lr), init=str(pretrained)).folder
        return load_weights(folder)[0]

    still, after = weights(1e-12), weights(1e-3)
    moved = {k for k in still if not torch.equal(still[k], after[k])}
    assert any(k.startswith("backbone.encoder.") for k in moved) == expected
    assert any(k.startswith("backbone.fpn_neck.") for k in moved)
    assert any(k.startswith("head.") for k in moved)


def test_parts_have_groups_of_their_own_only_if_their_rates_differ(cache: Path) -> None:
    def rates(*changes: str) -> list[float | None]:
        groups = build_task(small("detect", cache, *changes)).parameter_groups()
        assert len({id(p) for g in groups for p in g["params"]}) == sum(
            len(g["params"]) for g in groups
        )
        return [g.get("lr") for g in groups]

    assert rates() == [None]
    assert rates("optim.lr=2e-3", "method.encoder_lr_scale=0.5") == [None, 1e-3]


@pytest.mark.parametrize("change", ["lr_scale=-1", "frozen_share=1.5", "lr_scale=.nan"])
def test_impossible_rates_of_the_encoder_are_refused(change: str, cache: Path) -> None:
    with pytest.raises(ConfigError, match="scaled by a number"):
        small("detect", cache, f"method.encoder_{change}")

"""A network from its weights alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskfield.core import zoo
from maskfield.core.config import to_dict
from maskfield.core.errors import CheckpointError
from maskfield.engine.checkpoint import load_weights, save_checkpoint, save_weights
from maskfield.engine.config import RunConfig
from maskfield.engine.restore import restore_model
from maskfield.fields.config import VoxelFitConfig
from maskfield.methods.nerf_mae.config import NerfMAEConfig

TINY = NerfMAEConfig(
    resolution=32, embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), stochastic_depth=0.1
)
HEADER = {"config": to_dict(RunConfig(method=TINY)), "conventions": {"kind": "NerfMAE"}}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_from_a_file_and_from_a_checkpoint_folder(tmp_path: Path):
    model = TINY.build()
    save_weights(tmp_path / "w.safetensors", model.state_dict(), HEADER)
    save_checkpoint(tmp_path / "checkpoints", 3, model.state_dict(), {}, HEADER)

    for path in (tmp_path / "w.safetensors", tmp_path / "checkpoints" / "step-3", tmp_path):
        found = restore_model(path, device="cpu")
        assert same(found.model.state_dict(), model.state_dict())
        assert not found.model.training
        assert found.config.method == TINY
        assert found.header["conventions"] == {"kind": "NerfMAE"}


def test_from_the_package_half_precision_is_widened(tmp_path: Path, monkeypatch):
    model = TINY.build()
    half = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_weights(tmp_path / "mae-tiny.safetensors", half, HEADER)
    monkeypatch.setattr(zoo, "zoo_folder", lambda: tmp_path)

    found = restore_model("zoo:mae-tiny", device="cpu")
    widened = {k: v.float() if v.is_floating_point() else v for k, v in half.items()}
    assert same(found.model.state_dict(), widened)
    assert all(v.dtype != torch.float16 for v in load_weights("zoo:mae-tiny")[0].values())


def test_the_callers_random_numbers_do_not_change(tmp_path: Path):
    save_weights(tmp_path / "w.safetensors", TINY.build().state_dict(), HEADER)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    restore_model(tmp_path / "w.safetensors", device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_weights_without_a_network_are_refused(tmp_path: Path):
    save_weights(tmp_path / "w.safetensors", {"a": torch.ones(2)}, {})
    with pytest.raises(CheckpointError, match="which network"):
        restore_model(tmp_path / "w.safetensors")
    fit = {"config": to_dict(RunConfig(method=VoxelFitConfig()))}
    save_weights(tmp_path / "fit.safetensors", {"a": torch.ones(2)}, fit)
    with pytest.raises(CheckpointError, match="which network") as caught:
        restore_model(tmp_path / "fit.safetensors")
    assert caught.value.value == "VoxelFitConfig"


def test_weights_of_another_size_are_refused(tmp_path: Path):
    state = {**TINY.build().state_dict(), "extra": torch.ones(2)}
    save_weights(tmp_path / "w.safetensors", state, HEADER)
    with pytest.raises(CheckpointError, match="extra"):
        restore_model(tmp_path / "w.safetensors")


def test_options_younger_than_a_checkpoint_count_as_their_defaults() -> None:
    from maskfield.core.config import to_dict
    from maskfield.engine.session import _completed

    config = to_dict(RunConfig(method=None))
    older = {k: dict(v) if isinstance(v, dict) else v for k, v in config.items()}
    del older["engine"]["keep_checkpoints"]
    assert _completed(older) == config
    unknown = {**config, "no-such-option": 1}
    assert _completed(unknown) == unknown

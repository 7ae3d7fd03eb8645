from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maskfield.core.errors import CheckpointError
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.convert import (
    config_from_official,
    from_official,
    load_official,
    load_official_weights,
    read_official,
    to_official,
    write_official,
)

TINY = NerfMAEConfig(resolution=32, embed_dim=6, depths=(1, 1, 2, 1), heads=(1, 2, 3, 4))


def test_round_trip_through_a_file(tmp_path: Path) -> None:
    model = TINY.build()
    path = write_official(model, tmp_path / "epoch_3.pt", epoch=3, train_args={"lr": 1e-4})
    checkpoint = read_official(path)
    assert checkpoint.epoch == 3
    assert checkpoint.train_args == {"lr": 1e-4}
    assert not any(k.startswith(("encoder.", "decoder.")) for k in checkpoint.state_dict)
    again = load_official(path)
    assert again.config == TINY
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


def test_names_are_inverse() -> None:
    ours = TINY.build().state_dict()
    official = to_official(ours)
    assert list(from_official(official)) == list(ours)
    assert list(official)[:2] == ["pos_embed", "mask_token"]
    assert list(from_official({f"module.{k}": v for k, v in official.items()})) == list(ours)


def test_config_is_read_from_the_shapes() -> None:
    config = replace(TINY, resolution=64, depths=(2, 1, 3, 1), embed_dim=12)
    assert config_from_official(to_official(config.build().state_dict())) == config


def test_difference_is_readable() -> None:
    state = to_official(TINY.build().state_dict())
    state["surprise"] = state.pop("mask_token")
    state["out.conv.bias"] = torch.zeros(5)
    with pytest.raises(CheckpointError) as caught:
        load_official_weights(TINY.build(), state, file="some.pt")
    text = str(caught.value)
    assert "missing     encoder.mask_token (6,)" in text
    assert "unexpected  surprise (6,)" in text
    assert "out.conv.bias: checkpoint (5,), model (4,)" in text
    assert "some.pt" in text


def test_other_resolution_keeps_the_models_table() -> None:
    state = to_official(TINY.build().state_dict())
    larger = replace(TINY, resolution=64).build()
    table = larger.encoder.table((16, 16, 16)).clone()
    load_official_weights(larger, state)
    assert torch.equal(larger.encoder.table((16, 16, 16)), table)
    assert torch.equal(larger.state_dict()["out.conv.weight"], state["out.conv.weight"])


def test_foreign_table_of_another_size_is_refused() -> None:
    state = to_official(TINY.build().state_dict())
    state["pos_embed"] = torch.randn_like(state["pos_embed"])
    with pytest.raises(CheckpointError, match="pos_embed"):
        load_official_weights(replace(TINY, resolution=64).build(), state)


def test_stored_table_is_used() -> None:
    state = to_official(TINY.build().state_dict())
    state["pos_embed"] = torch.randn_like(state["pos_embed"])
    model = TINY.build()
    load_official_weights(model, state)
    assert torch.equal(model.encoder.table((8, 8, 8)), state["pos_embed"])


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="file not found"):
        read_official(tmp_path / "absent.pt")
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot read"):
        read_official(broken)
    detector = tmp_path / "detector.pt"
    torch.save({"epoch": 1, "backbone_state_dict": {}}, detector)
    with pytest.raises(CheckpointError, match="not an official NeRF-MAE checkpoint"):
        read_official(detector)
    with pytest.raises(CheckpointError, match="not the state dict of a NeRF-MAE"):
        config_from_official({"weight": torch.zeros(1)})


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "trap.pt"
    torch.save({"state_dict": {}, "extra": Trap()}, path)
    with pytest.raises(CheckpointError, match="cannot read"):
        read_official(path)
    assert not (tmp_path / "sprung").exists()


def test_sizes_without_official_counterpart_are_not_written(tmp_path: Path) -> None:
    model = replace(TINY, embed_dim=8, heads=(1, 2, 4, 8)).build()
    with pytest.raises(CheckpointError, match="cannot build this size"):
        write_official(model, tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())

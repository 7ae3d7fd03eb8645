"""Every weight form of every system loads, and the stored checksums agree."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from golden import rules
from golden.case import Case, find_cases
from golden.weights import (
    FORMULA_RULES,
    LOWBIAS_CONSTANTS,
    check_sums,
    lowbias_value,
    weight_source,
)


@pytest.mark.shared
@pytest.mark.parametrize(
    "system",
    [
        "inerf",
        "instance_nerf",
        "mrvm_neuray",
        "nerf_mae",
        "nerf_rpn",
        "nerformer_mrvm",
        "ns_mae",
        "pixelnerf",
    ],
)
def test_weights_of_every_system_load(shared: Path, system: str) -> None:
    folders = [f for f in find_cases(shared / "golden") if f.parent.name == system]
    assert folders
    for folder in folders:
        weights = Case(folder).weights  # regenerates, and checks every stored checksum
        assert listed_keys(folder) <= weights.keys(), folder
        assert all(v.isfinite().all() for v in weights.values() if v.is_floating_point()), folder


def listed_keys(folder: Path) -> set[str]:
    """Keys a case gives values for: in its weight files, manifest or recipe."""
    keys: set[str] = set()
    for path in folder.glob("weights*.safetensors"):
        with safe_open(path, framework="pt") as stream:
            keys |= set(stream.keys())
    for path in folder.glob("weights_manifest.json"):
        keys |= json.loads(path.read_text()).keys()
    for path in folder.glob("weights_recipe.json"):
        keys |= {entry["key"] for entry in json.loads(path.read_text())["entries"]}
    return {k for k in keys if k.rsplit(".", 1)[-1] not in LOWBIAS_CONSTANTS}


@pytest.mark.shared
@pytest.mark.parametrize("name", ["full_backbone_resnet50", "full_backbone_swin_s"])
def test_fnv_rule_reproduces_stored_input_values(shared: Path, name: str) -> None:
    case = Case(shared / "golden" / "nerf_rpn" / name)
    shape = tuple(case.config["input_shape"])
    made = torch.from_numpy(case.unit(f"input:{name}", shape).astype(np.float32)).flatten()
    torch.testing.assert_close(made[:64], case.inputs["x_first_64"], rtol=0, atol=0)


def test_crc_hash_follows_its_words_number_by_number() -> None:
    name, found = "mask_token", rules.unit("crc32", "mask_token", (2, 3)).flatten()
    for i in range(6):
        x = (i * 2654435761 + zlib.crc32(name.encode())) % 2**32
        x ^= x >> 16
        x = x * 2246822507 % 2**32
        x ^= x >> 13
        x = x * 3266489909 % 2**32
        x ^= x >> 16
        assert found[i] == x / 2**32


def test_formula_weights_by_kind_of_tensor(tmp_path: Path) -> None:
    config = {"case": "x", "formula": {"hash": rules.CRC_TEXT, "rules": FORMULA_RULES}}
    template = {
        "base.pos_embed": torch.full((1, 2, 2, 2, 6), 7.0),
        "stages.0.0.norm1.weight": torch.zeros(5),
        "decoder4.transp_conv.weight": torch.zeros(4, 3, 2, 2, 2),
        "out.conv.bias": torch.zeros(3),
        "index": torch.arange(4),
    }
    made = weight_source(tmp_path, config).tensors(template)
    torch.testing.assert_close(made["base.pos_embed"], template["base.pos_embed"])
    assert torch.equal(made["index"], template["index"])
    s = {k: 2 * rules.unit("crc32", k, tuple(v.shape)) - 1 for k, v in template.items()}
    for key, value in (
        ("stages.0.0.norm1.weight", 1 + 0.2 * s["stages.0.0.norm1.weight"]),
        ("decoder4.transp_conv.weight", s["decoder4.transp_conv.weight"] * (3 / 4) ** 0.5),
        ("out.conv.bias", 0.1 * s["out.conv.bias"]),
    ):
        torch.testing.assert_close(made[key], torch.from_numpy(value.astype(np.float32)))


def test_gain_rule_exceptions_are_read_from_its_words(tmp_path: Path) -> None:
    words = (
        "h = FNV-1a 32-bit of the ASCII key; exceptions: base.pos_embed keeps its sin-cos value; "
        "after filling, head.bbox_pred.bias[:6] += 1.0."
    )
    config = {"case": "x", "weights_rule": words, "gain": 2.0}
    template = {"base.pos_embed": torch.full((1, 6), 7.0), "head.bbox_pred.bias": torch.zeros(8)}
    made = weight_source(tmp_path, config).tensors(template)
    assert torch.equal(made["base.pos_embed"], template["base.pos_embed"])
    assert (made["head.bbox_pred.bias"][:6] > 0.85).all()
    assert (made["head.bbox_pred.bias"][6:].abs() <= 0.1).all()


@pytest.mark.shared
def test_lowbias_file_agrees_with_its_recipe(shared: Path) -> None:
    case = Case(shared / "golden" / "mrvm_neuray" / "aggregation")
    seed = case.config["weights"]["seed"]
    for key, value in case.weights.items():
        shape = tuple(value.shape)
        u = rules.lowbias32(key, seed, shape)
        made = torch.from_numpy(lowbias_value(key, shape, u).astype(np.float32))
        torch.testing.assert_close(made, value, rtol=0, atol=0, msg=key)


def test_a_wrong_checksum_is_refused() -> None:
    with pytest.raises(ValueError, match=r"checksum of layer\.weight"):
        check_sums("layer.weight", torch.ones(4), 4.0, 4.1, [1.0, 1.0, 1.0])


def test_a_formula_with_other_words_is_refused(tmp_path: Path) -> None:
    config = {"case": "x", "formula": {"hash": "another hash", "rules": []}}
    with pytest.raises(ValueError, match="differ"):
        weight_source(tmp_path, config)
    with pytest.raises(ValueError, match="implemented"):
        rules.hash_of(config)


def test_stored_files_win_and_are_merged(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "weights.safetensors")
    save_file({"b": torch.zeros(1)}, tmp_path / "weights_lin.safetensors")
    assert set(weight_source(tmp_path, {"case": "x"}).tensors({})) == {"a", "b"}

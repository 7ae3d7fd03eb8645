"""Official checkpoints of every kind to ours and back, bit for bit; wrong ones are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import maskfield
from maskfield.core.config import from_dict, save_config, to_dict
from maskfield.core.errors import CheckpointError
from maskfield.data.config import GridDataConfig
from maskfield.data.network_input import INPUT
from maskfield.engine.checkpoint import load_weights, save_weights
from maskfield.engine.config import RunConfig
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.convert import to_official
from maskfield.methods.nerf_mae.convert_downstream import downstream_to_official
from maskfield.methods.nerf_mae.downstream import scratch
from maskfield.methods.nerf_mae.downstream_config import (
    SemanticConfig,
    SuperResolutionConfig,
    TransferDetectorConfig,
)
from maskfield.methods.nerf_rpn.config import (
    AnchorConfig,
    FCOSConfig,
    NerfRPNConfig,
    ObjectnessConfig,
    ResNetConfig,
    SwinConfig,
    VGGConfig,
)
from maskfield.methods.nerf_rpn.convert import (
    backbone_to_official,
    head_to_official,
    read_official,
    write_official,
)
from maskfield.methods.nerf_rpn.model.region_head import RegionHead
from maskfield.verbs.finetune import _source
from maskfield.verbs.weights import import_weights

BASE = NerfMAEConfig(resolution=32, embed_dim=6, depths=(1, 1, 1, 1), heads=(1, 2, 3, 4))
SCRATCH = scratch(BASE)
PLAIN = replace(BASE, resolution=64)
SWIN = SwinConfig(embed_dim=12, depths=(1, 2, 1, 1), heads=(1, 2, 2, 4))
TABLE = replace(SWIN, table_resolution=32)
FCOS, ANCHOR = FCOSConfig(convs=1), AnchorConfig(convs=1)
NAMES = ("void", "wall", "chair")
NUMBERED = ("void", "class 1", "class 2")
DETECTORS = {
    "swin-fcos": NerfRPNConfig(backbone=SWIN, head=FCOS, channels=32),
    "swin-anchor": NerfRPNConfig(backbone=SWIN, head=ANCHOR, channels=8),
    "vgg-fcos": NerfRPNConfig(backbone=VGGConfig(variant="AF", width=4), head=FCOS, channels=32),
    "vgg-anchor": NerfRPNConfig(
        backbone=VGGConfig(variant="EF", width=2), head=replace(ANCHOR, rotated=False), channels=8
    ),
    "resnet-anchor": NerfRPNConfig(
        backbone=ResNetConfig(depths=(1, 1, 1, 1), width=4), head=ANCHOR, channels=8
    ),
    "resnet-fcos": NerfRPNConfig(
        backbone=ResNetConfig(depths=(1, 2, 1, 1), width=4),
        head=replace(FCOS, rotated=False),
        channels=32,
    ),
    "pretrained": NerfRPNConfig(backbone=TABLE, head=FCOS, channels=32, resolution=32),
}
SUPERRES = SuperResolutionConfig(base=BASE, scale=1.5)
VOXELS = {
    "semantic": SemanticConfig(base=BASE, class_names=NUMBERED),
    "semantic-scratch": SemanticConfig(base=SCRATCH, class_names=NUMBERED),
    "superres-skip": SUPERRES,
    "superres-scratch": replace(SUPERRES, base=SCRATCH),
    "superres-plain": SuperResolutionConfig(base=PLAIN, scale=1.6, variant="plain"),
    "superres-plain-scratch": SuperResolutionConfig(base=scratch(PLAIN), scale=2, variant="plain"),
}


def network(method: Any) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return method.build()


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def official_file(method: Any, path: Path, **flags: Any) -> Path:
    """A checkpoint as the official programs write it: nothing of ours in train_args."""
    model = network(method)
    if hasattr(method, "head"):
        return write_official(model, path, epoch=5, train_args=flags)  # pyright: ignore
    names = to_official if isinstance(method, NerfMAEConfig) else downstream_to_official
    content = {"epoch": 5, "state_dict": names(model.state_dict()), "train_args": flags}
    torch.save(content, path)
    return path


def our_file(method: Any, folder: Path, data: Any = None) -> Path:
    """Weights as a training leaves them, seven steps old."""
    header = {"config": to_dict(RunConfig(method=method, data=data)), "step": 7}
    save_weights(folder / "ours.safetensors", network(method).state_dict(), header)
    return folder / "ours.safetensors"


def flags_of(method: Any) -> dict[str, int]:
    if not hasattr(method, "base"):
        return {}
    fine = {"out_resolution": method.fine_resolution} if hasattr(method, "scale") else {}
    return {"resolution": method.base.resolution, **fine}


@pytest.mark.parametrize("name", [*DETECTORS, *VOXELS, "autoencoder"])
def test_an_official_file_becomes_ours_and_goes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    method = {**DETECTORS, **VOXELS, "autoencoder": BASE}[name]
    given = official_file(method, tmp_path / "official.pt", **flags_of(method))
    maskfield.convert(given, tmp_path / "ours.safetensors")
    weights, header = load_weights(tmp_path / "ours.safetensors")
    found = from_dict(RunConfig, header["config"])
    assert found.method == method
    assert header["official_epoch"] == 5
    assert equal(weights, network(method).state_dict())
    maskfield.convert(tmp_path / "ours.safetensors", tmp_path / "again.pt")
    before, after = (torch.load(p, weights_only=True) for p in (given, tmp_path / "again.pt"))
    parts = [k for k in before if k.endswith("state_dict")]
    assert parts
    assert before.keys() == after.keys()
    assert all(equal(before[k], after[k]) for k in parts)
    assert after["epoch"] == 5


@pytest.mark.parametrize("name", [*DETECTORS, *VOXELS])
def test_headers_say_what_the_network_was_shown(name: str, tmp_path: Path) -> None:
    method = {**DETECTORS, **VOXELS}[name]
    given = official_file(method, tmp_path / "official.pt", **flags_of(method))
    maskfield.convert(given, tmp_path / "ours.safetensors")
    _, header = load_weights(tmp_path / "ours.safetensors")
    side = getattr(getattr(method, "base", method), "resolution", None) or 160
    said = {"input": INPUT, "resolution": side}
    if name in DETECTORS:
        said["kind"] = "Detector"
        rotated = "obb" if method.head.rotated else "aabb"
        assert from_dict(RunConfig, header["config"]).data.boxes == rotated
    elif "semantic" in name:
        said |= {"kind": "SemanticNetwork", "class_names": list(NUMBERED)}
    else:
        said |= {"kind": "SuperResolution", "fine_resolution": method.fine_resolution}
    assert header["conventions"] == said


@pytest.mark.parametrize(
    "method",
    [
        TransferDetectorConfig(base=BASE, head=replace(FCOS, nms_threshold=0.1), channels=32),
        TransferDetectorConfig(base=SCRATCH, head=FCOS, channels=32),
        replace(DETECTORS["vgg-fcos"], head=replace(FCOS, post_nms_count=9)),
        SemanticConfig(base=BASE, class_names=NAMES),
        SuperResolutionConfig(base=SCRATCH, scale=1.7, alpha_weight=1.0),
    ],
    ids=["transfer", "transfer-scratch", "detector", "semantic", "superres"],
)
def test_ours_survive_the_official_form_with_their_configuration(
    method: Any, tmp_path: Path
) -> None:
    ours = our_file(method, tmp_path, GridDataConfig(resolution=32, keep_labels=(2, 3)))
    maskfield.convert(ours, tmp_path / "official.pt")
    maskfield.convert(tmp_path / "official.pt", tmp_path / "again.safetensors")
    before, after = (load_weights(p) for p in (ours, tmp_path / "again.safetensors"))
    assert equal(before[0], after[0])
    assert before[1]["config"] == after[1]["config"]
    assert after[1]["official_epoch"] == 7


def test_a_nerf_mae_detector_answers_after_conversion(grid_file: Path, tmp_path: Path) -> None:
    method = TransferDetectorConfig(base=BASE, head=FCOS, channels=64)
    official = official_file(method.detector(), tmp_path / "front3d_obb_finetuned.pt")
    assert "base.pos_embed" in (read_official(official).backbone or {})
    maskfield.convert(official, tmp_path / "ours.safetensors")
    found = [
        maskfield.detect(grid_file, model=m, out=tmp_path / str(i), figures=False, threshold=0)
        for i, m in enumerate((official, tmp_path / "ours.safetensors"))
    ]
    assert len(found[0].boxes) > 0
    assert torch.equal(found[0].boxes.centre, found[1].boxes.centre)


def test_voxel_networks_answer_after_conversion(grid_file: Path, tmp_path: Path) -> None:
    semantic = official_file(VOXELS["semantic"], tmp_path / "semantic.pt")
    maskfield.convert(semantic, tmp_path / "semantic.safetensors")
    answer = maskfield.segment(
        grid_file, model=tmp_path / "semantic.safetensors", out=tmp_path / "a", figures=False
    )
    assert answer.labels.class_names == NUMBERED
    with pytest.raises(CheckpointError, match="maskfield convert"):
        maskfield.segment(grid_file, model=semantic, out=tmp_path / "b", figures=False)
    finer = official_file(SUPERRES, tmp_path / "sr.pt", resolution=32, out_resolution=48)
    maskfield.convert(finer, tmp_path / "sr.safetensors")
    grid = maskfield.superres(
        grid_file, model=tmp_path / "sr.safetensors", out=tmp_path / "c", figures=False
    ).grid
    assert max(grid.resolution) == 48


def test_a_recipe_gives_names_and_scale(tmp_path: Path) -> None:
    given = official_file(VOXELS["semantic"], tmp_path / "semantic.pt")
    method = SemanticConfig(base=BASE, class_names=NAMES)
    save_config(
        RunConfig(method=method, data=GridDataConfig(resolution=32)), tmp_path / "names.yaml"
    )
    maskfield.convert(given, tmp_path / "a.safetensors", recipe=str(tmp_path / "names.yaml"))
    _, header = load_weights(tmp_path / "a.safetensors")
    assert header["conventions"]["class_names"] == list(NAMES)
    given = official_file(SUPERRES, tmp_path / "sr.pt")
    with pytest.raises(CheckpointError, match="how much finer") as caught:
        maskfield.convert(given, tmp_path / "b.safetensors")
    assert "--recipe" in caught.value.remedy
    save_config(
        RunConfig(method=SUPERRES, data=GridDataConfig(resolution=32)), tmp_path / "scale.yaml"
    )
    maskfield.convert(given, tmp_path / "b.safetensors", recipe=str(tmp_path / "scale.yaml"))
    _, header = load_weights(tmp_path / "b.safetensors")
    assert header["conventions"]["fine_resolution"] == 48


def test_a_recipe_of_another_kind_or_size_is_refused(tmp_path: Path) -> None:
    given = official_file(VOXELS["semantic"], tmp_path / "semantic.pt")
    with pytest.raises(CheckpointError, match="holds a semantic network, wanted is a detector"):
        maskfield.convert(given, tmp_path / "a.safetensors", recipe="nerf-rpn:tiny-cpu")
    with pytest.raises(CheckpointError, match=r"shape +encoder\.") as caught:
        maskfield.convert(given, tmp_path / "a.safetensors", recipe="nerf-mae-segment:tiny-cpu")
    assert caught.value.file == str(given)
    assert not (tmp_path / "a.safetensors").exists()


def test_another_head_is_refused(tmp_path: Path) -> None:
    method = DETECTORS["swin-fcos"]
    given = official_file(method, tmp_path / "fcos.pt")
    config = RunConfig(method=replace(method, head=ANCHOR), data=GridDataConfig())
    with pytest.raises(CheckpointError, match="another kind of head") as caught:
        import_weights(given, tmp_path / "a.safetensors", config)
    assert "rpn_head_state_dict" in caught.value.remedy


def test_a_second_stage_alone_is_refused(tmp_path: Path) -> None:
    backbone = backbone_to_official(network(DETECTORS["swin-fcos"]).backbone.state_dict())
    head = head_to_official(RegionHead(ObjectnessConfig(channels=4)).state_dict(), "objectness")
    torch.save({"backbone_state_dict": backbone, "RCNN_dict": head}, tmp_path / "rcnn.pt")
    with pytest.raises(CheckpointError, match="rpn_head_state_dict"):
        maskfield.convert(tmp_path / "rcnn.pt", tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "content", [{"state_dict": {"weight": torch.zeros(1)}}, {"epoch": 1}, [1, 2]], ids=str
)
def test_a_file_of_no_known_kind_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match="a kind this program knows") as caught:
        maskfield.convert(tmp_path / "odd.pt", tmp_path / "a.safetensors")
    assert "a super-resolution network" in caught.value.remedy


def test_what_the_official_code_cannot_build_is_not_written(tmp_path: Path) -> None:
    wide = replace(BASE, embed_dim=8, heads=(1, 2, 4, 8))
    ours = our_file(SemanticConfig(base=wide, class_names=NAMES), tmp_path)
    with pytest.raises(CheckpointError, match="cannot build this size"):
        maskfield.convert(ours, tmp_path / "a.pt")
    assert not (tmp_path / "a.pt").exists()


def test_normalised_maps_have_no_official_form(tmp_path: Path) -> None:
    method = replace(DETECTORS["swin-fcos"], backbone=replace(SWIN, norm_outputs=True))
    with pytest.raises(CheckpointError, match="does not normalise") as caught:
        maskfield.convert(our_file(method, tmp_path), tmp_path / "a.pt")
    assert caught.value.field == "norm_outputs"


def test_a_configuration_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    ours = our_file(SemanticConfig(base=BASE, class_names=NAMES), tmp_path)
    maskfield.convert(ours, tmp_path / "a.pt")
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    content["train_args"]["method"]["from_the_future"] = 1
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        maskfield.convert(tmp_path / "a.pt", tmp_path / "b.safetensors")
    assert "from_the_future" in str(caught.value.field)
    assert "--recipe" in caught.value.remedy


def test_weights_of_a_field_have_no_official_form(tmp_path: Path) -> None:
    from maskfield.fields.config import VoxelFitConfig

    header = {"config": to_dict(RunConfig(method=VoxelFitConfig()))}
    save_weights(tmp_path / "field.safetensors", {"w": torch.zeros(1)}, header)
    with pytest.raises(CheckpointError, match="no official counterpart"):
        maskfield.convert(tmp_path / "field.safetensors", tmp_path / "a.pt")


# ------------------------------------------------------------------ where fine-tuning starts


@pytest.mark.parametrize("base", [BASE, SCRATCH], ids=["with table", "without"])
def test_finetuning_takes_an_official_autoencoder(base: NerfMAEConfig, tmp_path: Path) -> None:
    from maskfield.methods.nerf_mae.finetuning.transfer import transfer

    given = official_file(BASE, tmp_path / "mae.pt")
    method = SemanticConfig(base=base, class_names=NAMES)
    config = _source(RunConfig(method=method, data=GridDataConfig(resolution=32)))
    import_weights(given, tmp_path / "init.safetensors", config)
    weights, header = load_weights(tmp_path / "init.safetensors")
    assert equal(weights, network(BASE).state_dict())
    model = method.build()
    copied = transfer(weights, header, model, base)
    assert ("encoder.pos_embed" in copied) == base.positional_table
    assert all(torch.equal(model.state_dict()[k], weights[k]) for k in copied)


def test_finetuning_refuses_a_detector_where_an_autoencoder_is_wanted(tmp_path: Path) -> None:
    given = official_file(DETECTORS["pretrained"], tmp_path / "detector.pt")
    with pytest.raises(CheckpointError, match="wanted is a masked autoencoder"):
        maskfield.finetune("nerf-mae-detect:tiny-cpu", init=str(given), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_detector_continues_an_official_one(store: Path, tmp_path: Path) -> None:
    method = NerfRPNConfig(backbone=SWIN, head=FCOS, channels=64, resolution=32)
    given = official_file(method, tmp_path / "detector.pt")
    data = GridDataConfig(path=str(store), resolution=32, batch_size=1)
    save_config(RunConfig(method=method, data=data), tmp_path / "recipe.yaml")
    still = ["engine.steps=1", "engine.threads=1", "optim.lr=1e-12", "optim.weight_decay=0"]
    result = maskfield.finetune(
        str(tmp_path / "recipe.yaml"), init=str(given), out=tmp_path / "run", overrides=still
    )
    weights, _ = load_weights(result.folder)
    for name, value in network(method).state_dict().items():
        torch.testing.assert_close(weights[name], value, atol=1e-6, rtol=0)
    other = replace(method, backbone=replace(SWIN, depths=(1, 1, 1, 1)))
    save_config(RunConfig(method=other, data=data), tmp_path / "other.yaml")
    with pytest.raises(CheckpointError, match=r"unexpected  encoder\.stages\.1\.2"):
        maskfield.finetune(str(tmp_path / "other.yaml"), init=str(given), out=tmp_path / "x")

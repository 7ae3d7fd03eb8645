"""detect, segment and superres: files, pictures, text; and what bad input gets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import maskfield
from maskfield.core import zoo
from maskfield.core.errors import CheckpointError, ConfigError, GridError, SceneError
from maskfield.core.files import read_json
from maskfield.data.label_grid import load_labels
from maskfield.data.radiance_grid import load_grid, save_grid
from maskfield.data.scene import load_scene
from maskfield.data.writers import write_transforms_json
from maskfield.geometry.boxes import Boxes3D
from maskfield.methods.nerf_rpn.config import (
    FCOSConfig,
    NerfRPNConfig,
    ObjectnessConfig,
)
from maskfield.methods.nerf_rpn.convert import head_to_official, write_official
from maskfield.methods.nerf_rpn.model.detector import Detector
from maskfield.methods.nerf_rpn.model.region_head import RegionHead
from maskfield.verbs.detect import _wanted
from maskfield.verbs.given import open_given


def boxes_in(folder: Path) -> Boxes3D:
    return Boxes3D.from_json(read_json(folder / "boxes.json"))


def colourful(path: Path) -> bool:
    return float(np.asarray(Image.open(path)).std()) > 10


@pytest.fixture
def detector(weights) -> Path:
    return weights["detector"]


# ------------------------------------------------------------------ detect


def test_detect_writes_boxes_pictures_and_the_export(grid_file, scene_folder, detector, tmp_path):
    found = maskfield.detect(
        grid_file,
        model=detector,
        out=tmp_path,
        top=5,
        threshold=0.0,
        scene=scene_folder,
        ngp=True,
        figures=True,
    )
    assert 0 < len(found.boxes) <= 5
    assert boxes_in(tmp_path).to_json() == found.boxes.to_json()
    names = {p.name for p in found.files}
    assert names == {
        *("boxes.json", "transforms.json", "report.html"),
        *("boxes-views.png", "boxes-photographs.png"),
    }
    assert all(p.is_file() for p in found.files)
    assert colourful(tmp_path / "boxes-views.png")
    assert colourful(tmp_path / "boxes-photographs.png")
    assert (tmp_path / "report.html").read_text().count("data:image/") == 2
    head = read_json(tmp_path / "ngp" / "transforms.json")
    scores = [b["score"] for b in head["bounding_boxes"]]
    torch.testing.assert_close(torch.tensor(scores), found.boxes.score)
    assert f"found: {len(found.boxes)} boxes" in found.text()
    assert "centre [m]" in found.text()


def test_detect_gives_the_same_answer_twice_and_without_figures(grid_file, detector, tmp_path):
    options = {"model": detector, "threshold": 0.0, "top": 4}
    first = maskfield.detect(grid_file, out=tmp_path / "a", **options)
    again = maskfield.detect(grid_file, out=tmp_path / "b", **options)
    assert first.boxes.to_json() == again.boxes.to_json()
    assert [p.name for p in first.files] == ["boxes.json"]


def test_detect_resamples_to_the_resolution_of_the_training(
    grid_file, other_detector, tmp_path, monkeypatch
):
    shown = []
    original = Detector.forward

    def watched(self, grids):
        shown.append(max(grids[0].shape))
        return original(self, grids)

    monkeypatch.setattr(Detector, "forward", watched)
    maskfield.detect(grid_file, model=other_detector(resolution=24), out=tmp_path)
    assert shown == [24]


def test_an_empty_scene_has_an_empty_answer(room, detector, tmp_path):
    noise = torch.rand(room.radiance.density.shape) * 0.008
    empty = replace(room.radiance, density=noise, density_kind="alpha", activation="none")
    path = save_grid(empty, tmp_path / "empty.safetensors")
    found = maskfield.detect(path, model=detector, out=tmp_path, threshold=0.0)
    assert len(found.boxes) == 0
    assert len(boxes_in(tmp_path)) == 0
    assert found.text() == "found: 0 boxes"


@pytest.mark.slow
def test_an_empty_scene_still_has_a_report(room, scene_folder, detector, tmp_path):
    noise = torch.rand(room.radiance.density.shape) * 0.008
    empty = replace(room.radiance, density=noise, density_kind="alpha", activation="none")
    path = save_grid(empty, tmp_path / "empty.safetensors")
    maskfield.detect(path, model=detector, out=tmp_path, scene=scene_folder, figures=True)
    assert "Nothing was found" in (tmp_path / "report.html").read_text()


def test_truth_is_drawn_and_only_of_the_classes_that_were_trained(store, detector, tmp_path):
    truth = open_given(f"{store}:room-0000003").truth
    assert truth is not None
    label = int(truth.label[0])
    kept = _wanted(truth, (label,))
    assert kept is not None
    assert set(kept.label.tolist()) == {label}
    assert _wanted(truth, None) is truth
    assert _wanted(None, (1,)) is None


def test_export_needs_a_scene(grid_file, detector, tmp_path):
    with pytest.raises(SceneError, match="cameras") as caught:
        maskfield.detect(grid_file, model=detector, out=tmp_path / "out", ngp=True)
    assert "--scene" in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_export_copies_the_scenes_own_transforms_json(grid_file, scene_folder, detector, tmp_path):
    capture = write_transforms_json(load_scene(scene_folder), tmp_path / "capture")
    before = capture.read_text()
    maskfield.detect(
        grid_file, model=detector, out=tmp_path / "o", threshold=0, scene=capture, ngp=True
    )
    copy = read_json(tmp_path / "o" / "ngp" / "transforms.json")
    assert copy["bounding_boxes"]
    assert capture.read_text() == before
    first = tmp_path / "o" / "ngp" / copy["frames"][0]["file_path"]
    assert first.resolve() == (tmp_path / "capture" / "images" / "00000.png").resolve()


@pytest.mark.parametrize(("option", "value"), [("top", 0), ("threshold", -0.1), ("threshold", 1.0)])
def test_options_out_of_range(grid_file, detector, tmp_path, option, value):
    with pytest.raises(ConfigError) as caught:
        maskfield.detect(grid_file, model=detector, out=tmp_path, **{option: value})
    assert caught.value.field == option


# ------------------------------------------------------------------ models


def test_an_official_detector_is_taken_as_it_is(grid_file, tmp_path):
    torch.manual_seed(0)
    config = NerfRPNConfig(head=FCOSConfig(convs=1), channels=64)
    config = replace(
        config, backbone=replace(config.backbone, embed_dim=8, depths=(1, 1, 1, 1), heads=(1,) * 4)
    )
    path = write_official(config.build(), tmp_path / "model_best.pt")
    found = maskfield.detect(grid_file, model=path, out=tmp_path, threshold=0.0)
    assert len(found.boxes) > 0


def test_an_official_checkpoint_of_another_head_or_method_is_refused(grid_file, weights, tmp_path):
    torch.manual_seed(0)
    config = ObjectnessConfig(channels=8)
    head = head_to_official(RegionHead(config).state_dict(), "objectness")
    torch.save({"epoch": 1, "RCNN_dict": head}, tmp_path / "rcnn.pt")
    with pytest.raises(CheckpointError, match="not a detector"):
        maskfield.detect(grid_file, model=tmp_path / "rcnn.pt", out=tmp_path)
    torch.save({"epoch": 1, "state_dict": {"a": torch.ones(1)}}, tmp_path / "mae.pt")
    with pytest.raises(CheckpointError, match="not an official NeRF-RPN"):
        maskfield.detect(grid_file, model=tmp_path / "mae.pt", out=tmp_path)
    with pytest.raises(CheckpointError, match="does not say enough"):
        maskfield.segment(grid_file, model=tmp_path / "mae.pt", out=tmp_path)


@pytest.mark.parametrize(
    ("verb", "kind"),
    [("detect", "semantic"), ("segment", "detector"), ("superres", "semantic")],
)
def test_weights_of_another_task_are_refused(grid_file, weights, tmp_path, verb, kind):
    with pytest.raises(CheckpointError, match="these weights are not") as caught:
        getattr(maskfield, verb)(grid_file, model=weights[kind], out=tmp_path)
    assert caught.value.file == str(weights[kind])
    assert "finetune" in caught.value.remedy


def test_a_network_trained_on_another_kind_of_input_is_refused(grid_file, other_detector, tmp_path):
    path = other_detector(input="rgb, raw density")
    with pytest.raises(CheckpointError, match="another kind of input") as caught:
        maskfield.detect(grid_file, model=path, out=tmp_path)
    assert caught.value.field == "conventions.input"


def test_the_default_model_comes_from_the_package(grid_file, detector, tmp_path, monkeypatch):
    (tmp_path / "detector-tiny.safetensors").write_bytes(detector.read_bytes())
    monkeypatch.setattr(zoo, "zoo_folder", lambda: tmp_path)
    assert maskfield.detect(grid_file, out=tmp_path / "a").files
    with pytest.raises(CheckpointError, match="no such weights") as caught:
        maskfield.segment(grid_file, out=tmp_path / "b")
    assert caught.value.value == "semantic-tiny"


# ------------------------------------------------------------------ grids that do not do


def test_a_grid_whose_density_cannot_become_alpha_is_refused(room, weights, tmp_path):
    sigma = replace(
        room.radiance,
        density=room.radiance.density.float(),
        density_kind="sigma",
        activation="none",
        ngp_scale=None,
    )
    path = save_grid(sigma, tmp_path / "sigma.safetensors")
    for verb, kind in (("detect", "detector"), ("segment", "semantic"), ("superres", "superres")):
        with pytest.raises(GridError, match="instant-ngp") as caught:
            getattr(maskfield, verb)(path, model=weights[kind], out=tmp_path / verb)
        assert caught.value.file == str(path)
        assert caught.value.field == "ngp_scale"


def test_alpha_that_is_called_raw_is_refused(room, detector, tmp_path):
    wrong = replace(
        room.radiance, density=room.radiance.to_alpha(), density_kind="raw", activation="exp"
    )
    path = save_grid(wrong, tmp_path / "twice.safetensors")
    with pytest.raises(GridError, match="twice") as caught:
        maskfield.detect(path, model=detector, out=tmp_path)
    assert "density alpha" in caught.value.remedy


# ------------------------------------------------------------------ segment, superres


def test_segment_writes_labels_and_legend(grid_file, room, weights, tmp_path):
    found = maskfield.segment(grid_file, model=weights["semantic"], out=tmp_path)
    labels = load_labels(tmp_path / "labels.safetensors")
    labels.matches(room.radiance)
    assert torch.equal(labels.labels, found.labels.labels)
    legend = json.loads((tmp_path / "legend.json").read_text())
    assert [c["name"] for c in legend["classes"]] == ["void", "wall", "chair", "bed"]
    assert sum(c["voxels"] for c in legend["classes"]) == labels.labels.numel()
    total = int(labels.labelled().sum())
    assert f"labelled: {total} voxels" in found.text()


def test_superres_writes_a_finer_grid(grid_file, room, weights, tmp_path):
    found = maskfield.superres(grid_file, model=weights["superres"], out=tmp_path)
    fine = load_grid(tmp_path / "grid.safetensors")
    assert max(fine.resolution) == 51
    torch.testing.assert_close(fine.box, room.radiance.box)
    assert "-> " in found.text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "kind", "pictures"),
    [
        ("segment", "semantic", ("labels-views.png", "grid-views.png")),
        ("superres", "superres", ("before-after-views.png", "before-after-slices.png")),
    ],
)
def test_pictures_and_report(grid_file, weights, tmp_path, verb, kind, pictures):
    getattr(maskfield, verb)(grid_file, model=weights[kind], out=tmp_path, figures=True)
    assert all(colourful(tmp_path / name) for name in pictures)
    assert (tmp_path / "report.html").read_text().count("data:image/") == 2


def test_superres_says_how_to_get_a_model(grid_file, tmp_path):
    with pytest.raises(CheckpointError, match="comes with the package") as caught:
        maskfield.superres(grid_file, out=tmp_path)
    assert "finetune nerf-mae-superres" in caught.value.remedy


def test_answers_go_to_runs_unless_told(grid_file, store, detector, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    maskfield.detect(grid_file, model=detector)
    maskfield.detect(f"{store}:room-0000003", model=detector)
    assert (tmp_path / "runs" / "detect-den" / "boxes.json").is_file()
    assert (tmp_path / "runs" / "detect-room-0000003" / "boxes.json").is_file()

"""``maskfield pose`` on the command line: what it says, and how it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from maskfield.cli.main import main
from maskfield.data.pose_estimate import load_pose
from maskfield.engine.checkpoint import save_weights
from maskfield.geometry.camera_paths import look_at, pinholes
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.view import field_view
from methods.inerf.scenes import make_blob

SIDE = 40
FOCAL = SIDE / 2 / math.tan(math.radians(20))
LENS = f"{FOCAL},{FOCAL},{SIDE / 2},{SIDE / 2}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """body.safetensors, a field; toy.png, a photograph of it; start.json, a pose beside its own."""
    place, body = tmp_path_factory.mktemp("pose"), make_blob(24)
    header = {"conventions": {"kind": "VoxelField", **body.header()}}
    save_weights(place / "body.safetensors", body.state_dict(), header)
    poses = look_at(torch.tensor([[3.0, 1.0, 1.5], [3.1, 0.5, 1.4]]), torch.zeros(2, 3))
    camera = pinholes(poses[:1], SIDE, SIDE, 40.0)
    blank = Observation(image=torch.zeros(SIDE, SIDE, 3), camera=camera)
    image = field_view(body).image(blank, poses[0]).clamp(0, 1)
    Image.fromarray((image * 255).round().byte().numpy()).save(place / "toy.png")
    (place / "start.json").write_text(json.dumps(poses[1].tolist()))
    return place


def words(folder: Path, *more: object) -> list[str]:
    return [str(w) for w in ("pose", folder / "body.safetensors", folder / "toy.png", *more)]


def test_it_says_verdict_centre_and_where_the_report_is(folder, tmp_path, capsys):
    out = tmp_path / "out"
    asked = words(folder, "--camera", LENS, "--init", folder / "start.json", "--no-film")
    assert main([*asked, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "toy.png: converged; centre 3.0" in said
    assert f"report: {out / 'report.html'}" in said
    assert load_pose(out / "pose.json").verdict == "converged"
    assert not list(out.glob("search.*")), "no film was asked for"


def test_refusals_are_messages(folder, tmp_path, capsys):
    assert main(words(folder, "--init", folder / "start.json")) == 2
    said = capsys.readouterr().err
    assert "toy.png" in said
    assert "--camera" in said
    asked = words(folder, "--camera", LENS, "--init", folder / "start.json", "--search", 20)
    assert main(asked) == 2
    assert "exclude each other" in capsys.readouterr().err
    assert main(words(folder, "--camera", LENS)) == 2
    assert "--scene" in capsys.readouterr().err
    assert main(words(folder, "--camera", LENS, "--init", tmp_path / "gone.json")) == 2
    assert "gone.json" in capsys.readouterr().err
    assert main(words(folder, "--camera", LENS, "--steps", 0, "--init", tmp_path / "x.json")) == 2
    assert "steps" in capsys.readouterr().err

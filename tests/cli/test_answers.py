"""`detect`, `segment`, `superres` on the command line: what they print, and how they refuse."""

from __future__ import annotations

import pytest

from maskfield.cli.main import main
from maskfield.core.config import to_dict
from maskfield.data.radiance_grid import save_grid
from maskfield.data.synthetic.config import RoomConfig
from maskfield.data.synthetic.rasterise import rasterise_room
from maskfield.data.synthetic.room import build_room
from maskfield.engine.checkpoint import save_weights
from maskfield.engine.config import RunConfig
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.downstream_config import (
    SemanticConfig,
    SuperResolutionConfig,
    TransferDetectorConfig,
)
from maskfield.methods.nerf_rpn.config import FCOSConfig

BASE = NerfMAEConfig(
    resolution=32, embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), stochastic_depth=0.0
)
METHODS = {
    "detect": TransferDetectorConfig(base=BASE, head=FCOSConfig(convs=1), channels=64),
    "segment": SemanticConfig(base=BASE, class_names=("void", "wall", "chair")),
    "superres": SuperResolutionConfig(base=BASE, scale=1.6),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """den.safetensors, a room; VERB.safetensors, weights."""
    place = tmp_path_factory.mktemp("answers")
    save_grid(rasterise_room(build_room(3, RoomConfig()), 32).radiance, place / "den.safetensors")
    for verb, method in METHODS.items():
        header = {"config": to_dict(RunConfig(method=method))}
        save_weights(place / f"{verb}.safetensors", method.build().state_dict(), header)
    return place


@pytest.mark.parametrize(
    ("verb", "said", "file"),
    [
        ("detect", "found:", "boxes.json"),
        ("segment", "labelled:", "labels.safetensors"),
        ("superres", "voxels:", "grid.safetensors"),
    ],
)
def test_a_verb_says_what_it_found_and_what_it_wrote(folder, tmp_path, capsys, verb, said, file):
    words = [verb, folder / "den.safetensors", "--model", folder / f"{verb}.safetensors"]
    words += ["--out", tmp_path, *(["--threshold", 0.0, "--top", 12] if verb == "detect" else [])]
    assert main([str(w) for w in words]) == 0
    out = capsys.readouterr().out
    assert said in out
    assert f"wrote: {tmp_path / file}" in out
    assert (tmp_path / file).is_file()
    if verb == "detect":
        assert "yaw [deg]" in out
        assert "and 2 more" in out


def test_refusals_are_messages(folder, tmp_path, capsys):
    grid = str(folder / "den.safetensors")
    assert main(["superres", grid, "--out", str(tmp_path)]) == 2
    assert "finetune nerf-mae-superres" in capsys.readouterr().err
    assert main(["detect", str(tmp_path / "gone.npz")]) == 2
    assert "remedy:" in capsys.readouterr().err
    assert main(["detect", grid, "--model", "zoo:nothing-like-it"]) == 2
    assert "nothing-like-it" in capsys.readouterr().err

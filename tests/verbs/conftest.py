"""A room in every form a verb takes, and freshly initialised networks of each kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from maskfield.core.config import to_dict
from maskfield.data.network_input import INPUT
from maskfield.data.radiance_grid import save_grid
from maskfield.data.scene import save_scene
from maskfield.data.synthetic.config import RoomConfig
from maskfield.data.synthetic.photographs import room_scene
from maskfield.data.synthetic.rasterise import RoomGrids, rasterise_room
from maskfield.data.synthetic.room import build_room
from maskfield.data.synthetic.store_rooms import write_room_grids
from maskfield.engine.checkpoint import save_weights
from maskfield.engine.config import RunConfig
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.downstream_config import SemanticConfig, SuperResolutionConfig
from maskfield.methods.nerf_rpn.config import FCOSConfig, NerfRPNConfig, SwinConfig

SEED = 3
SIDE = 32
BASE = NerfMAEConfig(
    resolution=SIDE, embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), stochastic_depth=0.0
)
DETECTOR = NerfRPNConfig(
    backbone=SwinConfig(embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2)),
    head=FCOSConfig(convs=1),
    channels=64,
    resolution=SIDE,
)
NAMES = ("void", "wall", "chair", "bed")


def write_weights(folder: Path, name: str, method: Any, **conventions: Any) -> Path:
    """Fresh weights of a method's network as a training would leave them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = method.build().state_dict()
    path = folder / f"{name}.safetensors"
    found = {"kind": name, "input": INPUT, "resolution": SIDE, **conventions}
    save_weights(path, weights, {"config": to_dict(RunConfig(method=method)), "conventions": found})
    return path


@pytest.fixture(scope="session")
def room() -> RoomGrids:
    return rasterise_room(build_room(SEED, RoomConfig()), SIDE)


@pytest.fixture(scope="session")
def grid_file(room, tmp_path_factory) -> Path:
    return save_grid(room.radiance, tmp_path_factory.mktemp("grid") / "den.safetensors")


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "rooms"
    write_room_grids(folder, 2, SEED, SIDE, workers=1)
    return folder


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory) -> Path:
    scene = room_scene(SEED, views=6, width=48, height=36)
    return save_scene(scene, tmp_path_factory.mktemp("scene") / "den")


@pytest.fixture
def other_detector(tmp_path) -> Callable[..., Path]:
    """Writes a detector with other conventions or another config."""

    def write(method: Any = DETECTOR, **conventions: Any) -> Path:
        return write_weights(tmp_path, "other", method, **conventions)

    return write


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> dict[str, Path]:
    """Weights files: "detector", "semantic", "superres"."""
    folder = tmp_path_factory.mktemp("weights")
    return {
        "detector": write_weights(folder, "detector", DETECTOR),
        "semantic": write_weights(folder, "semantic", SemanticConfig(base=BASE, class_names=NAMES)),
        "superres": write_weights(folder, "superres", SuperResolutionConfig(base=BASE, scale=1.6)),
    }

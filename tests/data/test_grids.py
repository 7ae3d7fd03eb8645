"""RadianceGrid, LabelGrid, official npz files and the grid store."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError, GridError, StorageError
from maskfield.data.label_grid import LabelGrid, load_labels, save_labels
from maskfield.data.radiance_grid import RadianceGrid, load_grid, save_grid
from maskfield.data.readers import nerf_rpn
from maskfield.data.store import is_store, open_store, write_store
from maskfield.data.writers import write_nerf_rpn_npz, write_split
from maskfield.geometry.boxes import Boxes3D

SIZE = (6, 5, 4)
BOX = torch.tensor([[-1.2, -1.0, 0.0], [1.2, 1.0, 1.6]])


@pytest.fixture
def raw(generator: torch.Generator) -> RadianceGrid:
    return RadianceGrid(
        rgb=torch.rand(3, *SIZE, generator=generator),
        density=torch.randn(1, *SIZE, generator=generator) * 3,
        box=BOX,
        density_kind="raw",
        activation="exp",
        ngp_scale=0.4,
        ngp_offset=(0.5, 0.5, 0.2),
    )


@pytest.fixture
def alpha(raw: RadianceGrid) -> RadianceGrid:
    return replace(raw, density=raw.to_alpha(), density_kind="alpha", activation="none")


# ---------------------------------------------------------------- RadianceGrid


def test_the_official_alpha_rule(raw: RadianceGrid) -> None:
    expected = 1 - np.exp(-np.exp(raw.density.double().numpy()) * 0.01)
    np.testing.assert_allclose(raw.to_alpha().numpy(), expected, atol=1e-6)
    relu = replace(raw, activation="relu").to_alpha()
    expected = 1 - np.exp(-np.maximum(raw.density.double().numpy(), 0) * 0.01)
    np.testing.assert_allclose(relu.numpy(), expected, atol=1e-6)


def test_metric_density_is_converted_through_the_scale(raw: RadianceGrid) -> None:
    sigma = replace(raw, density=raw.sigma() * 0.4, density_kind="sigma", activation="none")
    torch.testing.assert_close(sigma.to_alpha(), raw.to_alpha())
    with pytest.raises(GridError, match="ngp_scale"):
        replace(sigma, ngp_scale=None).to_alpha()


def test_grid_round_trip(raw: RadianceGrid, tmp_path: Path) -> None:
    back = load_grid(save_grid(raw, tmp_path / "a.safetensors"))
    assert back.density_kind == "raw"
    assert back.ngp_offset == raw.ngp_offset
    torch.testing.assert_close(back.density.float(), raw.density, atol=4e-3, rtol=1e-3)


@pytest.mark.parametrize("damage", ["constant", "nan", "shape", "bytes"])
def test_bad_grids_are_refused(raw: RadianceGrid, tmp_path: Path, damage: str) -> None:
    density = {
        "constant": torch.zeros(1, *SIZE),
        "nan": raw.density.clone().fill_(float("nan")),
        "shape": torch.zeros(1, 2, 2, 2),
        "bytes": (raw.density * 10).byte(),
    }[damage]
    with pytest.raises(GridError):
        save_grid(replace(raw, density=density), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density_kind": "alpha", "activation": "none"}, "alpha lies in"),
        ({"activation": "exp", "density": torch.linspace(0, 900, 120)}, "exp of it overflows"),
        ({"rgb": torch.linspace(0, 255, 360).reshape(3, *SIZE)}, "colours lie in"),
        ({"activation": "sigmoid"}, "unknown kind of density"),
    ],
)
def test_values_that_do_not_suit_their_kind(raw: RadianceGrid, change: dict, message: str) -> None:
    density = change.get("density", raw.density).reshape(1, *SIZE)
    with pytest.raises(GridError, match=message) as caught:
        replace(raw, **{**change, "density": density}).validated("a.npz")
    assert caught.value.file == "a.npz"
    assert caught.value.value


def test_a_damaged_header_is_a_typed_error(raw: RadianceGrid, tmp_path: Path) -> None:
    path = save_grid(raw, tmp_path / "a.safetensors")
    content = path.read_bytes()
    assert b"density_kind" in content
    path.write_bytes(content.replace(b"density_kind", b"density_kinx"))
    with pytest.raises(GridError, match="header of the grid is damaged"):
        load_grid(path)


def test_a_store_refuses_what_becomes_empty_as_alpha(raw: RadianceGrid, tmp_path: Path) -> None:
    empty = replace(raw, activation="exp", density=raw.density.clamp(-1, 1) - 40)
    with pytest.raises(GridError, match="shows nothing"):
        write_store([("empty", empty)], tmp_path)
    assert not (tmp_path / "index.json").exists()


# ---------------------------------------------------------------- LabelGrid


def test_labels_round_trip(raw: RadianceGrid, tmp_path: Path) -> None:
    labels = torch.arange(120).reshape(SIZE).to(torch.int16) % 3
    grid = LabelGrid(labels=labels, class_names=("void", "wall", "bed"), box=BOX)
    back = load_labels(save_labels(grid, tmp_path / "l.safetensors"))
    assert torch.equal(back.labels, labels)
    assert back.class_names == grid.class_names
    assert back.counts().tolist() == [40, 40, 40]
    assert int(back.labelled().sum()) == 80
    assert back.matches(raw) is back
    with pytest.raises(GridError, match="different voxels"):
        back.matches(replace(raw, box=BOX + 1))


@pytest.mark.parametrize("damage", ["high", "negative", "float", "box"])
def test_bad_labels_are_refused(damage: str) -> None:
    good = LabelGrid(labels=torch.zeros(2, 2, 2).short(), class_names=("void",), box=BOX)
    changed = {
        "high": {"labels": torch.ones(2, 2, 2).short()},
        "negative": {"labels": -torch.ones(2, 2, 2).short()},
        "float": {"labels": torch.zeros(2, 2, 2)},
        "box": {"box": BOX.flip(0)},
    }[damage]
    with pytest.raises(GridError):
        replace(good, **changed).validated()


def test_another_kind_of_file_is_no_label_grid(raw: RadianceGrid, tmp_path: Path) -> None:
    with pytest.raises(GridError, match="not a LabelGrid"):
        load_labels(save_grid(raw, tmp_path / "a.safetensors"))


# ---------------------------------------------------------------- official npz


@pytest.mark.parametrize("kind", ["exp", "relu", "alpha"])
def test_npz_round_trip(raw: RadianceGrid, alpha: RadianceGrid, tmp_path: Path, kind: str) -> None:
    grid = alpha if kind == "alpha" else replace(raw, activation=kind)  # type: ignore[arg-type]
    back = nerf_rpn.read_grid(write_nerf_rpn_npz(grid, tmp_path / "a.npz"))
    assert (back.density_kind, back.activation) == (grid.density_kind, grid.activation)
    torch.testing.assert_close(back.rgb, grid.rgb)
    torch.testing.assert_close(back.density, grid.density)
    torch.testing.assert_close(back.box, grid.box, atol=1e-5, rtol=0)
    assert back.ngp_scale == pytest.approx(0.4)


def test_sigma_is_written_as_log_density(raw: RadianceGrid, tmp_path: Path) -> None:
    sigma = replace(raw, density=raw.sigma() * 0.4, density_kind="sigma", activation="none")
    back = nerf_rpn.read_grid(write_nerf_rpn_npz(sigma, tmp_path / "a.npz"))
    torch.testing.assert_close(back.to_alpha(), raw.to_alpha())
    with pytest.raises(GridError, match="ngp_scale"):
        write_nerf_rpn_npz(replace(sigma, ngp_scale=None), tmp_path / "b.npz")


def test_flat_y_up_files_are_turned(raw: RadianceGrid, tmp_path: Path) -> None:
    """The extractor's layout: x fastest, instant-ngp axes (its x, y, z = our y, z, x)."""
    ours = torch.cat([raw.rgb, raw.density]).permute(1, 2, 3, 0).numpy()
    y_up = ours.transpose(1, 2, 0, 3)
    flat = y_up.transpose(2, 1, 0, 3).reshape(-1, 4)
    ngp = BOX.numpy() * 0.4 + np.array([0.5, 0.5, 0.2])
    np.savez(
        tmp_path / "a.npz",
        rgbsigma=flat,
        resolution=np.array(y_up.shape[:3]),
        bbox_min=ngp[0, [1, 2, 0]],
        bbox_max=ngp[1, [1, 2, 0]],
        scale=0.4,
        offset=np.array([0.5, 0.5, 0.2]),
        from_mitsuba=False,
    )
    grid = nerf_rpn.read_grid(tmp_path / "a.npz")
    torch.testing.assert_close(grid.rgb, raw.rgb)
    torch.testing.assert_close(grid.density, raw.density)
    torch.testing.assert_close(grid.box, BOX, atol=1e-5, rtol=0)


def test_density_is_recognised_or_named(alpha: RadianceGrid, tmp_path: Path) -> None:
    path = write_nerf_rpn_npz(alpha, tmp_path / "a.npz")
    assert nerf_rpn.read_grid(path).density_kind == "alpha"
    assert nerf_rpn.read_grid(path, density="exp").activation == "exp"


def test_eight_bit_grids_are_alpha_and_never_normalised(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (*SIZE, 4)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", rgbsigma=values)
    grid = nerf_rpn.read_grid(tmp_path / "a.npz")
    torch.testing.assert_close(
        grid.rgba(), torch.from_numpy(values).permute(3, 0, 1, 2).float() / 255
    )
    with pytest.raises(GridError, match="8-bit density"):
        nerf_rpn.read_grid(tmp_path / "a.npz", density="exp")


@pytest.mark.parametrize("damage", ["truncated", "missing", "layout", "key"])
def test_bad_npz(alpha: RadianceGrid, tmp_path: Path, damage: str) -> None:
    path = write_nerf_rpn_npz(alpha, tmp_path / "a.npz")
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:300])
    elif damage == "missing":
        path.unlink()
    elif damage == "layout":
        np.savez(path, rgbsigma=np.zeros((7, 4), np.float32), resolution=np.array([2, 2, 2]))
    else:
        np.savez(path, other=np.zeros(3))
    with pytest.raises(GridError) as caught:
        nerf_rpn.read_grid(path)
    assert caught.value.file == str(path)


def test_boxes_go_to_the_world_and_back(raw: RadianceGrid, tmp_path: Path) -> None:
    np.save(tmp_path / "obb.npy", np.array([[3.0, 2.5, 2, 2, 1, 1, 0.3]]))
    boxes = nerf_rpn.read_boxes(tmp_path / "obb.npy", SIZE)
    world = nerf_rpn.boxes_to_world(boxes, raw)
    torch.testing.assert_close(world.centre, torch.tensor([[0.0, 0, 0.8]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(world.size, boxes.size * 0.4)
    back: Boxes3D = nerf_rpn.boxes_to_grid(world, raw)
    torch.testing.assert_close(back.centre, boxes.centre)
    torch.testing.assert_close(back.size, boxes.size)


def test_axis_aligned_boxes(tmp_path: Path) -> None:
    np.save(tmp_path / "aabb.npy", np.array([[0, 1, 2, 4, 4, 4]]))
    boxes = nerf_rpn.read_boxes(tmp_path / "aabb.npy")
    assert boxes.centre.tolist() == [[2.0, 2.5, 3.0]]
    assert boxes.size.tolist() == [[4.0, 3.0, 2.0]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[9.0, 1, 1, 1, 1, 1, 0]], "outside"),
        ([[1.0, 1, 1, -1, 1, 1, 0]], "non-positive"),
        ([[1.0, 1, 1, 1, 1]], "columns"),
    ],
)
def test_bad_boxes(tmp_path: Path, table: list, message: str) -> None:
    np.save(tmp_path / "obb.npy", np.array(table))
    with pytest.raises(DataError, match=message):
        nerf_rpn.read_boxes(tmp_path / "obb.npy", SIZE)


def test_splits_and_present_scenes(alpha: RadianceGrid, tmp_path: Path) -> None:
    names = {"train": ("a", "b", "c", "d"), "val": ("e",), "test": ()}
    assert nerf_rpn.read_split(write_split(names, tmp_path / "s_split.npz")) == names
    for name in "abe":
        write_nerf_rpn_npz(alpha, tmp_path / "features" / f"{name}.npz")
    found = nerf_rpn.present_scenes(tmp_path, names["train"])
    assert [n for n, _ in found] == ["a", "b"]  # c and d have no file
    assert len(nerf_rpn.present_scenes(tmp_path, names["train"], percent=0.25)) == 1
    assert [n for n, _ in nerf_rpn.present_scenes(tmp_path)] == ["a", "b", "e"]
    with pytest.raises(DataError, match="no feature grids"):
        nerf_rpn.present_scenes(tmp_path, ("x",))
    with pytest.raises(DataError, match="train_scenes"):
        nerf_rpn.read_split(tmp_path / "features" / "a.npz")


# ---------------------------------------------------------------- store


@pytest.mark.parametrize("colour", ["uint8", "float16"])
@pytest.mark.parametrize("density", ["alpha_uint8", "alpha_float16", "float16"])
def test_store_gives_the_grids_back(
    raw: RadianceGrid, alpha: RadianceGrid, tmp_path: Path, colour: str, density: str
) -> None:
    grids = {"raw": raw, "alpha": alpha}
    store = write_store(grids.items(), tmp_path / "s", colour=colour, density=density)  # type: ignore[arg-type]
    assert store.names == ("raw", "alpha")
    step = 0.5 / 255 + 1e-6 if "uint8" in (colour, density[6:]) else 1e-3
    for i, grid in enumerate(grids.values()):
        out = torch.full((4, *SIZE), -1.0)
        rgba = store.read_rgba(i, out)
        assert rgba is out
        torch.testing.assert_close(rgba, grid.rgba(), atol=step, rtol=0)
        torch.testing.assert_close(store[i].rgba(), rgba)
        torch.testing.assert_close(store[i].box, BOX)
    assert store[0].density_kind == ("raw" if density == "float16" else "alpha")
    assert store[0].ngp_scale == 0.4


def test_half_precision_is_widened_exactly(raw: RadianceGrid, tmp_path: Path) -> None:
    store = write_store([("a", raw)], tmp_path, colour="float16", density="alpha_float16")
    expected = torch.cat([raw.rgb.half().float(), raw.to_alpha().half().float()])
    assert torch.equal(store.read_rgba(0), expected)


def test_store_has_shards_and_survives_pickling(raw: RadianceGrid, tmp_path: Path) -> None:
    store = write_store(((str(i), raw) for i in range(5)), tmp_path, shard_bytes=1000)
    assert len(list(tmp_path.glob("*.bin"))) == 3
    again = pickle.loads(pickle.dumps(store))
    assert torch.equal(again.read_rgba(4), store.read_rgba(0))
    assert again.index("3") == 3
    assert is_store(tmp_path)
    with pytest.raises(DataError, match="no such grid"):
        again.index("9")


def test_rewriting_replaces_the_old_shards(raw: RadianceGrid, tmp_path: Path) -> None:
    write_store([("old", raw)], tmp_path)
    assert write_store([("new", raw)], tmp_path).names == ("new",)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failing_grid_leaves_the_old_store(raw: RadianceGrid, tmp_path: Path) -> None:
    write_store([("old", raw)], tmp_path)
    bad = replace(raw, density=torch.zeros(1, *SIZE))
    with pytest.raises(GridError, match="constant") as caught:
        write_store([("fine", raw), ("bad", bad)], tmp_path)
    assert caught.value.file == "bad"
    assert open_store(tmp_path).names == ("old",)
    assert len(list(tmp_path.iterdir())) == 2


def test_damaged_stores_are_refused(raw: RadianceGrid, tmp_path: Path) -> None:
    write_store([("a", raw)], tmp_path)
    shard = next(tmp_path.glob("*.bin"))
    shard.write_bytes(shard.read_bytes()[:-80])
    with pytest.raises(DataError, match="truncated"):
        open_store(tmp_path)
    shard.unlink()
    with pytest.raises(DataError, match="missing"):
        open_store(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"kind": "GridStore", "format_version": 99}))
    with pytest.raises(DataError, match="format version"):
        open_store(tmp_path)


def test_a_damaged_index_is_a_typed_error(raw: RadianceGrid, tmp_path: Path) -> None:
    write_store([("a", raw)], tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    for damaged in ({**index, "grids": [{"name": "a"}]}, {**index, "grids": 3}):
        (tmp_path / "index.json").write_text(json.dumps(damaged))
        with pytest.raises(DataError, match="index of the store is damaged"):
            open_store(tmp_path)


def test_a_damaged_label_header_is_a_typed_error(tmp_path: Path) -> None:
    grid = LabelGrid(labels=torch.zeros(2, 2, 2).short(), class_names=("void",), box=BOX)
    path = save_labels(grid, tmp_path / "l.safetensors")
    path.write_bytes(path.read_bytes().replace(b"class_names", b"class_namez"))
    with pytest.raises(GridError, match="header of the label grid is damaged"):
        load_labels(path)


def test_stores_need_grids_with_different_names(raw: RadianceGrid, tmp_path: Path) -> None:
    with pytest.raises(GridError, match="no grids"):
        write_store([], tmp_path)
    with pytest.raises(GridError, match="same name"):
        write_store([("a", raw), ("a", raw)], tmp_path)


def test_a_wrong_buffer_is_refused(raw: RadianceGrid, tmp_path: Path) -> None:
    store = write_store([("a", raw)], tmp_path)
    for out in (torch.empty(4, 2, 2, 2), torch.empty(4, *SIZE).double()):
        with pytest.raises(GridError, match="buffer"):
            store.read_rgba(0, out)


def test_a_file_in_the_way_is_a_storage_error(raw: RadianceGrid, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("not a folder")
    with pytest.raises(StorageError):
        write_store([("a", raw)], tmp_path / "s")

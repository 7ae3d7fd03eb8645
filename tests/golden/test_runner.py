"""The runner itself: it must fail when the product is wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from golden.case import Case
from golden.comparators import close, comparison, relative_to_max, relative_to_std
from golden.registry import ADAPTERS, Adapter, golden
from golden.runner import Report, run_case


def write_case(folder: Path, outputs: dict[str, Tensor], **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    meta = {"system": "toy", "case": folder.name, "kind": "toy", "tolerance": 1e-3, **config}
    (folder / "meta.json").write_text(json.dumps(meta))
    save_file({"x": torch.arange(3.0)}, folder / "inputs.safetensors")
    if outputs:
        save_file(outputs, folder / "outputs.safetensors")
    return folder


def report(folder: Path, found: dict[str, Any], **options: Any) -> Report:
    return run_case(folder, {"toy/toy": Adapter(function=lambda case: found, **options)})


def test_equal_passes_and_extra_outputs_are_allowed(tmp_path: Path) -> None:
    folder = write_case(tmp_path, {"y": torch.tensor([1.0, math.nan, math.inf])})
    found = {"y": torch.tensor([1.0005, math.nan, math.inf]), "more": torch.ones(1)}
    assert report(folder, found) == Report()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"y": torch.tensor([1.0, 2.1])}, "1 of 2 values differ"),
        ({"y": torch.tensor([1.0, math.nan])}, "1 of 2 values differ, worst by inf"),
        ({"y": torch.tensor([[1.0, 2.0]])}, r"shape (1, 2), stored (2,)"),
        ({"y": torch.tensor([1.0, 2.0, 3.0])}, "shape"),
        ({"z": torch.tensor([1.0, 2.0])}, "y: not returned"),
    ],
)
def test_wrong_missing_and_misshaped_tensors_fail(
    tmp_path: Path, found: dict[str, Tensor], words: str
) -> None:
    problems = report(write_case(tmp_path, {"y": torch.tensor([1.0, 2.0])}), found).problems
    assert len(problems) == 1
    assert words in problems[0]


def test_a_stored_nan_is_not_satisfied_by_a_number(tmp_path: Path) -> None:
    folder = write_case(tmp_path, {"y": torch.tensor([math.nan])})
    assert report(folder, {"y": torch.tensor([0.0])}).problems


def test_a_case_without_adapter_or_outputs_does_not_pass(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "a", {"y": torch.ones(1)})
    assert run_case(folder, {}).absent == ("no adapter for toy/toy",)
    assert report(write_case(tmp_path / "b", {}), {}).problems


def test_scalar_tolerance_is_absolute_and_relative() -> None:
    check = comparison({"tolerance": 1e-3})
    assert check(torch.tensor(100.0), torch.tensor(100.1)) is None
    assert check(torch.tensor(0.0), torch.tensor(0.0009)) is None
    assert check(torch.tensor(0.0), torch.tensor(0.0011)) is not None
    assert check(torch.tensor(100.0), torch.tensor(100.2)) is not None


def test_integers_must_be_equal_under_small_tolerances() -> None:
    assert close(0.5, 0.5)(torch.tensor([100]), torch.tensor([101])) is not None
    assert close(1.0, 0.0)(torch.tensor([100]), torch.tensor([101])) is None
    assert close(0.0, 0.0)(torch.tensor([1, 0]), torch.tensor([True, False])) is None


@pytest.mark.parametrize(
    ("words", "ok", "wrong"),
    [
        ("exact", 2.0, 2.0000001),
        ("1e-3", 2.002, 2.004),
        ("1e-5 (float32 storage)", 2.00002, 2.0001),
        ("1e-6 on metrics", 2.000001, 2.0001),
        ("1e-4 rel", 2.0003, 2.0006),
        ({"atol": 0.5, "rtol": 0}, 2.4, 2.6),
    ],
)
def test_every_row_of_the_table(words: Any, ok: float, wrong: float) -> None:
    check = comparison({"tolerance": words})
    stored = torch.tensor([2.0, -4.0], dtype=torch.float64)
    assert check(stored, torch.tensor([ok, -4.0], dtype=torch.float64)) is None
    assert check(stored, torch.tensor([wrong, -4.0], dtype=torch.float64)) is not None


def test_relative_comparators_scale_with_the_tensor() -> None:
    stored = torch.tensor([-10.0, 10.0, 0.0])
    moved = stored + 0.005
    assert relative_to_max(1e-3)(stored, moved) is None
    assert relative_to_std(1e-3)(stored, moved) is None
    assert relative_to_std(1e-4)(stored, moved) is not None
    assert comparison({"tolerance": "1e-3 relative to std"})(stored, moved) is None
    assert comparison({"tolerance": "1e-4 (relative to the std of each tensor)"})(stored, moved)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(LookupError, match="roughly"):
        comparison({"tolerance": "roughly"})


def test_strides_are_applied_on_the_right_axes(tmp_path: Path) -> None:
    full = torch.randn(2, 8, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    stored = {
        "a": full[:, :, ::3, ::3, ::3].contiguous(),
        "last": full[:, ::2, ::2, ::2].contiguous(),
        "pred": full[:, :, ::5, ::5, ::5].contiguous(),
    }
    folder = write_case(tmp_path, stored, stored_strides={"a": 3, "last": 2}, stored_stride=5)
    found = {"a": full, "last": full, "pred": full}
    assert report(folder, found, channels_last=("last",)) == Report()
    assert report(folder, found).problems[0].startswith("last: shape")


def test_json_manifests_are_outputs(tmp_path: Path) -> None:
    folder = write_case(tmp_path, {}, tolerance="exact")
    manifest = {"net": {"a.weight": {"shape": [2, 3], "dtype": "float32"}}}
    (folder / "manifests.json").write_text(json.dumps({**manifest, "other": {"b": 1}}))
    assert report(folder, {}).problems == ("manifests.json: not returned by the adapter",)
    partial = report(folder, {"manifests.json": manifest})
    assert partial.problems == ()
    assert partial.absent == ("manifests.json: no network for other",)
    wrong = {"net": {"a.weight": {"shape": [2, 4], "dtype": "float32"}}, "other": {"b": 1}}
    assert report(folder, {"manifests.json": wrong}).problems == (
        "manifests.json/net/a.weight/shape/1: 1 of 1 values differ, worst by 1; "
        "first at (): 4, stored 3",
    )


def test_a_case_object_has_no_outputs(tmp_path: Path) -> None:
    case = Case(write_case(tmp_path, {"y": torch.ones(1)}))
    assert set(case.inputs) == {"x"}
    assert not hasattr(case, "outputs")


def test_two_adapters_for_one_kind_are_refused() -> None:
    try:
        golden("toy/twice")(lambda case: {})
        with pytest.raises(ValueError, match="two adapters"):
            golden("toy/twice")(lambda case: {})
    finally:
        ADAPTERS.pop("toy/twice")


IOU_WORDS = "1e-4 abs on IoU, 1e-3 rel on losses/areas; gradients 1e-3 rel to max"


@pytest.mark.parametrize(
    ("name", "ok", "wrong"),
    [
        ("iou_3d", 2.00009, 2.0002),
        ("matrix_iou_2x1", 2.00009, 2.0002),
        ("giou3d_smallest", 2.00009, 2.0002),
        ("giou3d_loss_smallest", 2.002, 2.003),
        ("inter_area_2d", 2.002, 2.003),
        ("grad_iou3d_box1", 2.0039, 2.0041),
    ],
)
def test_iou_losses_areas_and_gradients_each_have_their_tolerance(
    name: str, ok: float, wrong: float
) -> None:
    check = comparison({"tolerance": IOU_WORDS}, name)
    stored = torch.tensor([2.0, -4.0], dtype=torch.float64)
    assert check(stored, torch.tensor([ok, -4.0], dtype=torch.float64)) is None
    assert check(stored, torch.tensor([wrong, -4.0], dtype=torch.float64)) is not None


@pytest.mark.parametrize(
    ("iou", "wrong"),
    [
        ([0.5, 1.0, 0.0, 0.2], False),  # official, exact, anything in [0, 1], official
        ([0.5, 1.0, 0.7, 0.2], False),
        ([0.4, 1.0, 0.0, 0.2], True),
        ([0.5, 0.3, 0.0, 0.2], True),  # what the official code says where it is wrong
        ([0.5, 1.0, math.nan, 0.2], True),
        ([0.5, 1.0, 1.5, 0.2], True),
    ],
)
def test_the_exact_value_is_asked_where_the_official_one_is_wrong(
    tmp_path: Path, iou: list[float], wrong: bool
) -> None:
    exact = torch.tensor([0.5, 1.0, math.nan, 0.2], dtype=torch.float64)
    stored = {
        "iou_3d": torch.tensor([0.5, 0.3, math.nan, 0.2]),
        "iou_3d_exact_f64": exact,
        "inter_area_2d_exact_f64": exact.nan_to_num(0),
        "official_trustworthy": torch.tensor([True, False, False, True]),
    }
    words = "compare with official where official_trustworthy is true (1e-4); elsewhere exact"
    folder = write_case(tmp_path, stored, system="nerf_rpn", kind="rotated_iou", tolerance=words)
    found = {
        "iou_3d": torch.tensor(iou),
        "iou_3d_exact_f64": exact.nan_to_num(0),
        "inter_area_2d_exact_f64": exact.nan_to_num(0),
    }
    table = {"nerf_rpn/rotated_iou": Adapter(function=lambda case: found)}
    assert bool(run_case(folder, table).problems) == wrong


MESH = {
    "vertices": torch.tensor([[0.1, 0.0, 0.1], [0.9, 0.0, 0.1], [0.9, 0.9, 0.1], [0.1, 0.9, 0.1]]),
    "triangles": torch.tensor([[0, 1, 2], [0, 2, 3]]),
    "sigma_grid": torch.zeros(2, 2, 2),
}


@pytest.mark.parametrize(
    ("vertices", "triangles", "wrong"),
    [
        ([0, 1, 2, 3], [[2, 3, 0], [1, 2, 0]], False),  # another order
        ([2, 3, 0, 1], [[2, 3, 0], [2, 0, 1]], False),  # other names
        ([0, 1, 2, 3], [[0, 1, 3], [1, 2, 3]], False),  # the other diagonal
        ([0, 1, 2, 3], [[0, 2, 1], [0, 3, 2]], True),  # wound the other way
        ([0, 1, 2, 3], [[0, 1, 2], [0, 1, 2]], True),
        ([0, 1, 2, 2], [[0, 1, 2], [0, 2, 3]], True),
    ],
)
def test_meshes_are_compared_as_surfaces(
    tmp_path: Path, vertices: list[int], triangles: list[list[int]], wrong: bool
) -> None:
    case = {"system": "pixelnerf", "kind": "marching_cubes", "config": "c1=-1,c2=1,reso=(2,2,2)"}
    folder = write_case(tmp_path / "mesh", MESH, tolerance="compare as point sets", **case)
    found = {**MESH, "vertices": MESH["vertices"][vertices], "triangles": torch.tensor(triangles)}
    table = {"pixelnerf/marching_cubes": Adapter(function=lambda case: found)}
    assert bool(run_case(folder, table).problems) is wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("psnr: 20.0001\nn: 2", False),
        ("psnr:   20  \nn: 2\n", False),
        ("psnr: 20.1\nn: 2", True),
        ("ssim: 20\nn: 2", True),
        ("psnr: 20", True),
        (None, True),
    ],
)
def test_texts_are_compared_word_by_word(tmp_path: Path, text: str | None, wrong: bool) -> None:
    folder = write_case(tmp_path / "case", {"y": torch.ones(2)})
    (folder / "expected").mkdir()
    (folder / "expected" / "all.txt").write_text("psnr: 20.0000\nn: 2")
    found = {"y": torch.ones(2)} | ({} if text is None else {"expected/all.txt": text})
    table = {"toy/toy": Adapter(function=lambda case: found)}
    assert bool(run_case(folder, table).problems) is wrong

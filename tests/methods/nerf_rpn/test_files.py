from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.methods.nerf_rpn.files import (
    Proposals,
    evaluation_figures,
    official_evaluation,
    read_evaluation,
    read_proposals,
    read_voxel_scores,
    write_evaluation,
    write_proposals,
    write_voxel_scores,
)
from maskfield.metrics.detection import SceneDetections, evaluate

ROWS = [[5.0, 5, 5, 4, 3, 2, 0.3], [9, 9, 9, 2, 2, 2, -1.2]]


def obb(levels: bool = True) -> Proposals:
    return Proposals(
        boxes=torch.tensor(ROWS),
        scores=torch.tensor([0.9, 0.4]),
        levels=torch.tensor([0, 3]) if levels else None,
    )


@pytest.mark.parametrize("levels", [True, False])
def test_proposals_come_back_as_written(tmp_path: Path, levels: bool) -> None:
    given, path = obb(levels), tmp_path / "proposals" / "scene.npz"
    back = read_proposals(write_proposals(given, path))
    torch.testing.assert_close(back.boxes, given.boxes)
    torch.testing.assert_close(back.scores, given.scores)
    assert (back.levels is None) == (not levels)
    with np.load(path) as stored:
        assert set(stored.files) == {"proposals", "scores"} | (
            {"level_indices"} if levels else set()
        )


def test_the_singular_names_of_the_anchor_detector_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", proposal=np.array(ROWS), score=np.array([0.9, 0.4]))
    back = read_proposals(tmp_path / "a.npz")
    torch.testing.assert_close(back.boxes, torch.tensor(ROWS))
    assert back.levels is None


def test_saved_results_have_levels_and_no_scores(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", proposals=np.array(ROWS), level_indices=np.array([0, 1]))
    back = read_proposals(tmp_path / "a.npz")
    assert back.scores is None
    assert back.levels is not None
    assert back.levels.tolist() == [0, 1]


def test_no_proposals_are_an_empty_answer(tmp_path: Path) -> None:
    empty = Proposals(boxes=torch.zeros(0, 7), scores=torch.zeros(0))
    assert len(read_proposals(write_proposals(empty, tmp_path / "e.npz")).boxes) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"proposals": np.ones((2, 8))}, ("6 (axis-aligned)", "(2, 8)")),
        ({"proposals": np.array([[0, 0, 0, 1, 1, 1, math.nan]])}, ("row 0", "nan")),
        ({"proposals": np.array([[0, 0, 0, 1, -1, 1, 0.0]])}, ("row 0", "negative size")),
        ({"proposals": np.array([[3, 0, 0, 1, 1, 1.0]])}, ("row 0", "negative size")),
        ({"proposals": np.ones((2, 7)), "scores": np.ones(3)}, ("scores", "((3,), 2)")),
        ({"boxes": np.ones((2, 7))}, ("holds no proposals", "proposals or proposal")),
    ],
)
def test_bad_proposals_are_typed_errors(tmp_path: Path, change: dict, words: tuple) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, **change)
    with pytest.raises(DataError) as caught:
        read_proposals(path)
    for word in (*words, str(path)):
        assert word in str(caught.value)


def test_bad_proposals_are_not_written(tmp_path: Path) -> None:
    wrong = Proposals(boxes=torch.full((1, 7), math.nan), scores=torch.zeros(1))
    with pytest.raises(DataError, match="not finite"):
        write_proposals(wrong, tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_damaged_files_are_typed_errors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    for reader in (read_proposals, read_voxel_scores):
        with pytest.raises(DataError, match="cannot read the file"):
            reader(tmp_path / "a.npz")


def test_voxel_scores_come_back(tmp_path: Path, generator: torch.Generator) -> None:
    levels = [torch.rand(n, n + 1, n + 2, generator=generator) for n in (8, 4, 2, 1)]
    back = read_voxel_scores(write_voxel_scores(levels, tmp_path / "voxel_scores" / "s.npz"))
    assert len(back) == 4
    for given, found in zip(levels, back, strict=True):
        torch.testing.assert_close(found, given)


def test_voxel_scores_with_a_leading_axis_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", **{"0": np.ones((1, 2, 3, 4)), "1": np.ones((1, 2, 2))})
    assert [tuple(v.shape) for v in read_voxel_scores(tmp_path / "s.npz")] == [(2, 3, 4), (1, 2, 2)]


@pytest.mark.parametrize("keys", [("1",), ("0", "2"), ("0", "x")])
def test_voxel_scores_need_every_level(tmp_path: Path, keys: tuple[str, ...]) -> None:
    np.savez(tmp_path / "s.npz", **{k: np.ones((2, 2, 2)) for k in keys})
    with pytest.raises(DataError, match="one score volume a level"):
        read_voxel_scores(tmp_path / "s.npz")


def scenes() -> list[SceneDetections]:
    truth = torch.tensor([[5.0, 5, 5, 4, 4, 4, 0], [15, 15, 5, 4, 4, 4, 0]])
    moved = truth + torch.tensor([0.5, 0, 0, 0, 0, 0, 0])
    wrong = torch.tensor([[30.0, 30, 30, 4, 4, 4, 0]])
    none = SceneDetections(boxes=torch.zeros(0, 7), scores=torch.zeros(0), truth=truth)
    found = SceneDetections(
        boxes=torch.cat([moved, wrong]), scores=torch.tensor([0.9, 0.5, 0.7]), truth=truth
    )
    return [found, none]


def test_eval_json_has_the_official_structure_and_our_figures(tmp_path: Path) -> None:
    evaluation = official_evaluation(scenes())
    back = read_evaluation(write_evaluation(evaluation, tmp_path / "eval.json"))
    assert back == json.loads(json.dumps(evaluation))
    assert set(back["recall_ar_top_300"]) == {
        *("ar", "recalls", "thresholds", "gt_overlaps", "num_pos")
    }
    assert set(back["ap_50"]) == {"ap", "precisions", "recalls", "thresholds", "num_det"}
    assert evaluation_figures(back) == pytest.approx(evaluate(scenes()))
    assert back["ap_50"]["thresholds"] == pytest.approx([0.9, 0.7, 0.5])
    assert back["ap_50"]["precisions"] == pytest.approx([1, 1 / 2, 2 / 3])
    assert back["ap_50"]["num_det"] == [1, 2, 3]
    assert len(back["recall_ar_top_300"]["thresholds"]) == 15
    assert back["recall_50_top_300"]["num_pos"] == 4
    assert len(back["recall_50_top_300"]["gt_overlaps"]) == 4


def test_counts_beyond_the_suppression_are_left_out() -> None:
    names = {n for n in official_evaluation(scenes(), post_nms=500) if n.startswith("recall_50")}
    assert names == {"recall_50_top_300", "recall_50_top_500"}


def test_official_recall_forgets_scenes_without_detections() -> None:
    entry = official_evaluation(scenes(), compat="official")["recall_50_top_300"]
    assert (entry["num_pos"], entry["ar"]) == (2, 1.0)


def test_no_scenes_still_make_a_file(tmp_path: Path) -> None:
    written = write_evaluation(official_evaluation([]), tmp_path / "eval.json")
    assert evaluation_figures(read_evaluation(written))["ap_50"] == 0


@pytest.mark.parametrize("text", ["{}", "[1]", '{"ap_50": 0.3}', '{"ap_50": {"x": 1}}'])
def test_other_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "eval.json").write_text(text)
    with pytest.raises(DataError, match=r"not an eval\.json"):
        read_evaluation(tmp_path / "eval.json")

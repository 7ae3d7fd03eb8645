from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maskfield.metrics.detection import (
    SceneDetections,
    average_precision,
    evaluate,
    iou_thresholds,
    matched,
    recall,
    scene_report,
)
from maskfield.metrics.detection_legacy import confident_precision, swept_precision


def cube(x: float, size: float = 2.0) -> Tensor:
    return torch.tensor([[x, 0.0, 0.0, x + size, size, size]])


def scene(found: list[tuple[float, float]], truth: list[float]) -> SceneDetections:
    """Cubes of side 2 along x: (position, score) found, positions of the truth."""
    return SceneDetections(
        boxes=torch.cat([cube(x) for x, _ in found] or [torch.zeros(0, 6)]),
        scores=torch.tensor([s for _, s in found]),
        truth=torch.cat([cube(x) for x in truth] or [torch.zeros(0, 6)]),
    )


def random_scenes(generator: torch.Generator, count: int = 3) -> list[SceneDetections]:
    scenes = []
    for _ in range(count):
        truth = torch.cat([cube(10.0 * i) for i in range(5)])
        noise = torch.rand(40, 1, generator=generator) * 1.5
        boxes = truth.repeat(8, 1) + noise
        scores = torch.rand(40, generator=generator)
        scenes.append(SceneDetections(boxes=boxes, scores=scores, truth=truth))
    return scenes


def test_matching_takes_the_best_pair_first() -> None:
    overlaps, rows = matched(torch.tensor([[0.9, 0.8], [0.7, 0.1]]))
    torch.testing.assert_close(overlaps, torch.tensor([0.9, 0.1]))
    assert rows.tolist() == [0, 1]


def test_truth_without_a_detection_left_is_not_found() -> None:
    overlaps, rows = matched(torch.tensor([[0.9, 0.8]]))
    torch.testing.assert_close(overlaps, torch.tensor([0.9, 0.0]))
    assert rows.tolist() == [0, -1]


def test_recall_counts_what_is_found_at_each_threshold() -> None:
    scenes = [scene([(0.0, 0.9), (10.5, 0.8)], [0.0, 10.0, 20.0])]
    found = recall(scenes, torch.tensor([0.5, 0.9]))
    torch.testing.assert_close(found.recalls, torch.tensor([2 / 3, 1 / 3]))
    assert found.average == pytest.approx(0.5)
    assert recall(scenes, torch.tensor([0.5]), limit=1).average == pytest.approx(1 / 3)


def test_scenes_without_detections_count_unless_official() -> None:
    scenes = [scene([(0.0, 0.9)], [0.0]), scene([], [0.0, 10.0, 20.0])]
    thresholds = torch.tensor([0.5])
    assert recall(scenes, thresholds).average == pytest.approx(0.25)
    official = recall(scenes, thresholds, compat="official")
    assert (official.average, official.positives) == (1.0, 1)


def test_average_precision_by_hand() -> None:
    # right, wrong (a second detection of the same cube), right: precisions 1, 1/2, 2/3
    scenes = [scene([(0.0, 0.9), (0.1, 0.8), (10.0, 0.7)], [0.0, 10.0])]
    found = average_precision(scenes, 0.5)
    torch.testing.assert_close(found.precisions, torch.tensor([1, 0.5, 2 / 3]))
    torch.testing.assert_close(found.recalls, torch.tensor([0.5, 0.5, 1.0]))
    assert found.ap == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision(scenes, 0.5, limit=1).ap == pytest.approx(0.5)


def test_the_threshold_is_strict() -> None:
    half = SceneDetections(
        boxes=cube(0.0), scores=torch.ones(1), truth=torch.tensor([[0.0, 0, 0, 4, 2, 2]])
    )
    assert average_precision([half], 0.5).ap == 0
    assert average_precision([half], 0.49).ap == 1


def test_average_precision_is_that_of_a_loop(generator: torch.Generator) -> None:
    scenes = random_scenes(generator)
    rows = [(float(s.scores[i]), s, i) for s in scenes for i in range(len(s.scores))]
    used: set[tuple[int, int]] = set()
    hits, total, area, curve = 0, sum(len(s.truth) for s in scenes), 0.0, []
    for n, (_, where, i) in enumerate(sorted(rows, key=lambda r: -r[0]), start=1):
        overlap, truth = where.iou[i].max(dim=0)
        key = (id(where), int(truth))
        if overlap > 0.3 and key not in used:
            used.add(key)
            hits += 1
        curve.append((hits / total, hits / n))
    last = 0.0
    for k, (r, _) in enumerate(curve):
        area += (r - last) * max(p for _, p in curve[k:])
        last = r
    assert average_precision(scenes, 0.3).ap == pytest.approx(area, abs=1e-5)


def test_perfect_detections_of_turned_boxes_score_one() -> None:
    truth = torch.tensor([[0.0, 0, 0, 4, 2, 2, 0.5], [9.0, 0, 0, 4, 2, 2, -1.0]])
    perfect = SceneDetections(boxes=truth, scores=torch.tensor([0.9, 0.8]), truth=truth)
    figures = evaluate([perfect], counts=(300,))
    assert set(figures) == {
        *(f"recall_{n}_top_300" for n in ("50", "25", "ar")),
        *(f"ap_{n}" for n in (25, 50, 75)),
    }
    assert all(value == pytest.approx(1.0) for value in figures.values())


@pytest.mark.parametrize("scenes", [[], [scene([], [])], [scene([(0.0, 0.5)], [])]])
def test_nothing_to_find_is_zero_and_not_nan(scenes: list[SceneDetections]) -> None:
    assert set(evaluate(scenes, counts=(10,)).values()) == {0.0}


def test_a_report_of_one_scene() -> None:
    report = scene_report(scene([(0.0, 0.9), (10.5, 0.8), (50.0, 0.7)], [0.0, 10.0, 20.0]))
    assert (report["truth"], report["detections"], report["found"]) == (3, 3, 2)
    assert report["missed"] == 1
    assert report["mean_iou"] == pytest.approx((1 + 1.5 / 2.5) / 2)


def test_thresholds_include_the_last() -> None:
    assert len(iou_thresholds(0.25)) == 15
    assert len(iou_thresholds(0.5)) == 10


def test_the_old_sweep_ignores_false_detections() -> None:
    scenes = [scene([(0.0, 0.9), (50.0, 0.95), (60.0, 0.99)], [0.0])]
    assert average_precision(scenes, 0.5).ap < 0.5
    assert swept_precision(scenes, 0.5).ap == pytest.approx(1.0)


def test_precision_above_a_confidence() -> None:
    scenes = [scene([(0.0, 0.9), (0.2, 0.8), (10.0, 0.1)], [0.0, 10.0])]
    precision, overlaps = confident_precision(scenes, torch.tensor([0.5]), 0.3, 20)
    torch.testing.assert_close(precision, torch.tensor([0.5]))
    torch.testing.assert_close(overlaps, torch.tensor([0.0, 1.0]))

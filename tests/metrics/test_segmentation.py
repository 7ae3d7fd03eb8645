from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.metrics.segmentation import (
    class_counts,
    class_weights,
    cross_entropy,
    soft_iou,
    voxel_accuracy,
)

CLASSES = 5


@pytest.fixture
def sample(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    logits = torch.randn(2, CLASSES, 4, 3, 5, generator=generator)
    return logits, torch.randint(0, CLASSES, (2, 4, 3, 5), generator=generator)


def test_counts_by_looping(sample: tuple[Tensor, Tensor]) -> None:
    logits, target = sample
    guess = logits.argmax(1)
    counts = class_counts(guess, target, CLASSES)
    labelled = target != 0
    for c in range(1, CLASSES):
        g, t = (guess == c) & labelled, target == c
        assert counts.intersection[c - 1] == (g & t).sum()
        assert counts.union[c - 1] == (g | t).sum()
        assert counts.target[c - 1] == t.sum()


def test_counts_of_batches_add_up(sample: tuple[Tensor, Tensor]) -> None:
    logits, target = sample
    guess = logits.argmax(1)
    whole = class_counts(guess, target, CLASSES)
    parts = class_counts(guess[0], target[0], CLASSES) + class_counts(guess[1], target[1], CLASSES)
    assert torch.equal(whole.union, parts.union)
    assert whole.summary() == parts.summary()


def test_absent_classes_count_as_zero_officially_or_are_left_out() -> None:
    target = torch.tensor([1, 1, 2, 0])
    summary = class_counts(target, target, 4).summary()
    assert summary["mIoU"] == pytest.approx(2 / 3)
    assert summary["allAcc"] == pytest.approx(1)
    assert class_counts(target, target, 4).summary(absent="skip")["mIoU"] == pytest.approx(1)


def test_cross_entropy_equals_zeroing_everything_void(sample: tuple[Tensor, Tensor]) -> None:
    logits, target = sample
    zeroed = logits * (target != 0)[:, None]
    torch.testing.assert_close(cross_entropy(logits, target), F.cross_entropy(zeroed, target))
    for void in (0.0, 0.7):
        weights = torch.tensor([void, 1.0, 2.0, 0.5, 3.0])
        torch.testing.assert_close(
            cross_entropy(logits, target, weights), F.cross_entropy(zeroed, target, weights)
        )


def test_cross_entropy_gradient(sample: tuple[Tensor, Tensor]) -> None:
    logits, target = (
        sample[0][:1, :, :2, :2, :2].double().requires_grad_(),
        sample[1][:1, :2, :2, :2],
    )
    weights = torch.tensor([0.0, 1.0, 2.0, 0.5, 3.0]).double()
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, target, weights), (logits,))


def test_soft_iou_by_looping(sample: tuple[Tensor, Tensor]) -> None:
    logits, target = sample
    found = soft_iou(logits, target)
    p = logits.softmax(1)
    for b in range(2):
        for c in range(1, CLASSES):
            pc, t = p[b, c][target[b] != 0], (target[b] == c)[target[b] != 0].float()
            expected = (pc * t).sum() / ((pc + t - pc * t).sum() + 1e-8)
            assert float(found[b, c - 1]) == pytest.approx(float(expected))


def test_class_weights_follow_the_formula_and_ignore_void() -> None:
    weights = class_weights([torch.tensor([0, 0, 1, 1, 1]), torch.tensor([2])], 4)
    shares = [0, 0.75, 0.25, 0]
    expected = [0] + [1 / math.log(1.02 + f) for f in shares[1:]]
    assert weights.tolist() == pytest.approx(expected)


def test_accuracy() -> None:
    assert float(voxel_accuracy(torch.tensor([1, 2, 3]), torch.tensor([1, 0, 2]))) == 0.5
    assert float(voxel_accuracy(torch.tensor([1]), torch.tensor([0]))) == 0.0


def test_bad_labels_are_refused() -> None:
    with pytest.raises(DataError, match=r"0 \.\.\. 3"):
        class_counts(torch.tensor([1]), torch.tensor([4]), 4)
    with pytest.raises(DataError, match="labelled"):
        class_weights([torch.zeros(3, dtype=torch.long)], 4)
    with pytest.raises(DataError):
        class_weights([torch.tensor([-1])], 4)

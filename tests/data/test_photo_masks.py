"""Mask2Former: a random tiny one where transformers is installed, and what is said without it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from maskfield.core.errors import CheckpointError, DataError, MissingPartError
from maskfield.data.photo_masks import Mask2Former

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A Mask2Former with random weights that knows three kinds of object."""
    transformers = pytest.importorskip("transformers")
    names = {0: "person", 1: "bicycle", 2: "car"}
    swin = transformers.SwinConfig(
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 4, 8],
        window_size=4,
        image_size=64,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = transformers.Mask2FormerConfig(
        backbone_config=swin,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=8,
        num_labels=3,
        id2label=names,
        label2id={name: index for index, name in names.items()},
    )
    folder = tmp_path_factory.mktemp("mask2former")
    transformers.Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 96}
    transformers.Mask2FormerImageProcessorPil(size=size).save_pretrained(folder)
    return folder


def test_a_tiny_model_answers(tiny):
    model = Mask2Former(tiny, threshold=0.0)
    assert model.labels == ("person", "bicycle", "car")
    with pytest.raises(DataError, match="choose one of: bicycle, car, person"):
        model(PHOTO, "ship")
    with pytest.raises(DataError, match="sees no such object"):
        Mask2Former(tiny, threshold=0.999)(PHOTO, "car")
    segments, found = model._instances(PHOTO)
    assert segments.shape == PHOTO.shape[:2]
    labels = {model.network.config.id2label[one["label_id"]] for one in found}
    for label in labels:
        best = max(
            (o for o in found if model.labels[o["label_id"]] == label), key=lambda o: o["score"]
        )
        np.testing.assert_array_equal(model(PHOTO, label) > 0, segments == best["id"])


def test_an_absent_model_is_named(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(CheckpointError, match="absent"):
        Mask2Former(tmp_path / "absent")


def test_without_transformers_a_mask_is_asked_for(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match="--mask"):
        Mask2Former()

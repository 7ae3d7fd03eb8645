"""Weights of other programs: every tensor finds its place, or the message lists what differs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskfield.core.errors import CheckpointError
from maskfield.engine.strict import DIFF_LINES, difference, load_strictly


def test_equal_names_and_shapes_are_loaded() -> None:
    network, given = nn.Linear(2, 3), nn.Linear(2, 3).state_dict()
    assert difference(given, network.state_dict()) == []
    load_strictly(network, given, part="layer")
    assert all(torch.equal(network.state_dict()[k], v) for k, v in given.items())


def test_what_differs_is_listed_shapes_first() -> None:
    given = {"weight": torch.zeros(3, 4), "extra": torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        load_strictly(nn.Linear(2, 3), given, part="layer", file="some.pt", remedy="do this")
    lines = str(caught.value.problem).splitlines()
    assert lines[0] == "the checkpoint does not fit this layer:"
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "shape weight: checkpoint (3, 4), model (3, 2)",
        "missing bias (3,)",
        "unexpected extra (1,)",
    ]
    assert (caught.value.file, caught.value.remedy) == ("some.pt", "do this")


def test_a_long_list_is_cut() -> None:
    given = {f"layer{i}": torch.zeros(1) for i in range(40)}
    with pytest.raises(CheckpointError) as caught:
        load_strictly(nn.Linear(2, 3), given, part="layer")
    lines = str(caught.value.problem).splitlines()
    assert len(lines) == DIFF_LINES + 2
    assert lines[-1].strip() == f"... and {42 - DIFF_LINES} more"

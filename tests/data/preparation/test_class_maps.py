from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.data.preparation.class_maps import (
    NYU40,
    class_map,
    front3d_classes,
    load_classes,
    named_classes,
    nyu40_classes,
    save_classes,
)
from maskfield.data.preparation.ngp_boxes import EXCLUDED_NYU40


def test_the_front3d_table_covers_every_raw_id_once() -> None:
    classes = front3d_classes()
    assert sorted(classes.raw) == list(range(99))
    assert len(classes.names) == len(classes.categories) == 24
    found = classes.contiguous(torch.tensor([[0, 40, 27], [76, 8, 73]]))
    names = [[classes.names[i] for i in row] for row in found.tolist()]
    assert names == [["void", "wall", "floor"], ["nightstand", "lighting", "accessory"]]
    assert classes.categories[int(found[1, 0])] == 32


def test_rank_among_the_classes_present() -> None:
    classes = front3d_classes().among([40, 75, 76, 14])
    assert classes.categories == (0, 1, 5, 32)
    assert classes.contiguous(torch.tensor([76, 14, 93, 27, 0])).tolist() == [3, 2, 1, 0, 0]


def test_nyu40_names_have_their_ids() -> None:
    assert len(NYU40) == 41
    assert [NYU40[i] for i in (1, 5, 22, 33, 40)] == [
        *("wall", "chair", "ceiling", "toilet", "otherprop")
    ]
    assert "window" in {NYU40[i] for i in EXCLUDED_NYU40}
    assert "bed" not in {NYU40[i] for i in EXCLUDED_NYU40}


def test_names_alone_are_sorted() -> None:
    assert named_classes(["sofa", "bed", "sofa", "void"]).names == ("void", "bed", "sofa")


@pytest.mark.parametrize("value", [-1, 99, 255])
def test_ids_outside_the_list_are_refused(value: int) -> None:
    with pytest.raises(DataError) as caught:
        front3d_classes().contiguous(torch.tensor([1, value]), "map.hdf5")
    assert caught.value.value == [value]
    assert caught.value.file == "map.hdf5"
    assert "0 to 98" in caught.value.remedy


def test_maps_come_back_as_written(tmp_path: Path) -> None:
    classes = nyu40_classes().among([3, 7, 39])
    path = save_classes(classes, tmp_path / "label_map.json")
    assert load_classes(path) == class_map(str(path)) == classes
    assert class_map("front3d") == front3d_classes()


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 2},
        {"categories": [1, 2, 3]},
        {"categories": [0, 5, 3], "names": ["void", "a", "b"]},
        {"names": ["void"]},
        {"raw": {}},
        {"raw": None},
    ],
)
def test_damaged_maps_are_typed_errors(tmp_path: Path, change: dict) -> None:
    path = save_classes(named_classes(["a", "b"]), tmp_path / "m.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError) as caught:
        load_classes(path)
    assert caught.value.file == str(path)

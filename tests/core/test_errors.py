"""Error messages name everything a user needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfield.core import errors
from maskfield.core.errors import DataError, MaskfieldError, SceneError


def test_message_holds_all_parts():
    error = SceneError("broken", file=Path("a/b"), field="fl_x", value=[1], remedy="repair it")
    expected = "broken\n  file:   a/b\n  field:  fl_x\n  value:  [1]\n  remedy: repair it"
    assert str(error) == expected
    assert error.file == "a/b"


def test_absent_parts_leave_no_lines():
    assert str(DataError("broken", remedy="repair it")) == "broken\n  remedy: repair it"


def test_long_values_are_shortened():
    text = str(DataError("broken", value="x" * 1000, remedy="r"))
    assert len(text) < 300
    assert "..." in text


def test_remedy_is_required():
    with pytest.raises(TypeError):
        DataError("broken")


def test_all_errors_share_one_base():
    kinds = [e for e in vars(errors).values() if isinstance(e, type)]
    assert len(kinds) >= 9
    assert all(issubclass(e, MaskfieldError) for e in kinds)

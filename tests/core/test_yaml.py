"""The YAML that configs use."""

from __future__ import annotations

import math

import pytest

from maskfield.core.errors import ConfigError
from maskfield.core.yaml import dump_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("+3", 3),
        ("1.5", 1.5),
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-1.", -1.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        ("'1'", "1"),
        ("[1, 2.0, x]", [1, 2.0, "x"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_scalars(text, value):
    parsed = parse_yaml(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_nan():
    assert math.isnan(parse_yaml(".nan"))


@pytest.mark.parametrize(
    "value",
    ["1", "1e4", "007", "true", "no", "null", "", "~", "a: b", "- x", "2024-01-01", " x ", "\n"],
)
def test_text_stays_text(value):
    assert parse_yaml(dump_yaml({"k": value})) == {"k": value}


@pytest.mark.parametrize("value", [1e-5, 1e22, 0.1, -0.0, 3.0, math.inf, 10**20])
def test_numbers_keep_value_and_type(value):
    again = parse_yaml(dump_yaml({"k": value}))["k"]
    assert again == value
    assert type(again) is type(value)


def test_short_lists_stay_on_one_line_and_nothing_is_shared():
    shared = [1, 2]
    text = dump_yaml({"a": shared, "b": shared, "c": [{"x": 1}]})
    assert text == "a: [1, 2]\nb: [1, 2]\nc:\n- x: 1\n"


@pytest.mark.parametrize("text", ["[1", "a: b: c", "a: 1\na: 2", "!!python/name:os.system", "&"])
def test_refusals(text):
    with pytest.raises(ConfigError, match="not valid YAML"):
        parse_yaml(text)

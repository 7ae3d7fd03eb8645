"""The public surface is frozen: verbs, their parameters, and the options of the command line.

A change on purpose: ``MASKFIELD_UPDATE_SNAPSHOTS=1 pytest tests/test_api_surface.py``, then commit
the new ``tests/snapshots/*.json`` with the change and a line in CHANGELOG.md.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import maskfield
from maskfield import api
from maskfield.cli.main import VERBS, load_verb, main
from maskfield.data.preparation.options import PrepareOptions

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = bool(os.environ.get("MASKFIELD_UPDATE_SNAPSHOTS"))
OPTION_NAMES = {"overrides": "set"}  # parameter -> option, where the two differ
# one dataclass in Python, an option for each of its fields in a terminal
GROUPED = {"data prepare": ("options", PrepareOptions)}


def function_name(verb: str) -> str:
    """``data normalize-photo`` -> ``data_normalize_photo``."""
    return verb.replace(" ", "_").replace("-", "_")


def parameters(function: Callable[..., object]) -> dict[str, dict[str, str]]:
    """Name -> kind, type and default, all as text."""
    out = {}
    for p in inspect.signature(function).parameters.values():
        default = "required" if p.default is p.empty else repr(p.default)
        out[p.name] = {"kind": p.kind.name.lower(), "type": str(p.annotation), "default": default}
    return out


def api_parameters(name: str) -> dict[str, dict[str, str]]:
    """Of the verb's function; a group of options by its fields."""
    found = parameters(getattr(api, function_name(name)))
    if name in GROUPED:
        parameter, group = GROUPED[name]
        assert found.pop(parameter)["default"] == "None"
        found |= parameters(group)
    return found


def surface() -> dict[str, object]:
    functions = {name: getattr(api, name) for name in api.__all__}
    return {
        name: {
            "parameters": parameters(function),
            "returns": str(inspect.signature(function).return_annotation),
        }
        for name, function in functions.items()
    }


def options() -> dict[str, object]:
    out = {}
    for name in VERBS:
        described = parameters(load_verb(name))
        out[name] = {
            OPTION_NAMES.get(key, key): {"type": d["type"], "default": d["default"]}
            for key, d in described.items()
        }
    return out


@pytest.mark.parametrize(
    ("file", "current"), [("api_surface.json", surface), ("cli_options.json", options)]
)
def test_snapshot(file, current):
    path, value = SNAPSHOTS / file, current()
    if UPDATE:
        path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    assert value == json.loads(path.read_text(encoding="utf-8")), __doc__


def test_every_verb_is_a_function_of_the_same_name_with_a_docstring():
    for name in VERBS:
        function = getattr(maskfield, function_name(name))
        doc = inspect.getdoc(function) or ""
        for parameter in inspect.signature(function).parameters:
            assert parameter in doc, f"{name}: parameter {parameter} is not described"
        assert "Returns:" in doc, name
        assert "Raises:" in doc or name == "doctor", name
    assert sorted(api.__all__) == sorted(map(function_name, VERBS))


def test_verb_and_function_take_the_same_parameters():
    """Except what only a terminal needs."""
    terminal_only = {"doctor": {"json"}}
    for name in VERBS:
        of_verb = set(parameters(load_verb(name))) - terminal_only.get(name, set())
        assert of_verb == set(api_parameters(name)), name


def test_defaults_agree_between_verb_and_function():
    for name in VERBS:
        of_verb, of_api = parameters(load_verb(name)), api_parameters(name)
        for key in of_api:
            assert of_verb[key]["default"] == of_api[key]["default"], (name, key)


@pytest.mark.parametrize("name", VERBS)
def test_every_option_is_in_the_help(name, capsys):
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    shown = capsys.readouterr().out
    for key, described in parameters(load_verb(name)).items():
        option = OPTION_NAMES.get(key, key).replace("_", "-")
        positional = "Positional" in described["type"]
        assert (key.upper() if positional else f"--{option}") in shown


def test_unknown_attribute_of_the_package():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = maskfield.fitt

"""Run a case: ask its adapter, compare every stored tensor and every stored JSON manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from golden import adapters
from golden.case import META, Case
from golden.comparators import ALIGN, TRUST, Outputs, comparison, json_difference
from golden.registry import ADAPTERS, Adapter

EXPECTED = "expected"
WEIGHT_FILES = ("weights_manifest.json", "weights_recipe.json")


@dataclass(frozen=True)
class Report:
    """What came out: problems fail the case; absent parts have no adapter yet."""

    problems: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def run_case(folder: Path, table: dict[str, Adapter] | None = None) -> Report:
    """Run one case; ``absent`` names what no adapter knows yet."""
    if table is None:
        adapters.load_all()
        table = ADAPTERS
    case = Case(folder)
    adapter = table.get(case.kind)
    if adapter is None:
        return Report(absent=(f"no adapter for {case.kind}",))
    found = adapter.function(case)
    return compare(case, adapter, load_outputs(folder), found)


def load_outputs(folder: Path) -> dict[str, Any]:
    """Stored outputs: tensors by name, JSON manifests by file name, texts as ``expected/NAME``."""
    path = folder / "outputs.safetensors"
    outputs: dict[str, Any] = dict(load_file(path)) if path.is_file() else {}
    for manifest in sorted(folder.glob("*.json")):
        if manifest.name != META and manifest.name not in WEIGHT_FILES:
            outputs[manifest.name] = json.loads(manifest.read_text())
    for text in sorted((folder / EXPECTED).rglob("*.txt")):
        outputs[text.relative_to(folder).as_posix()] = words_and_numbers(text.read_text())
    return outputs


def words_and_numbers(text: str) -> list[list[str | float]]:
    """The words of every line; those that are numbers as numbers, which have a tolerance."""
    return [[_number_or_word(word) for word in line.split()] for line in text.splitlines()]


def _number_or_word(word: str) -> str | float:
    try:
        return float(word)
    except ValueError:
        return word


def compare(case: Case, adapter: Adapter, stored: Outputs, found: Outputs) -> Report:
    """Every stored output against the found one of the same name."""
    asked = {name: value for name, value in stored.items() if name != TRUST}
    missing = [name for name in asked if name not in found]
    if missing or not stored:
        why = [f"{name}: not returned by the adapter" for name in missing]
        return Report(problems=tuple(why or ["the case stores no output"]))
    found = {k: _as_stored(case, adapter, k, found[k]) for k in asked}
    if case.kind in ALIGN:
        found = ALIGN[case.kind](case, stored, found)
    problems: list[str] = []
    absent: list[str] = []
    for name, value in asked.items():
        check = comparison(case.config, name)
        if isinstance(value, Tensor):
            problem = check(value, found[name])
            problems += [f"{name}: {problem}"] if problem else []
        else:
            stored_part, found_part, gone = _known_entries(value, found[name])
            absent += [f"{name}: no network for {entry}" for entry in gone]
            problems += json_difference(stored_part, found_part, check, name)
    return Report(tuple(problems), tuple(absent))


def _known_entries(stored: Any, found: Any) -> tuple[Any, Any, list[str]]:
    """A manifest of several networks, both sides cut to the common ones; names of those absent.

    A network the product has and the case does not list is not asked.
    """
    is_manifest = isinstance(stored, dict) and all(isinstance(v, dict) for v in stored.values())
    if not is_manifest or not isinstance(found, dict):
        return stored, found, []
    gone = sorted(stored.keys() - found.keys())
    common = stored.keys() & found.keys()
    return {k: stored[k] for k in common}, {k: found[k] for k in common}, gone


def _as_stored(case: Case, adapter: Adapter, name: str, value: Any) -> Any:
    """Tensor form, strided on its spatial axes as the case stores it."""
    if isinstance(value, dict | list | str) and name.endswith(".json"):
        return value
    if name.startswith(f"{EXPECTED}/"):
        return words_and_numbers(str(value))
    tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.asarray(value))
    tensor = tensor.detach().cpu()
    stride = _stride(case, name)
    if stride == 1:
        return tensor
    index: list[slice] = [slice(None)] * tensor.dim()
    for axis in adapter.spatial_axes(name):
        index[axis] = slice(None, None, stride)
    return tensor[tuple(index)]


def _stride(case: Case, name: str) -> int:
    if name == "pred" and "stored_stride" in case.config:
        return int(case.config["stored_stride"])
    return int(case.config.get("stored_strides", {}).get(name, 1))

"""Commands printed in the README and the documents are commands the program accepts."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from maskfield import api
from maskfield.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])


class Reached(Exception):
    """The verb was called with arguments that its function takes."""


def commands(document: Path) -> list[str]:
    """Lines of fenced blocks that call the program, without their comments."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", document.read_text(), re.S | re.M)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("maskfield ")]


ALL = [(d.name, c) for d in DOCUMENTS for c in commands(d)]


def accept(function: Callable[..., object]) -> Callable[..., object]:
    """A stand-in that checks its arguments against the real signature."""

    def stand_in(*args: object, **named: object) -> object:
        inspect.signature(function).bind(*args, **named)
        raise Reached

    return stand_in


@pytest.mark.parametrize(("document", "command"), ALL, ids=[c for _, c in ALL])
def test_command_is_accepted(document: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in api.__all__:
        monkeypatch.setattr(api, name, accept(getattr(api, name)))
    words = shlex.split(command, comments=True)[1:]
    if words in (["--help"], ["--version"]):
        assert main(words) == 0
        return
    with pytest.raises(Reached):
        main(words)


def test_readme_shows_the_main_verbs() -> None:
    shown = " ".join(commands(ROOT / "README.md"))
    for verb in ("data import", "data check", "fit", "extract", "render", "pretrain", "evaluate"):
        assert f"maskfield {verb}" in shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=[d.name for d in DOCUMENTS])
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z-]+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:", makefile, re.M), target

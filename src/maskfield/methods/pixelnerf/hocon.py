"""Configuration files of the original code (HOCON) and what they mean here (spec pixelnerf 2).

Read is the part of HOCON that these files use: nested blocks, ``key = value`` or ``key : value``,
dotted keys, comments (# and //), lists, strings with or without quotes, numbers, booleans, null and
``include``. Later values win, blocks are merged. Nothing but this module is needed for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskfield.core.errors import ConfigError
from maskfield.core.files import StrPath

Tree = dict[str, Any]
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+)|(?P<comment>(?:\#|//)[^\n]*)|(?P<end>[\n,])|(?P<sign>[{}\[\]=:])
    |"(?P<text>(?:[^"\\\n]|\\.)*)"|(?P<word>(?:(?!//)[^\s{}\[\]=:,\#"$])+)""",
    re.VERBOSE,
)
_INCLUDE = re.compile(
    r'include\s+(required\s*\(\s*)?(?:file\s*\(\s*)?"([^"\n]+)"[\s)]*?(?=\n|$|,|})'
)
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}
_DEPTH = 20  # of files that include each other


def read_conf(path: StrPath) -> Tree:
    """The merged tree of a file and all it includes.

    Raises:
        ConfigError: a missing file, or a line that is not understood; file and line are named.
    """
    return _read(Path(path), 0)


def parse_conf(text: str, file: StrPath = "conf") -> Tree:
    """The tree of a text; includes are looked for beside ``file``.

    Raises:
        ConfigError: see :func:`read_conf`.
    """
    return _Parser(text, Path(file), 0).whole()


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """``base`` with the values of ``over``, block by block."""
    out = dict(base)
    for key, value in over.items():
        known = out.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            value = merged(known, value)
        out[key] = value
    return out


def _read(path: Path, depth: int) -> Tree:
    if not path.is_file():
        raise ConfigError(
            "no such configuration file",
            file=path,
            remedy="give a .conf file; the files it includes must lie beside it",
        )
    return _Parser(path.read_text(encoding="utf-8"), path, depth).whole()


@dataclass
class _Token:
    kind: str
    text: str
    start: int


class _Parser:
    """Recursive descent over one text."""

    def __init__(self, text: str, file: Path, depth: int) -> None:
        self.text, self.file, self.depth = text, file, depth
        self.place = 0

    def whole(self) -> Tree:
        """The text as a block; the outer braces may be there or not."""
        token = self._next(ends=False)
        braces = token.kind == "{"
        self.place = token.start + (1 if braces else 0)
        tree = self._block("}" if braces else "")
        rest = self._next(ends=False)
        if rest.kind:
            raise self._error(f"unexpected {rest.text!r} after the last brace", rest)
        return tree

    def _block(self, closing: str) -> Tree:
        tree: Tree = {}
        while True:
            token = self._next(ends=False)
            if token.kind == closing:
                return tree
            if token.text == "include" and token.kind == "word":
                tree = merged(tree, self._include(token))
            elif token.kind in ("word", "text"):
                tree = merged(tree, self._pair(token))
            else:
                raise self._error(f"a key was expected, not {token.text or 'the end'!r}", token)

    def _pair(self, key: _Token) -> Tree:
        """``a.b = value`` as a tree; ``a {`` needs no sign."""
        names = [key.text] if key.kind == "text" else key.text.split(".")
        sign = self._next()
        if sign.kind == "{":
            self.place = sign.start
        elif sign.kind not in ("=", ":"):
            raise self._error(f"'=', ':' or a block was expected after {key.text!r}", sign)
        value = self._value()
        for name in reversed(names):
            value = {name: value}
        return value

    def _value(self) -> Any:
        token = self._next(ends=False)
        if token.kind == "{":
            return self._block("}")
        if token.kind == "[":
            return self._list()
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", token.text)
        if token.kind != "word":
            raise self._error("a value was expected", token)
        words = [token.text]
        while (more := self._next()).kind in ("word", "text", ":", "="):
            words.append(self.text[self._end_of(words, token) : more.start] + more.text)
        self.place = more.start
        return _scalar("".join(words))

    def _end_of(self, words: list[str], first: _Token) -> int:
        return first.start + sum(map(len, words))

    def _list(self) -> list[Any]:
        values: list[Any] = []
        while True:
            token = self._next(ends=False)
            if token.kind == "]":
                return values
            self.place = token.start
            values.append(self._value())

    def _include(self, token: _Token) -> Tree:
        match = _INCLUDE.match(self.text, token.start)
        if match is None:
            raise self._error("an include names a file in double quotes", token)
        self.place = match.end()
        path = self.file.parent / match.group(2)
        if self.depth >= _DEPTH:
            raise self._error("files include each other without end", token)
        if not match.group(1) and not path.is_file():
            return {}  # HOCON: what is not required may be missing
        return _read(path, self.depth + 1)

    def _next(self, *, ends: bool = True) -> _Token:
        """The next token; without ``ends`` line ends and commas are passed over."""
        while self.place < len(self.text):
            match = _TOKEN.match(self.text, self.place)
            if match is None:
                unknown = _Token("", self.text[self.place], self.place)
                raise self._error(f"{unknown.text!r} is not understood here", unknown)
            start, self.place = self.place, match.end()
            kind = str(match.lastgroup)
            if kind in ("space", "comment") or (kind == "end" and not ends):
                continue
            text = match.group(kind)
            return _Token(text if kind == "sign" else kind, text, start)
        return _Token("", "", self.place)

    def _error(self, problem: str, token: _Token) -> ConfigError:
        line = self.text.count("\n", 0, token.start) + 1
        lines = self.text.splitlines() or [""]
        return ConfigError(
            problem,
            file=self.file,
            field=f"line {line}",
            value=lines[min(line, len(lines)) - 1].strip(),
            remedy='write key = value, key { ... } or include required("file"); '
            "substitutions ${...} are not read",
        )


def _scalar(text: str) -> Any:
    """A number or constant, else the text itself."""
    text = text.strip()
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

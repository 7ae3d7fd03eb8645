"""YAML as configs need it: ``1e-4`` is a number, a repeated key an error, nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from maskfield.core.errors import ConfigError
from maskfield.core.files import StrPath

# YAML 1.1 demands a dot and a signed exponent; people write 1e-4.
_FLOAT = re.compile(
    r"^[-+]?((\d+\.\d*|\.\d+)([eE][-+]?\d+)?|\d+[eE][-+]?\d+)$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN)$"
)
_INT = re.compile(r"^[-+]?(0|[1-9]\d*)$")
_BOOL = re.compile(r"^(true|True|false|False)$")
_FLOAT_TAG, _INT_TAG = "tag:yaml.org,2002:float", "tag:yaml.org,2002:int"
_BOOL_TAG, _NULL_TAG = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"


@dataclass(frozen=True)
class Unparsed:
    """A value from the command line, parsed once the type of its field is known."""

    text: str

    def __repr__(self) -> str:
        return self.text


class _Loader(yaml.SafeLoader):
    """SafeLoader with the core schema's scalars (no dates, no ``yes``/``no``) and unique keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(_INT_TAG, _INT, list("-+0123456789"))
_Loader.add_implicit_resolver(_FLOAT_TAG, _FLOAT, list("-+.0123456789"))
_Loader.add_implicit_resolver(_BOOL_TAG, _BOOL, list("tTfF"))
_Loader.add_implicit_resolver(_NULL_TAG, re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])


def parse_yaml(text: str) -> Any:
    """Plain data from YAML text.

    Raises:
        ConfigError: not YAML; the message names line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(
            f"not valid YAML: {' '.join(str(error).split())}",
            value=text if len(text) < 100 else None,
            remedy="correct the syntax; quote text that holds special characters",
        ) from error


def read_yaml(path: StrPath) -> Any:
    """Plain data from a YAML file.

    Raises:
        ConfigError: missing, unreadable, or not YAML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError("config file not found", file=path, remedy="check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read: {error}", file=path, remedy="check the permissions and encoding (UTF-8)"
        ) from error
    try:
        return parse_yaml(text)
    except ConfigError as error:
        raise ConfigError(error.problem, file=path, remedy=error.remedy) from error


def dump_yaml(data: Any) -> str:
    """YAML text of plain data, keys in the given order; short lists on one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that writes lists of scalars on one line and repeats nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flow = all(not isinstance(v, list | dict) for v in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)


def _represent_text(dumper: yaml.SafeDumper, data: str) -> yaml.Node:
    """Quote what this module's reader would take for a number, though YAML 1.1 would not."""
    quoted = "'" if _FLOAT.match(data) or _INT.match(data) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=quoted)


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(str, _represent_text)

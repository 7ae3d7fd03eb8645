"""Configs: frozen keyword-only dataclasses, strict in from YAML, complete out to YAML.

Understood field types: bool, int, float, str, None, ``Literal``, unions, ``tuple``,
``dict[str, T]``, nested configs, and :data:`Registered` (any config class; written
``{type: KEY, ...}`` with the key of :data:`maskfield.core.registry.CONFIGS`). Reading a config
never imports a module that the registry does not name: an unregistered class is found only if its
module is loaded already.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
)

from maskfield.core import registry
from maskfield.core.errors import ConfigError
from maskfield.core.files import StrPath, write_text
from maskfield.core.yaml import Unparsed, dump_yaml, parse_yaml, read_yaml

FORMAT_VERSION = 1
ROOT_CONFIG = "maskfield.engine.config:RunConfig"

T = TypeVar("T")
Registered = Annotated[Any, "registered"]  # a field holding any config class, told apart by `type`


@dataclass_transform(kw_only_default=True, frozen_default=True)
def config(cls: type[T]) -> type[T]:
    """Make a class a config: a frozen dataclass that takes keywords only."""
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def is_config(cls: object) -> bool:
    """Whether a class was made by :func:`config` (a frozen dataclass)."""
    params = getattr(cls, "__dataclass_params__", None)
    return isinstance(cls, type) and params is not None and params.frozen


# ------------------------------------------------------------------ config -> plain data


def to_dict(cfg: Any) -> dict[str, Any]:
    """Every field of a config as plain data (dict, list, str, int, float, bool, None)."""
    hints = _hints(type(cfg))
    return {f.name: _plain(getattr(cfg, f.name), hints[f.name]) for f in dataclasses.fields(cfg)}


def to_yaml(cfg: Any) -> str:
    """A config as YAML, complete, fields in the order of the class."""
    return dump_yaml(to_dict(cfg))


def save_config(cfg: Any, path: StrPath) -> None:
    """Write a config file atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    write_text(path, dump_yaml({"format_version": FORMAT_VERSION, **to_dict(cfg)}))


def _plain(value: Any, hint: Any) -> Any:
    if dataclasses.is_dataclass(value):
        body = to_dict(value)
        return {"type": _type_name(type(value)), **body} if _is_registered(hint) else body
    if isinstance(value, Mapping):
        return {k: _plain(v, None) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v, None) for v in value]
    return value


def _type_name(cls: type) -> str:
    return registry.key_of(registry.CONFIGS, cls) or f"{cls.__module__}:{cls.__qualname__}"


# ------------------------------------------------------------------ plain data -> config


def from_dict(cls: type[T], data: Any, path: str = "") -> T:
    """Build a config from plain data, refusing what it does not know.

    Args:
        cls: the config class.
        data: a mapping; missing keys take the class's defaults.
        path: dotted position of ``data`` in the whole, for messages.

    Raises:
        ConfigError: unknown or missing key (the nearest name is offered), or a value of the wrong
            type or out of range.
    """
    if not isinstance(data, Mapping):
        raise _wrong(path, data, f"a mapping of the fields of {cls.__name__}")
    hints = _hints(cls)
    known = [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            raise ConfigError(
                f"unknown key of {cls.__name__}",
                field=_join(path, key),
                value=data[key],
                remedy=registry.suggestion(str(key), known),
            )
    values = {k: _value(hints[k], v, _join(path, k)) for k, v in data.items()}
    _refuse_missing(cls, values, path)
    return _construct(cls, values, path)


def load_config(path: StrPath, cls: type | None = None) -> Any:
    """Read a config file, or the one in a run folder.

    Args:
        path: a YAML file, or a folder holding ``config.yaml``.
        cls: what the file holds; a :class:`maskfield.engine.config.RunConfig` unless given.

    Raises:
        ConfigError: the file is missing, not YAML, or not such a config; names the file.
    """
    path = Path(path) / "config.yaml" if Path(path).is_dir() else Path(path)
    wanted: type = registry.load_object(ROOT_CONFIG) if cls is None else cls
    data = read_yaml(path)
    try:
        if isinstance(data, dict):
            _check_version(data.pop("format_version", FORMAT_VERSION))
        return from_dict(wanted, data)
    except ConfigError as error:
        raise ConfigError(
            error.problem, file=path, field=error.field, value=error.value, remedy=error.remedy
        ) from error


def _check_version(version: object) -> None:
    if version != FORMAT_VERSION:
        raise ConfigError(
            f"config of another format version (this program reads {FORMAT_VERSION})",
            field="format_version",
            value=version,
            remedy="write the config again with this version of maskfield",
        )


def _construct(cls: type[T], values: dict[str, Any], path: str) -> T:
    try:
        return cls(**values)
    except ConfigError as error:  # raised by __post_init__, which does not know where it stands
        raise ConfigError(
            error.problem,
            field=_join(path, error.field) if error.field else path,
            value=error.value,
            remedy=error.remedy,
        ) from error


def _refuse_missing(cls: type, values: Mapping[str, Any], path: str) -> None:
    for f in dataclasses.fields(cls):
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if f.init and required and f.name not in values:
            raise ConfigError(
                f"a required key of {cls.__name__} is missing",
                field=_join(path, f.name),
                remedy=f"add {f.name!r}",
            )


# ------------------------------------------------------------------ one value against its type


def _value(hint: Any, value: Any, path: str) -> Any:
    if isinstance(value, Unparsed):
        value = _parse_for(hint, value)
    if _is_registered(hint):
        return _registered(value, path)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint), value, path)
    if origin is Literal:
        return _literal(get_args(hint), value, path)
    if origin is tuple:
        return _tuple(get_args(hint), value, path)
    if origin is dict:
        return _dict(get_args(hint), value, path)
    if is_config(hint):
        return from_dict(hint, value, path)
    return _scalar(hint, value, path)


def _scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is None or hint is types.NoneType:
        hint = types.NoneType
    if hint is Any or (type(value) is hint):  # exactly: True is no int here
        return value
    raise _wrong(path, value, _name(hint))


def _registered(value: Any, path: str) -> Any:
    if value is None:
        return None
    if not isinstance(value, Mapping) or "type" not in value:
        raise _wrong(path, value, "a mapping with the key 'type'")
    body = {k: v for k, v in value.items() if k != "type"}
    return from_dict(_class_named(value["type"], _join(path, "type")), body, path)


def _class_named(key: Any, path: str) -> type:
    module, _, name = str(key).partition(":")
    loaded = getattr(sys.modules.get(module), name, None) if name else None
    if key not in registry.CONFIGS and isinstance(loaded, type) and is_config(loaded):
        return loaded
    return registry.resolve(registry.CONFIGS, str(key), field=path)


def _one_of(hints: tuple[Any, ...], value: Any, path: str) -> Any:
    configs = [h for h in hints if is_config(h)]
    if isinstance(value, Mapping) and len(configs) == 1:
        return from_dict(configs[0], value, path)  # its own message is the better one
    for hint in hints:
        try:
            return _value(hint, value, path)
        except ConfigError:
            continue
    raise _wrong(path, value, " or ".join(_name(h) for h in hints))


def _literal(choices: tuple[Any, ...], value: Any, path: str) -> Any:
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    raise ConfigError(
        "not one of the allowed values",
        field=path,
        value=value,
        remedy=registry.suggestion(str(value), map(str, choices)),
    )


def _tuple(hints: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(path, value, "a list")
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise _wrong(path, value, f"a list of {len(hints)}")
    return tuple(
        _value(h, v, f"{path}[{i}]") for i, (h, v) in enumerate(zip(hints, value, strict=True))
    )


def _dict(hints: tuple[Any, ...], value: Any, path: str) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(path, value, "a mapping")
    key, item = hints
    return {_value(key, k, path): _value(item, v, _join(path, k)) for k, v in value.items()}


def _parse_for(hint: Any, text: Unparsed) -> Any:
    """What a command line word means for this type: text stays text where text is wanted."""
    parsed = parse_yaml(text.text)
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    wants_text = str in options and not (parsed is None and types.NoneType in options)
    return text.text if wants_text and not isinstance(parsed, str) else parsed


# ------------------------------------------------------------------ changing and comparing


def override(cfg: T, changes: Sequence[str]) -> T:
    """A copy of a config with ``"dotted.key=value"`` changes applied; values are read as YAML.

    Raises:
        ConfigError: not of that form, unknown key, or wrong type.
    """
    data = to_dict(cfg)
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                "a change is written key=value", value=change, remedy="e.g. engine.steps=100"
            )
        _set(data, key.strip().split("."), Unparsed(text.strip()))
    return from_dict(type(cfg), data)


def _set(data: dict[str, Any], keys: list[str], value: Unparsed) -> None:
    node = data
    for i, key in enumerate(keys[:-1]):
        if not isinstance(node.get(key), dict):
            raise ConfigError(
                "no such group of options",
                field=".".join(keys[: i + 1]),
                remedy=registry.suggestion(
                    key, [k for k, v in node.items() if isinstance(v, dict)]
                ),
            )
        node = node[key]
    node[keys[-1]] = parse_yaml(value.text) if keys[-1] == "type" else value


def diff(a: Any, b: Any) -> dict[str, tuple[Any, Any]]:
    """Dotted keys at which two configs (or their plain data) differ, with both values.

    A key that one of them lacks has the value None there.
    """
    flat_a, flat_b = (_flat(x if isinstance(x, Mapping) else to_dict(x)) for x in (a, b))
    keys = [*flat_a, *(k for k in flat_b if k not in flat_a)]
    pairs = {k: (flat_a.get(k), flat_b.get(k)) for k in keys}
    return {k: (x, y) for k, (x, y) in pairs.items() if x != y or type(x) is not type(y)}


def _flat(data: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            out.update(_flat(value, _join(path, key)))
        else:
            out[_join(path, key)] = value
    return out


# ------------------------------------------------------------------ helpers


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _is_registered(hint: Any) -> bool:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return any(get_origin(h) is Annotated and "registered" in h.__metadata__ for h in options)


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _name(hint: Any) -> str:
    if hint is types.NoneType or hint is None:
        return "null"
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _wrong(path: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(
        f"wrong type: expected {expected}, got {_name(type(value))}",
        field=path or None,
        value=value,
        remedy=f"give {expected}",
    )

"""Configs: strict in, complete out, readable refusals."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Literal

import pytest

from maskfield.core.config import (
    Registered,
    config,
    diff,
    from_dict,
    is_config,
    load_config,
    override,
    save_config,
    to_dict,
    to_yaml,
)
from maskfield.core.errors import ConfigError, StorageError
from maskfield.core.registry import CONFIGS
from maskfield.core.yaml import parse_yaml
from maskfield.engine.config import EngineConfig, OptimConfig, RunConfig, ScheduleConfig


@config
class Inner:
    rate: float = 0.1
    kind: Literal["a", "b", 3] = "a"

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ConfigError(
                "out of range", field="rate", value=self.rate, remedy="give 0 or more"
            )


@config
class Outer:
    needed: int
    text: str = "x"
    maybe: str | None = None
    flag: bool = False
    pair: tuple[int, float] = (1, 2.0)
    many: tuple[str, ...] = ()
    table: dict[str, float] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    spare: Inner | None = None
    stages: tuple[Inner, ...] = ()
    method: Registered = None


FULL = Outer(
    needed=7,
    text="no",
    maybe="1e-4",
    flag=True,
    pair=(3, 1e-5),
    many=("a b", "2024-01-01", "", "null", "0x10", "- x", "é"),
    table={"k": float("inf")},
    inner=Inner(rate=1e30, kind=3),
    spare=Inner(kind="b"),
    stages=(Inner(rate=0.0), Inner(rate=1 / 3)),
    method=Inner(rate=2.0),
)


class TestClass:
    def test_frozen_and_keyword_only(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            Inner().rate = 2.0
        with pytest.raises(TypeError):
            Inner(0.1)
        assert is_config(Inner)
        assert not is_config(int)
        assert not is_config(Inner())


class TestRoundTrip:
    @pytest.mark.parametrize("value", [Outer(needed=0), FULL])
    def test_through_yaml(self, value):
        again = from_dict(Outer, parse_yaml(to_yaml(value)))
        assert again == value
        assert type(again.pair[1]) is float

    def test_every_field_is_written_in_order(self):
        assert list(to_dict(FULL)) == [f.name for f in dataclasses.fields(Outer)]
        assert list(parse_yaml(to_yaml(FULL))) == [f.name for f in dataclasses.fields(Outer)]

    def test_through_a_file(self, tmp_path):
        save_config(FULL, tmp_path / "config.yaml")
        assert "format_version: 1" in (tmp_path / "config.yaml").read_text()
        assert load_config(tmp_path / "config.yaml", Outer) == FULL
        assert load_config(tmp_path, Outer) == FULL

    def test_run_config_is_the_default_class(self, tmp_path):
        run = RunConfig(method=Inner(), seed=3, schedule=ScheduleConfig(name="cosine"))
        save_config(run, tmp_path / "config.yaml")
        assert load_config(tmp_path) == run

    def test_registered_type_is_written_by_key(self, monkeypatch):
        monkeypatch.setitem(CONFIGS.rows, "inner", f"{__name__}:Inner")
        text = to_yaml(Outer(needed=1, method=Inner()))
        assert "type: inner" in text
        assert from_dict(Outer, parse_yaml(text)).method == Inner()


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "where", "says"),
        [
            ({}, "needed", "required"),
            ({"needed": 1, "neded": 2}, "neded", "did you mean 'needed'"),
            ({"needed": 1, "inner": {"rat": 2}}, "inner.rat", "did you mean 'rate'"),
            ({"needed": 1, "stages": [{}, {"x": 1}]}, "stages[1].x", "choose one of: kind, rate"),
            ({"needed": "1"}, "needed", "expected int, got str"),
            ({"needed": 1.0}, "needed", "expected int, got float"),
            ({"needed": True}, "needed", "expected int, got bool"),
            ({"needed": None}, "needed", "expected int"),
            ({"needed": 1, "flag": 1}, "flag", "expected bool"),
            ({"needed": 1, "text": 5}, "text", "expected str"),
            ({"needed": 1, "maybe": 5}, "maybe", "expected str or null"),
            ({"needed": 1, "pair": [1]}, "pair", "a list of 2"),
            ({"needed": 1, "pair": [1, "x"]}, "pair[1]", "expected float"),
            ({"needed": 1, "many": "abc"}, "many", "a list"),
            ({"needed": 1, "table": [1]}, "table", "a mapping"),
            ({"needed": 1, "table": {"a": "b"}}, "table.a", "expected float"),
            ({"needed": 1, "inner": 3}, "inner", "a mapping of the fields of Inner"),
            ({"needed": 1, "inner": {"kind": "c"}}, "inner.kind", "choose one of: 3, a, b"),
            ({"needed": 1, "spare": {"kind": "c"}}, "spare.kind", "choose one of"),
            ({"needed": 1, "inner": {"rate": -1}}, "inner.rate", "give 0 or more"),
            ({"needed": 1, "method": {"rate": 1.0}}, "method", "the key 'type'"),
            ({"needed": 1, "method": {"type": "grid"}}, "method.type", "did you mean 'grids'"),
            ([1], None, "a mapping of the fields of Outer"),
        ],
    )
    def test_names_field_and_remedy(self, data, where, says):
        with pytest.raises(ConfigError) as caught:
            from_dict(Outer, data)
        assert caught.value.field == where
        assert says in str(caught.value)

    def test_path_leads_the_field(self):
        with pytest.raises(ConfigError) as caught:
            from_dict(Inner, {"rat": 1}, "method")
        assert caught.value.field == "method.rat"

    def test_modules_are_not_imported_on_the_word_of_a_file(self):
        for name in ("antigravity:Config", "os:system", "dataclasses:dataclass", "x"):
            with pytest.raises(ConfigError, match="unknown config type"):
                from_dict(Outer, {"needed": 1, "method": {"type": name}})


class TestFiles:
    def test_missing(self, tmp_path):
        with pytest.raises(ConfigError, match="not found") as caught:
            load_config(tmp_path / "x.yaml")
        assert caught.value.file == str(tmp_path / "x.yaml")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("needed: [1", "not valid YAML"),
            ("needed: 1\nneeded: 2", "given twice"),
            ("needed: 1\nwrong: 2", "unknown key"),
            ("format_version: 9\nneeded: 1", "another format version"),
            ("", "a mapping"),
            ("!!python/object/apply:os.getcwd []", "not valid YAML"),
        ],
    )
    def test_names_the_file(self, tmp_path, text, says):
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(ConfigError, match=says) as caught:
            load_config(tmp_path / "c.yaml", Outer)
        assert caught.value.file == str(tmp_path / "c.yaml")

    def test_not_text(self, tmp_path):
        (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ConfigError, match="cannot read"):
            load_config(tmp_path / "c.yaml", Outer)

    def test_unwritable(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError):
            save_config(FULL, tmp_path / "file" / "c.yaml")


class TestOverride:
    @pytest.mark.parametrize(
        ("change", "path", "value"),
        [
            ("needed=3", "needed", 3),
            ("text=12", "text", "12"),
            ("text=true", "text", "true"),
            ("text=a=b", "text", "a=b"),
            ("text='quoted'", "text", "quoted"),
            ("maybe=null", "maybe", None),
            ("maybe=1", "maybe", "1"),
            ("flag=true", "flag", True),
            ("pair=[4, 5]", "pair", (4, 5.0)),
            ("many=[a, b]", "many", ("a", "b")),
            ("table={a: 1}", "table", {"a": 1.0}),
            ("table.new=2", "table", {"k": float("inf"), "new": 2.0}),
            ("inner.rate=1e-4", "inner.rate", 1e-4),
            ("inner.kind=3", "inner.kind", 3),
            ("spare=null", "spare", None),
            ("method.rate=5", "method.rate", 5.0),
            (" inner.rate = 2 ", "inner.rate", 2.0),
        ],
    )
    def test_is_read_by_the_type_of_the_field(self, change, path, value):
        node = override(FULL, [change])
        for name in path.split("."):
            node = getattr(node, name)
        assert node == value
        assert type(node) is type(value)

    def test_changes_nothing_else_and_not_the_original(self):
        new = override(FULL, ["inner.rate=2", "needed=8"])
        assert diff(FULL, new) == {"needed": (7, 8), "inner.rate": (1e30, 2.0)}
        assert FULL.needed == 7

    @pytest.mark.parametrize(
        ("change", "where", "says"),
        [
            ("neded=1", "neded", "did you mean 'needed'"),
            ("iner.rate=1", "iner", "did you mean 'inner'"),
            ("needed.x=1", "needed", "no such group"),
            ("needed=x", "needed", "expected int"),
            ("inner.rate=-1", "inner.rate", "give 0 or more"),
            ("needed", None, "key=value"),
            ("=3", None, "key=value"),
        ],
    )
    def test_refusals(self, change, where, says):
        with pytest.raises(ConfigError) as caught:
            override(FULL, [change])
        assert caught.value.field == where
        assert says in str(caught.value)

    def test_the_type_of_a_component_can_be_exchanged(self, monkeypatch):
        monkeypatch.setitem(CONFIGS.rows, "optim", "maskfield.engine.config:OptimConfig")
        start = Outer(needed=1, method=Inner())
        new = override(start, ["method={type: optim, lr: 1e-3}"])
        assert new.method == OptimConfig(lr=1e-3)


class TestDiff:
    def test_equal(self):
        assert diff(FULL, FULL) == {}

    def test_missing_keys_count_as_none(self):
        assert diff({"a": {"b": 1}}, {"a": {"c": 2}}) == {"a.b": (1, None), "a.c": (None, 2)}

    def test_types_count(self):
        assert diff({"a": 1}, {"a": True}) == {"a": (1, True)}


class TestEngineConfigs:
    @pytest.mark.parametrize(
        ("cls", "values", "where"),
        [
            (EngineConfig, {"steps": 0}, "steps"),
            (EngineConfig, {"accumulate": 0}, "accumulate"),
            (EngineConfig, {"validate_every": -1}, "validate_every"),
            (EngineConfig, {"ema_decay": 1.0}, "ema_decay"),
            (EngineConfig, {"clip_grad_norm": 0.0}, "clip_grad_norm"),
            (EngineConfig, {"threads": 0}, "threads"),
            (OptimConfig, {"lr": 0.0}, "lr"),
            (OptimConfig, {"betas": (0.9, 1.0)}, "betas"),
            (ScheduleConfig, {"warmup": 1.5}, "warmup"),
            (ScheduleConfig, {"div": 0.5}, "div"),
        ],
    )
    def test_out_of_range(self, cls, values, where):
        with pytest.raises(ConfigError) as caught:
            cls(**values)
        assert caught.value.field == where

    def test_negative_seed(self):
        with pytest.raises(ConfigError, match="seed"):
            RunConfig(method=Inner(), seed=-1)

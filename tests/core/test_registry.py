"""Lazy tables of names."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from maskfield.core import registry
from maskfield.core.errors import ConfigError
from maskfield.core.registry import CONFIGS, RECIPES, TASKS, Table, key_of, resolve, suggestion


@pytest.fixture
def plugins(monkeypatch):
    found = [
        EntryPoint("things.mine", "collections:OrderedDict", registry.PLUGIN_GROUP),
        EntryPoint("things.built-in", "collections:deque", registry.PLUGIN_GROUP),
        EntryPoint("others.theirs", "collections:deque", registry.PLUGIN_GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: found)
    return Table("things", "thing", {"built-in": "collections:Counter"})


def test_resolves_what_is_named():
    import collections

    table = Table("things", "thing", {"counter": "collections:Counter"})
    assert resolve(table, "counter") is collections.Counter


def test_unknown_key_offers_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'nerf-mae:tiny-cpu'") as caught:
        resolve(RECIPES, "nerf-mae:tiny", field="RECIPE")
    assert caught.value.field == "RECIPE"
    assert caught.value.problem == "unknown recipe"


def test_plugins_are_merged_and_cannot_replace_what_is_built_in(plugins):
    import collections

    assert sorted(plugins) == ["built-in", "mine"]
    assert len(plugins) == 2
    assert resolve(plugins, "mine") is collections.OrderedDict
    assert resolve(plugins, "built-in") is collections.Counter
    assert "theirs" not in plugins


def test_key_of_a_class(plugins):
    import collections

    assert key_of(plugins, collections.Counter) == "built-in"
    assert key_of(plugins, collections.OrderedDict) == "mine"
    assert key_of(plugins, int) is None


def test_suggestion_without_a_near_one():
    assert suggestion("zzz", ["b", "a"]) == "choose one of: a, b"


@pytest.mark.parametrize("table", [CONFIGS, TASKS, RECIPES], ids=lambda t: t.name)
def test_rows_have_the_form_module_attribute(table):
    for target in table.rows.values():
        module, _, attribute = target.partition(":")
        assert module.startswith("maskfield.")
        assert attribute.isidentifier()


def test_config_keys_of_tasks_exist():
    assert set(TASKS.rows) <= set(CONFIGS.rows)


def test_core_and_engine_config_import_no_heavy_library():
    code = (
        "import sys, maskfield.core.config, maskfield.core.log, maskfield.core.runs, "
        "maskfield.core.registry, maskfield.engine.config; "
        "print([m for m in ('torch', 'numpy', 'numba', 'scipy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

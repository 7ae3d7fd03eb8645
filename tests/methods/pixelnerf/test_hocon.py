"""The configuration files of the original: syntax, includes, mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfield.core.errors import ConfigError
from maskfield.methods.pixelnerf.hocon import merged, parse_conf, read_conf

TEXT = """
# a comment
model {
    use_xyz = True   # and one behind
    code { num_freqs = 6, freq_factor : 1.5 }
    mlp = {
        type = "resnet"  // another
        d_hidden = 512
    }
    backbone = resnet34
    sched = [[10, 25], [16
        32], []]
}
loss.rgb.use_l1 = False
train { rate = 1e-4 }
model.code.num_freqs = 7
nothing = null
path = a/b c.txt
"""


def test_everything_the_files_use() -> None:
    assert parse_conf(TEXT) == {
        "model": {
            "use_xyz": True,
            "code": {"num_freqs": 7, "freq_factor": 1.5},
            "mlp": {"type": "resnet", "d_hidden": 512},
            "backbone": "resnet34",
            "sched": [[10, 25], [16, 32], []],
        },
        "loss": {"rgb": {"use_l1": False}},
        "train": {"rate": 1e-4},
        "nothing": None,
        "path": "a/b c.txt",
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "{ }", "  \n\n"])
def test_nothing(text: str) -> None:
    assert parse_conf(text) == {}


def test_outer_braces() -> None:
    assert parse_conf('{ a = 1, "b.c" = "d\\"e" }\n') == {"a": 1, "b.c": 'd"e'}


def test_includes_merge_and_later_values_win(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "default.conf").write_text("model { a = 1\n b { c = 2, d = 3 } }\n")
    (tmp_path / "mv.conf").write_text('include required("default.conf")\nmodel.b.c = 20\n')
    (tmp_path / "exp" / "srn.conf").write_text(
        '# from here\ninclude required("../mv.conf")\n'
        "model { b { d = 30 } }\ndata { format = srn }\n"
    )
    assert read_conf(tmp_path / "exp" / "srn.conf") == {
        "model": {"a": 1, "b": {"c": 20, "d": 30}},
        "data": {"format": "srn"},
    }


def test_an_include_inside_a_block(tmp_path: Path) -> None:
    (tmp_path / "part.conf").write_text("x = 1")
    (tmp_path / "whole.conf").write_text('model { include "part.conf"\n y = 2 }\n')
    assert read_conf(tmp_path / "whole.conf") == {"model": {"x": 1, "y": 2}}


def test_a_required_include_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text('include required("b.conf")\n')
    with pytest.raises(ConfigError, match="no such") as error:
        read_conf(tmp_path / "a.conf")
    assert error.value.file == str(tmp_path / "b.conf")


def test_an_optional_include_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text('include "b.conf"\nx = 1\n')
    assert read_conf(tmp_path / "a.conf") == {"x": 1}


def test_files_that_include_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text('include required("a.conf")\n')
    with pytest.raises(ConfigError, match="without end"):
        read_conf(tmp_path / "a.conf")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb {\n c = 2\n", "line 4"),
        ("a = 1\nb\nc = 3", "line 2"),
        ("a = ]\n", "line 1"),
        ("a = 1 }\n", "line 1"),
        ("x = 1\ny = ${x}\n", "line 2"),
        ("x = [1, 2\n", "line 2"),
        ("include other.conf\n", "line 1"),
    ],
)
def test_mistakes_name_the_line(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_conf(text, "some.conf")
    assert error.value.field == line
    assert error.value.file == "some.conf"


def test_merging_replaces_values_and_keeps_neighbours() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(base, {"a": {"b": 9}, "d": {"e": 1}}) == {"a": {"b": 9, "c": 2}, "d": {"e": 1}}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}

"""The dispatcher: help is light, every verb explains itself, errors become messages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from maskfield.cli import main as cli
from maskfield.cli.main import VERBS, load_verb, main
from maskfield.core.errors import DataError

HEAVY = ("torch", "tyro", "numba", "numpy", "scipy", "matplotlib", "rich", "jaxtyping")


def python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from maskfield.cli.main import main; assert main(['--help']) == 0;"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    out = python(code)
    assert out.splitlines()[-1] == "HEAVY []"
    assert "maskfield doctor" in out


def test_import_maskfield_and_its_verbs_is_light():
    code = (
        "import sys, maskfield; maskfield.fit; maskfield.pretrain;"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert python(code).strip() == "[]"


def test_a_verbs_help_does_not_import_torch():
    code = (
        "import sys; from maskfield.cli.main import main\n"
        "try: main(['pretrain', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print('torch' in sys.modules)"
    )
    assert python(code).splitlines()[-1] == "False"


def test_top_help_names_every_verb_on_one_line_of_at_most_100_characters(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, verb in VERBS.items():
        assert [line for line in lines if line.split(verb.summary)[0].strip() == name], name
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([*name.split(), "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: maskfield {name}" in out
    assert (load_verb(name).__doc__ or "").split(".")[0].split()[0] in out


def test_group_help_lists_its_verbs(capsys):
    assert main(["data", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"data {verb}" in out for verb in ("import", "check", "synth"))
    assert "pretrain" not in out


def test_no_words_shows_help_and_fails(capsys):
    assert main([]) == 2
    assert "usage: maskfield VERB" in capsys.readouterr().out


def test_version(capsys):
    import maskfield

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == maskfield.__version__


@pytest.mark.parametrize(
    ("words", "near"), [(["pretrian"], "'pretrain'"), (["data", "chek"], "'data check'")]
)
def test_a_misspelt_verb_gets_the_nearest_one(words, near, capsys):
    assert main(words) == 2
    assert f"did you mean {near}?" in capsys.readouterr().err


def test_an_unknown_option_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--jsn"])
    assert end.value.code == 2
    assert "--jsn" in capsys.readouterr().err


@pytest.fixture
def failing(monkeypatch):
    """A function that makes every verb raise the error given."""

    def install(error: BaseException) -> None:
        def verb(json: bool = False) -> None:
            raise error

        monkeypatch.setattr(cli, "load_verb", lambda name: verb)

    return install


def test_bad_input_is_a_message_and_status_2(failing, capsys):
    failing(DataError("no poses", file="a.json", field="frames[3]", value=7, remedy="add them"))
    assert main(["doctor"]) == 2
    err = capsys.readouterr().err
    for text in ("no poses", "a.json", "frames[3]", "7", "add them"):
        assert text in err
    assert "Traceback" not in err


def test_debug_shows_the_error_itself(failing):
    failing(DataError("no poses", remedy="add them"))
    with pytest.raises(DataError):
        main(["doctor", "--debug"])


def test_interrupt_is_status_130(failing, capsys):
    failing(KeyboardInterrupt())
    assert main(["doctor"]) == 130
    assert "files that exist are complete" in capsys.readouterr().err


def test_interrupt_says_where_the_checkpoint_is(failing, capsys):
    failing(KeyboardInterrupt("the state of step 7 is saved in runs/a"))
    assert main(["doctor"]) == 130
    assert "saved in runs/a" in capsys.readouterr().err


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_run_that_was_stopped_says_how_to_go_on(interrupted, tmp_path, capsys):
    from maskfield.cli.options import finish_run
    from maskfield.engine.loop import RunResult

    metrics = {"psnr": 21.25}
    result = RunResult(folder=tmp_path, metrics=metrics, step=7, interrupted=interrupted)
    assert finish_run(result) == (130 if interrupted else 0)
    shown = capsys.readouterr()
    assert str(tmp_path) in (shown.err if interrupted else shown.out)
    assert ("--resume auto" in shown.err) == interrupted
    assert ("psnr: 21.25" in shown.out) != interrupted


def test_a_bug_is_not_hidden(failing):
    failing(ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])

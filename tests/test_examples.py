"""Every example runs as a user would run it, in a small form, and leaves what it promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

EXAMPLES = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples: later ones use what earlier ones leave."""
    return tmp_path_factory.mktemp("examples")


def run_example(name: str, *words: str) -> str:
    """Run one example; its output."""
    script = next(p for p in EXAMPLES if p.name.startswith(name))
    cache = Path(words[0]) / "cache"
    done = subprocess.run(
        [sys.executable, str(script), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "MPLBACKEND": "Agg"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fit_then_extract(folder: Path) -> None:
    assert "psnr" in run_example("01", str(folder), "60")
    assert (folder / "held_out.png").stat().st_size > 1000
    assert "% occupied" in run_example("02", str(folder), "32")
    assert (folder / "grid.png").is_file()


def test_pretrain_then_encode(folder: Path) -> None:
    assert "colour of hidden voxels" in run_example("03", str(folder), "3")
    out = run_example("04", str(folder))
    assert "level 3" in out
    assert "brought back: (4, " in out


def test_render_your_own_field(folder: Path) -> None:
    out = run_example("05", str(folder))
    opacity = float(out.split()[-1])
    assert 0.1 < opacity < 0.6
    assert (folder / "ball.png").is_file()


def test_finetune_then_detect(folder: Path) -> None:
    started = "pre-trained weights" if (folder / "pretrain").is_dir() else "nothing"
    out = run_example("06", str(folder), "2")
    assert f"started from: {started}" in out
    assert "ap_50" in out
    found = run_example("07", str(folder), "0.0")
    assert "20 boxes" in found
    assert "pieces overlap" in found
    assert (folder / "boxes" / "boxes.json").is_file()
    assert (folder / "boxes.png").is_file()


def test_labels_for_a_grid(folder: Path) -> None:
    out = run_example("08", str(folder), "12")
    right = int(out.split("% of the labelled")[0].split()[-1])
    assert 70 < right <= 100
    assert (folder / "labels.png").is_file()


def test_examples_are_short_and_all_tested() -> None:
    tested = Path(__file__).read_text()
    for script in EXAMPLES:
        assert len(script.read_text().splitlines()) < 60
        assert f'"{script.name[:2]}"' in tested


def test_views_from_one_photograph(folder: Path) -> None:
    assert "rendered 1 views" in run_example("09", str(folder), "1")
    assert (folder / "views.png").stat().st_size > 1000


def test_find_a_camera(folder: Path) -> None:
    said = run_example("10", str(folder), "120")
    assert "guess:" in said
    assert (folder / "pose" / "report.html").is_file()

"""What an installation brings, and that every module lives with the base requirements alone."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEVER = {"torchvision", "timm", "lpips", "torchmetrics", "litdata", "mosaicml-streaming"}
OPTIONAL = ("av", "skimage", "accelerate", "tensorboard", "torchvision", "shapely", "pytest")

IMPORT_ALL = f"""
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import maskfield
names = [m.name for m in pkgutil.walk_packages(maskfield.__path__, "maskfield.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_every_module_imports_with_base_requirements() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_torch_is_pinned_for_setup_and_free_in_the_package() -> None:
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert "torch==2.13.0" in pins
    assert "torch>=2.6" in PROJECT["dependencies"]


def test_no_requirement_is_forbidden() -> None:
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        for requirement in group:
            assert not requirement.startswith(tuple(NEVER)), requirement


@pytest.mark.slow
def test_no_extra_resolves_to_torchvision(tmp_path: Path) -> None:
    """Ask the resolver about all extras together; nothing is installed."""
    extras = ",".join(PROJECT["optional-dependencies"])
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "-q"]
    command += ["--report", str(report), "-c", str(ROOT / "constraints.txt"), f"{ROOT}[{extras}]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {p["metadata"]["name"].lower() for p in json.loads(report.read_text())["install"]}
    assert "torch" in found
    assert "accelerate" in found
    assert not found & NEVER
    assert not {name for name in found if name.startswith("nvidia-")}

"""The doctor sees what is there, says what is missing, and fails only for real problems."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from maskfield.cli.main import main
from maskfield.verbs import doctor
from maskfield.verbs.doctor import environment, examine, installed_version, writable


def test_facts_are_this_machines():
    facts = examine().facts
    assert facts["torch"] == torch.__version__
    assert facts["threads"].startswith(f"{torch.get_num_threads()} of ")
    assert facts["memory"].endswith("GiB")


def test_text_names_every_part_and_what_it_enables():
    report = examine()
    text = report.to_text()
    for part in report.parts:
        assert part.name in text
        assert part.enables in text


def test_a_missing_part_is_no_problem_but_gets_its_command(monkeypatch):
    real = installed_version
    monkeypatch.setattr(doctor, "installed_version", lambda p: None if p == "av" else real(p))
    report = examine()
    assert report.healthy == (real("torchvision") is None)
    assert "pip install 'maskfield[video]'" in report.to_text()


def test_torchvision_beside_cpu_torch_is_a_problem(monkeypatch, capsys):
    real = installed_version
    monkeypatch.setattr(
        doctor, "installed_version", lambda p: "0.28" if p == "torchvision" else real(p)
    )
    monkeypatch.setattr(doctor, "_cuda_build", lambda: False)
    assert main(["doctor"]) == 1
    assert "pip uninstall torchvision" in capsys.readouterr().out


def test_torchvision_beside_cuda_torch_is_left_alone(monkeypatch):
    real = installed_version
    monkeypatch.setattr(
        doctor, "installed_version", lambda p: "0.28" if p == "torchvision" else real(p)
    )
    monkeypatch.setattr(doctor, "_cuda_build", lambda: True)
    assert examine().healthy


def test_a_cache_that_cannot_be_written_is_a_problem(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert any("cache folder" in p for p in examine().problems)


@pytest.mark.parametrize("deep", ["", "new/deeper"])
def test_writable_looks_at_the_nearest_folder_there_is(tmp_path, deep):
    assert writable(tmp_path / deep)
    assert not writable(Path("/proc/nowhere"))


def test_json_for_scripts(capsys):
    main(["doctor", "--json"])
    value = json.loads(capsys.readouterr().out)
    assert value["facts"]["torch"] == torch.__version__
    assert set(value) == {"facts", "parts", "problems"}


def test_the_shared_folder_is_shown_when_set(monkeypatch, tmp_path):
    monkeypatch.setenv("MASKFIELD_SHARED", str(tmp_path))
    assert examine().facts["shared data"] == str(tmp_path.resolve())
    monkeypatch.setenv("MASKFIELD_SHARED", str(tmp_path / "gone"))
    assert examine().facts["shared data"].startswith("none")


def test_environment_is_the_part_that_decides_speed():
    assert {"maskfield", "python", "torch", "device", "threads"} <= set(environment())

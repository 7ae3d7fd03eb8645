"""What this machine has, and what each missing part would enable."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import maskfield

SHARED_VARIABLE = "MASKFIELD_SHARED"


@dataclass(frozen=True, kw_only=True)
class Part:
    """An optional package.

    Attributes:
        version: installed version, or None.
        enables: what it is for.
        remedy: the command that installs it.
    """

    name: str
    version: str | None
    enables: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class DoctorReport:
    """Facts about the machine, the optional parts, and problems (empty when all is well)."""

    facts: Mapping[str, str]
    parts: tuple[Part, ...]
    problems: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        return not self.problems

    def to_text(self) -> str:
        """A table for people."""
        width = max(map(len, [*self.facts, *(p.name for p in self.parts)])) + 2
        lines = [f"{name:<{width}} {value}" for name, value in self.facts.items()]
        lines += ["", "optional parts"]
        for part in self.parts:
            state = part.version or f"missing: {part.remedy}"
            lines.append(f"{part.name:<{width}} {state:<42} {part.enables}")
        lines.append("")
        lines += [f"PROBLEM: {problem}" for problem in self.problems] or ["all is well"]
        return "\n".join(lines)

    def to_json(self) -> str:
        """The same for programs."""
        parts = {p.name: {"version": p.version, "enables": p.enables} for p in self.parts}
        value = {"facts": dict(self.facts), "parts": parts, "problems": list(self.problems)}
        return json.dumps(value, indent=1)


_PARTS = (
    ("av", "video", "films as .mp4 (`render --video`); without it films are .gif"),
    ("accelerate", "distributed", "training on several devices or machines"),
    ("tensorboard", "tensorboard", "TensorBoard logs beside log.jsonl (`engine.tensorboard=true`)"),
    (
        "h5py",
        "compat",
        "HDF5 frames of 3D-FRONT, HM3D and Hypersim (`data labels`, `data prepare`)",
    ),
    ("scikit-image", "image", "meshes (`extract --mesh`)"),
    ("transformers", "hf", "the object's mask in a photograph (`data normalize-photo`)"),
)


def examine() -> DoctorReport:
    """Look at the interpreter, torch, the device, optional packages, data and cache folders."""
    facts = {
        "maskfield": maskfield.__version__,
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        **_torch_facts(),
        "memory": _memory(),
        "shared data": _shared(),
    }
    parts = tuple(
        Part(
            name=name,
            version=installed_version(name),
            enables=enables,
            remedy=f"pip install 'maskfield[{extra}]'",
        )
        for name, extra, enables in _PARTS
    )
    return DoctorReport(facts=facts, parts=parts, problems=tuple(_problems()))


def environment() -> dict[str, str]:
    """What decides a run's result and speed beside its configuration; for reports."""
    kept = ("maskfield", "python", "torch", "device", "threads", "memory")
    facts = examine().facts
    return {name: facts[name] for name in kept if name in facts}


def installed_version(package: str) -> str | None:
    """Version of an installed distribution, or None; imports nothing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def writable(folder: Path) -> bool:
    """Whether files can be made in ``folder``, or in the nearest parent that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def cache_folder() -> Path:
    """Where compiled kernels and made data may be kept: ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "maskfield"


def _torch_facts() -> dict[str, str]:
    version = installed_version("torch")
    if version is None:
        return {"torch": "missing"}
    import torch

    if torch.cuda.is_available():
        device = f"cuda: {torch.cuda.get_device_name(0)} ({torch.cuda.device_count()} in all)"
    else:
        device = f"cpu: {_processor()}"
    return {
        "torch": torch.__version__,
        "device": device,
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        if names:
            return names[0].partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def _shared() -> str:
    folder = Path(os.environ.get(SHARED_VARIABLE, "../shared"))
    if folder.is_dir():
        return str(folder.resolve())
    return f"none (optional: real data for tests and benchmarks; set {SHARED_VARIABLE})"


def _problems() -> list[str]:
    problems = []
    if installed_version("torch") is None:
        problems.append("torch is missing: pip install torch")
    elif installed_version("torchvision") is not None and not _cuda_build():
        problems.append(
            "torchvision is installed beside a CPU build of torch and breaks it and other "
            "packages; maskfield does not need it: pip uninstall torchvision"
        )
    for name, folder in (("cache", cache_folder()), ("working", Path.cwd())):
        if not writable(folder):
            problems.append(f"the {name} folder {folder} is not writable")
    return problems


def _cuda_build() -> bool:
    import torch

    return torch.version.cuda is not None

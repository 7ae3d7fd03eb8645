"""The command line: finds the verb, imports only that verb's file, turns errors into messages.

``maskfield --help`` must answer at once, so this file imports neither tyro nor torch.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maskfield.core.errors import MaskfieldError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A row of the table of verbs: what it does, and where its function is ("module:function")."""

    target: str
    summary: str


VERBS: dict[str, Verb] = {
    "doctor": Verb(
        target="maskfield.cli.doctor:doctor",
        summary="what this machine has: torch, device, optional parts and what they enable",
    ),
    "demo": Verb(
        target="maskfield.cli.demo:demo",
        summary="a job end to end on procedural scenes -> report.html (--quick: a minute)",
    ),
    "data import": Verb(
        target="maskfield.cli.data_import:data_import",
        summary="photographs with poses (transforms.json, COLMAP, LLFF, ...) -> a scene",
    ),
    "data check": Verb(
        target="maskfield.cli.data_check:data_check",
        summary="draw the cameras and the box, test that rays meet it, name likely mistakes",
    ),
    "data synth": Verb(
        target="maskfield.cli.data_synth:data_synth",
        summary="make procedural worlds: photographs of a room, grids of many, or objects",
    ),
    "data prepare": Verb(
        target="maskfield.cli.data_prepare:data_prepare",
        summary="3D-FRONT, HM3D, Hypersim, ScanNet, SUN RGB-D -> cameras, boxes, classes",
    ),
    "data labels": Verb(
        target="maskfield.cli.data_labels:data_labels",
        summary="depth + segmentation + poses -> a class id for every voxel of a grid",
    ),
    "data normalize-photo": Verb(
        target="maskfield.cli.data_normalize_photo:data_normalize_photo",
        summary="one object of a photograph on white, as pixelNeRF takes it",
    ),
    "fit": Verb(
        target="maskfield.cli.fit:fit",
        summary="fit a radiance field to a scene (live PSNR, time left)",
    ),
    "extract": Verb(
        target="maskfield.cli.extract:extract",
        summary="a fitted field -> a radiance + density grid (and .ply)",
    ),
    "render": Verb(
        target="maskfield.cli.render:render",
        summary="pictures and a film of a fitted field along a camera path",
    ),
    "pretrain": Verb(
        target="maskfield.cli.pretrain:pretrain",
        summary="masked pre-training by a recipe, e.g. nerf-mae:tiny-cpu",
    ),
    "finetune": Verb(
        target="maskfield.cli.finetune:finetune",
        summary="train on boxes, voxel classes or finer grids, e.g. nerf-mae-detect:tiny-cpu",
    ),
    "evaluate": Verb(
        target="maskfield.cli.evaluate:evaluate",
        summary="measure a finished run on its held-out data -> evaluation.json",
    ),
    "detect": Verb(
        target="maskfield.cli.detect:detect",
        summary="objects of a grid or fitted field -> boxes.json, pictures, instant-ngp",
    ),
    "segment": Verb(
        target="maskfield.cli.segment:segment",
        summary="a class for every voxel of a grid or fitted field -> a label grid",
    ),
    "superres": Verb(
        target="maskfield.cli.superres:superres",
        summary="the same grid on finer voxels",
    ),
    "pose": Verb(
        target="maskfield.cli.pose:pose",
        summary="where a photograph was taken, by a field of the place -> pose.json, film",
    ),
    "convert": Verb(
        target="maskfield.cli.convert:convert",
        summary="official checkpoints and NeRF-RPN .npz grids <-> ours",
    ),
}
GROUPS = tuple(dict.fromkeys(name.split()[0] for name in VERBS if " " in name))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 2 bad input, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _dispatch(words)
    except MaskfieldError as error:
        if debug:
            raise
        print(f"maskfield: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt as stop:
        if debug:
            raise
        told = str(stop) or "no checkpoint was due yet; files that exist are complete"
        print(f"\nmaskfield: interrupted; {told}", file=sys.stderr)
        return EXIT_INTERRUPTED


def load_verb(name: str) -> Callable[..., int | None]:
    """The function behind a verb; imports its file."""
    module, _, function = VERBS[name].target.partition(":")
    return getattr(importlib.import_module(module), function)


def top_help() -> str:
    """The text of ``maskfield --help``."""
    return "\n".join(
        [
            "usage: maskfield VERB [options]          (maskfield VERB --help for its options)",
            "",
            "Hide part of a 3-D scene, learn by rendering it back, then use what was learned.",
            "",
            *_verb_lines(VERBS),
            "",
            "options of every verb:",
            "  --help         what the verb takes",
            "  --debug        show the Python traceback of an error",
            "  --version      print the version (without a verb)",
            "",
            "first steps:  maskfield doctor      maskfield demo nerf-mae --quick",
        ]
    )


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(top_help())
        return 0 if words else EXIT_ERROR
    if words[0] == "--version":
        from maskfield import __version__

        print(__version__)
        return 0
    if words[0] in GROUPS:
        return _dispatch_group(words)
    if words[0] not in VERBS:
        return _unknown(words[0], VERBS)
    return _call(words[0], words[1:])


def _dispatch_group(words: list[str]) -> int:
    group = words[0]
    members = {name: verb for name, verb in VERBS.items() if name.startswith(f"{group} ")}
    if len(words) == 1 or words[1] in ("-h", "--help"):
        print("\n".join([f"usage: maskfield {group} VERB [options]", "", *_verb_lines(members)]))
        return 0 if len(words) > 1 else EXIT_ERROR
    name = " ".join(words[:2])
    return _call(name, words[2:]) if name in members else _unknown(name, members)


def _call(name: str, rest: list[str]) -> int:
    import tyro

    function = load_verb(name)
    markers = (tyro.conf.PositionalMetavarFromFieldName, tyro.conf.DisallowNone)
    return tyro.cli(function, prog=f"maskfield {name}", args=rest, config=markers) or 0


def _unknown(name: str, verbs: dict[str, Verb]) -> int:
    near = difflib.get_close_matches(name, verbs, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    print(
        f"maskfield: unknown verb\n  value:  {name!r}\n"
        f"  remedy: {hint}`maskfield --help` lists the verbs",
        file=sys.stderr,
    )
    return EXIT_ERROR


def _verb_lines(verbs: dict[str, Verb]) -> list[str]:
    width = max(map(len, verbs)) + 2
    return [f"  {name:<{width}} {verb.summary}" for name, verb in verbs.items()]


if __name__ == "__main__":
    sys.exit(main())

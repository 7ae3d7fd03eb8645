"""Official checkpoints to weights of ours and back: every network with an official counterpart.

Strict in both directions: every tensor finds its place, or the error lists what differs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfield.core.errors import CheckpointError
from maskfield.verbs.official import (
    NAMES,
    Kind,
    Official,
    config_of,
    kind_of_method,
    read_checkpoint,
)

if TYPE_CHECKING:
    from torch import nn

    from maskfield.engine.config import RunConfig

OFFICIAL_WEIGHTS = (".pt", ".pth")
BARE = "pixel_nerf"  # official pixelNeRF files have names without a suffix


def has_official_name(path: Path) -> bool:
    """Whether a file's name is one that official code gives to its weights."""
    bare = path.suffix == "" and path.name.startswith(BARE) and not path.is_dir()
    return bare or path.suffix.lower() in OFFICIAL_WEIGHTS


def import_weights(source: Path, out: Path, config: RunConfig) -> None:
    """Official weights into a file of ours, for exactly this run's network.

    Raises:
        CheckpointError: damaged, of another kind or size; the message lists what differs.
    """
    _write(read_checkpoint(source), out, config)


def weights_in(source: Path, out: Path, recipe: str | None) -> str:
    """Official weights into a file of ours; says in one line what they are.

    Raises:
        CheckpointError: damaged, of no known kind, or not the network of ``recipe``.
    """
    from maskfield.verbs.pretrain import recipe_config

    official = read_checkpoint(source)
    config = config_of(official) if recipe is None else recipe_config(recipe)
    _write(official, out, config)
    return _summary(official.kind, config)


def weights_out(source: Path, out: Path) -> str:
    """Weights of ours into a file that the official code loads.

    Raises:
        CheckpointError: damaged, or of a network that the official code cannot build.
    """
    from maskfield.core.config import from_dict, to_dict
    from maskfield.engine.checkpoint import load_into, load_weights, weights_path
    from maskfield.engine.config import RunConfig

    weights, header = load_weights(source)
    config = from_dict(RunConfig, header.get("config", {}))
    kind = kind_of_method(config.method, weights_path(source))
    model = config.method.build()
    load_into(model, weights, weights_path(source))
    epoch = int(header.get("official_epoch", header.get("step", 0)))
    _write_official(kind, model, config, out, epoch=epoch, train_args=to_dict(config))
    return _summary(kind, config)


def _write(official: Official, out: Path, config: RunConfig) -> None:
    """Load strictly into the network of ``config`` and save it with what its task would say."""
    from maskfield.core.config import to_dict
    from maskfield.engine.checkpoint import save_weights

    wanted = kind_of_method(config.method)
    if official.kind != wanted and (official.kind, wanted) != ("backbone", "pixelnerf"):
        raise CheckpointError(
            f"the checkpoint holds {NAMES[official.kind]}, wanted is {NAMES[wanted]}",
            file=official.file,
            field="keys",
            value=sorted(map(str, official.content))[:4],
            remedy=f"give {NAMES[wanted]}, or choose another recipe",
        )
    model = config.method.build()
    _load(official, model)
    header = {
        "config": to_dict(config),
        "conventions": _conventions(wanted, config),
        "averaged": False,
        "official_epoch": int(official.content.get("epoch") or 0),
    }
    save_weights(out, model.state_dict(), header)


def _load(official: Official, model: Any) -> None:
    from maskfield.methods.nerf_mae import convert as mae
    from maskfield.methods.nerf_mae.convert_downstream import load_official_downstream
    from maskfield.methods.nerf_rpn import convert as rpn
    from maskfield.methods.pixelnerf import convert as pixelnerf

    content, file = official.content, official.file
    if official.kind == "backbone":
        pixelnerf.load_backbone_weights(model, content, file=file)
        return
    if official.kind == "pixelnerf":
        weights = pixelnerf.state_of(content, file)
        pixelnerf.load_official_weights(model, weights, file=file)
        return
    if official.kind == "detector":
        rpn.load_official_weights(model, rpn.detector_of(content, file), file=file)
        return
    weights = mae.checkpoint_of(content, file).state_dict
    load = mae.load_official_weights if official.kind == "autoencoder" else load_official_downstream
    load(model, weights, file=file)


def _conventions(kind: Kind, config: RunConfig) -> dict[str, Any]:
    """What the network's task writes into its checkpoints."""
    from maskfield.methods.nerf_mae.finetuning.segment import semantic_conventions
    from maskfield.methods.nerf_mae.finetuning.superres import super_resolution_conventions
    from maskfield.methods.nerf_mae.task import mae_conventions
    from maskfield.methods.nerf_rpn.task import detector_conventions
    from maskfield.methods.pixelnerf.task import pixelnerf_conventions

    if kind == "pixelnerf":
        return pixelnerf_conventions()
    if kind == "detector":
        return detector_conventions(config.data)
    of_method = {
        "autoencoder": mae_conventions,
        "semantic": semantic_conventions,
        "superres": super_resolution_conventions,
    }
    return of_method[kind](config.method)


def _write_official(
    kind: Kind,
    model: nn.Module,
    config: RunConfig,
    out: Path,
    *,
    epoch: int,
    train_args: dict[str, Any],
) -> None:
    from maskfield.methods.nerf_mae import convert as mae
    from maskfield.methods.nerf_mae.config import NerfMAEConfig
    from maskfield.methods.nerf_mae.convert_downstream import downstream_to_official
    from maskfield.methods.nerf_rpn import convert as rpn
    from maskfield.methods.nerf_rpn.model.detector import Detector
    from maskfield.methods.pixelnerf.convert import write_official
    from maskfield.methods.pixelnerf.model.network import PixelNeRF

    if isinstance(model, PixelNeRF):
        write_official(model, out)
        return
    base = getattr(config.method, "base", config.method)
    if isinstance(base, NerfMAEConfig):
        mae.refuse_unofficial(base, out, table=kind == "autoencoder")
    if isinstance(model, Detector):
        rpn.write_official(model, out, epoch=epoch, train_args=train_args)
        return
    names = mae.to_official if kind == "autoencoder" else downstream_to_official
    mae.write_state(names(model.state_dict()), out, epoch=epoch, train_args=train_args)


def _summary(kind: Kind, config: RunConfig) -> str:
    """One line for people."""
    method = config.method
    if kind in ("pixelnerf", "backbone"):
        encoder = method.encoder.kind if method.encoder else "no"
        mlp = f"{method.mlp.blocks} blocks of {method.mlp.hidden}"
        return f"weights of {NAMES[kind]}, {encoder} encoder, {mlp}"
    body = getattr(method, "backbone", getattr(method, "base", method))
    width = getattr(body, "embed_dim", None) or body.width
    depths = getattr(body, "depths", None) or body.variant
    if kind == "detector":
        more = (
            f", {method.head.kind} head, {'oriented' if method.head.rotated else 'aligned'} boxes"
        )
    elif kind == "semantic":
        more = f", {len(method.class_names)} classes"
    else:
        more = f", {method.scale:g} times finer" if kind == "superres" else ""
    return f"weights of {NAMES[kind]}, {width} wide, depths {depths}{more}"

"""Official files to ours and back. Which conversion is meant follows from the two suffixes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfield.core.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from maskfield.data.config import DensityRule
    from maskfield.engine.config import RunConfig

OFFICIAL_WEIGHTS = (".pt", ".pth")
OURS = ".safetensors"
_KNOWN = (
    "grid.npz grid.safetensors | grid.safetensors grid.npz | official.pt weights.safetensors | "
    "RUN official.pt | weights.safetensors official.pt"
)


def convert_file(source: Path, out: Path, *, density: DensityRule, recipe: str | None) -> str:
    """See :func:`maskfield.api.convert`."""
    target = out.suffix.lower()
    if source.suffix.lower() == ".npz" and target == OURS:
        return _grid_in(source, out, density)
    if source.suffix.lower() == OURS and target == ".npz":
        return _grid_out(source, out)
    if source.suffix.lower() in OFFICIAL_WEIGHTS and target == OURS:
        return _weights_in(source, out, recipe)
    if target in OFFICIAL_WEIGHTS and (source.is_dir() or source.suffix.lower() in ("", OURS)):
        return _weights_out(source, out)
    raise ConfigError(
        "no such conversion",
        file=source,
        field="source, out",
        value=(source.name, out.name),
        remedy=f"known: {_KNOWN}",
    )


def import_weights(source: Path, out: Path, config: RunConfig) -> None:
    """Official weights into a file of ours, for exactly this run's network.

    Raises:
        CheckpointError: damaged, of another method or size; the message lists what differs.
    """
    from maskfield.core.config import to_dict
    from maskfield.engine.checkpoint import save_weights
    from maskfield.methods.nerf_mae.convert import load_official_weights, read_official
    from maskfield.methods.nerf_mae.task import INPUT

    official = read_official(source)
    model = config.method.build()
    load_official_weights(model, official.state_dict, file=source)
    header = {
        "config": to_dict(config),
        "conventions": {"kind": "NerfMAE", "input": INPUT, "resolution": config.method.resolution},
        "averaged": False,
        "official_epoch": official.epoch,
    }
    save_weights(out, model.state_dict(), header)


def _grid_in(source: Path, out: Path, density: DensityRule) -> str:
    from maskfield.data.radiance_grid import save_grid
    from maskfield.data.readers.nerf_rpn import read_grid

    grid = read_grid(source, density=density)
    save_grid(grid, out)
    return f"grid {'x'.join(map(str, grid.resolution))}, density {grid.density_kind}"


def _grid_out(source: Path, out: Path) -> str:
    from maskfield.data.radiance_grid import load_grid
    from maskfield.data.writers import write_nerf_rpn_npz

    grid = load_grid(source)
    write_nerf_rpn_npz(grid, out)
    return f"grid {'x'.join(map(str, grid.resolution))}, density {grid.density_kind}"


def _weights_in(source: Path, out: Path, recipe: str | None) -> str:
    from maskfield.data.config import GridDataConfig
    from maskfield.engine.config import RunConfig
    from maskfield.methods.nerf_mae.convert import config_from_official, read_official
    from maskfield.verbs.pretrain import recipe_config

    method = config_from_official(read_official(source).state_dict)
    data = GridDataConfig(resolution=method.resolution)
    config = RunConfig(method=method, data=data, name=source.stem)
    if recipe is not None:
        config = recipe_config(recipe)
    import_weights(source, out, config)
    return f"NeRF-MAE weights, {config.method.embed_dim} wide, depths {config.method.depths}"


def _weights_out(source: Path, out: Path) -> str:
    from maskfield.core.config import from_dict
    from maskfield.engine.checkpoint import load_into, load_weights, weights_path
    from maskfield.engine.config import RunConfig
    from maskfield.methods.nerf_mae.config import NerfMAEConfig
    from maskfield.methods.nerf_mae.convert import write_official

    weights, header = load_weights(source)
    config = from_dict(RunConfig, header.get("config", {}))
    if not isinstance(config.method, NerfMAEConfig):
        raise CheckpointError(
            "only NeRF-MAE weights have an official counterpart",
            file=weights_path(source),
            field="config.method",
            value=type(config.method).__name__,
            remedy="give a run of `maskfield pretrain nerf-mae:...`",
        )
    model = config.method.build()
    load_into(model, weights, weights_path(source))
    step = int(header.get("step", 0))
    write_official(model, out, epoch=step, train_args=_plain_arguments(config))
    return f"NeRF-MAE weights of step {step}"


def _plain_arguments(config: RunConfig) -> dict[str, Any]:
    """The run's configuration under the official checkpoint's ``train_args``."""
    from maskfield.core.config import to_dict

    return to_dict(config)

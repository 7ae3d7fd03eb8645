"""Vanilla NeRF checkpoints of other programs in and out.

Two layouts are known. yenchenlin/nerf-pytorch (``.tar``): ``network_fn_state_dict`` and
``network_fine_state_dict`` with ``pts_linears.N``. krrish94/nerf-pytorch (``.ckpt``):
``model_coarse_state_dict`` and ``model_fine_state_dict`` with ``layer1``, ``layers_xyz.N``, where
skipped layers see (h, code) instead of (code, h). Sizes are read off the tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from maskfield.core.errors import CheckpointError
from maskfield.core.files import StrPath
from maskfield.engine.checkpoint import read_foreign, write_foreign
from maskfield.engine.strict import load_strictly
from maskfield.fields.nerf import NeRFField, NeRFNetwork
from maskfield.fields.nerf_config import NeRFConfig, NeRFNetworkConfig, NeRFViewing

StateDict = dict[str, Tensor]
_PAIRS = (
    ("network_fn_state_dict", "network_fine_state_dict"),
    ("model_coarse_state_dict", "model_fine_state_dict"),
)
_HEADS = {
    "alpha_linear": "density",
    "feature_linear": "feature",
    "views_linears.0": "view",
    "rgb_linear": "colour",
    "output_linear": "output",
}
_FLEXIBLE_HEADS = {
    "fc_alpha": "density",
    "fc_feat": "feature",
    "layers_dir.0": "view",
    "fc_rgb": "colour",
    "fc_out": "output",
}


def read_official_nerf(path: StrPath, viewing: NeRFViewing | None = None) -> NeRFField:
    """A field from a ``.tar`` or ``.ckpt`` of either layout, without running code from it.

    Args:
        viewing: near, far and samples, which checkpoints do not hold; Blender's unless given.

    Raises:
        CheckpointError: missing, damaged, or not a NeRF.
    """
    return nerf_from_official(read_foreign(path), viewing, file=path)


def nerf_from_official(
    content: Any, viewing: NeRFViewing | None = None, *, file: StrPath | None = None
) -> NeRFField:
    """The same for content that was read already.

    Raises:
        CheckpointError: not a NeRF, or layers that no known layout explains.
    """
    coarse, fine = _networks(content, file)
    config = NeRFConfig(
        coarse=network_config(coarse, file),
        fine=None if fine is None else network_config(fine, file),
        viewing=viewing or NeRFViewing(),
    )
    field = NeRFField(config)
    load_official_network(field.coarse.network, coarse, file=file)
    if fine is not None and field.fine is not None:
        load_official_network(field.fine.network, fine, file=file)
    return field.eval()


def is_official_nerf(content: Any) -> bool:
    """Whether a checkpoint's content is one of the two layouts."""
    return isinstance(content, Mapping) and any(pair[0] in content for pair in _PAIRS)


def network_config(state: Mapping[str, Tensor], file: StrPath | None = None) -> NeRFNetworkConfig:
    """Sizes of a network, from names and shapes.

    Raises:
        CheckpointError: names of neither layout.
    """
    state = _plain(state)
    flexible = "layer1.weight" in state
    trunk = _trunk_names(state, file)
    width, code = state[f"{trunk[0]}.weight"].shape
    inputs = [state[f"{name}.weight"].shape[1] for name in trunk]
    skips = tuple(i for i, n in enumerate(inputs) if i > 0 and n == width + code)
    heads = _FLEXIBLE_HEADS if flexible else _HEADS
    ours = {
        our: state[f"{name}.weight"] for name, our in heads.items() if f"{name}.weight" in state
    }
    input_given = code % 6 == 3
    view = None if "view" not in ours else ours["view"].shape[1] - width
    return NeRFNetworkConfig(
        depth=len(trunk),
        width=width,
        skips=skips,
        point_octaves=code // 6,
        view_octaves=None if view is None else view // 6,
        include_input=input_given,
        view_width=width // 2 if view is None else ours["view"].shape[0],
        activate_first=not flexible,
        activate_feature=flexible,
        outputs=4 if "output" not in ours else ours["output"].shape[0],
    )


def load_official_network(
    network: NeRFNetwork, state: Mapping[str, Tensor], *, file: StrPath | None = None
) -> None:
    """Put a network's foreign weights into ours, every one of them.

    Raises:
        CheckpointError: names missing, unexpected, or of another shape.
    """
    load_strictly(network, network_from_official(state, file), part="NeRF", file=file)


def network_from_official(state: Mapping[str, Tensor], file: StrPath | None = None) -> StateDict:
    """Foreign names (and column orders) to ours; a ``module.`` prefix is dropped."""
    state = _plain(state)
    flexible = "layer1.weight" in state
    names = {name: f"layers.{i}" for i, name in enumerate(_trunk_names(state, file))}
    names |= _FLEXIBLE_HEADS if flexible else _HEADS
    ours = {}
    for key, value in state.items():
        name, _, kind = key.rpartition(".")
        ours[f"{names.get(name, name)}.{kind}"] = value
    if flexible:
        code = ours["layers.0.weight"].shape[1]
        ours = {
            k: _turned(v, v.shape[0], code) if _skipped(k, v, code) else v for k, v in ours.items()
        }
    return ours


def network_to_official(network: NeRFNetwork) -> StateDict:
    """Our names to those of the layout whose activations the network has.

    Raises:
        CheckpointError: no layout has its combination of activations.
    """
    c, state = network.config, network.state_dict()
    if (c.activate_first, c.activate_feature) == (True, False):
        names = {f"layers.{i}": f"pts_linears.{i}" for i in range(c.depth)}
        heads = _HEADS
    elif (c.activate_first, c.activate_feature) == (False, True):
        names = {f"layers.{i}": f"layers_xyz.{i - 1}" for i in range(1, c.depth)}
        names["layers.0"], heads = "layer1", _FLEXIBLE_HEADS
        code = state["layers.0.weight"].shape[1]
        state = {
            k: _turned(v, code, v.shape[0]) if _skipped(k, v, code) else v for k, v in state.items()
        }
    else:
        raise CheckpointError(
            "no public layout has these activations",
            field="activate_first, activate_feature",
            value=(c.activate_first, c.activate_feature),
            remedy="keep the field as .safetensors",
        )
    names |= {our: name for name, our in heads.items()}
    return {f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in state.items()}


def write_official_nerf(field: NeRFField, path: StrPath, step: int = 0) -> None:
    """Write a field in the layout that its networks fit.

    Raises:
        CheckpointError: no layout fits. StorageError: the file cannot be written.
    """
    parts = [field.coarse, *([] if field.fine is None else [field.fine])]
    states = [network_to_official(part.network) for part in parts]
    pair = _PAIRS["layer1.weight" in states[0]]
    content: dict[str, Any] = dict(zip(pair, states, strict=False))
    write_foreign(path, {"global_step": step, **content})


def _networks(content: Any, file: StrPath | None) -> tuple[StateDict, StateDict | None]:
    for coarse, fine in _PAIRS:
        if isinstance(content, Mapping) and isinstance(content.get(coarse), Mapping):
            return content[coarse], content.get(fine) or None
    raise CheckpointError(
        "not a vanilla NeRF",
        file=file,
        field="keys",
        value=sorted(map(str, content))[:8] if isinstance(content, Mapping) else type(content),
        remedy=f"known: {' or '.join(pair[0] for pair in _PAIRS)}",
    )


def _plain(state: Mapping[str, Tensor]) -> StateDict:
    return {k.removeprefix("module."): v for k, v in state.items()}


def _trunk_names(state: Mapping[str, Tensor], file: StrPath | None) -> list[str]:
    """Trunk layers in order."""
    stem = "layers_xyz" if "layer1.weight" in state else "pts_linears"
    first = ["layer1"] if stem == "layers_xyz" else []
    count = sum(k.startswith(f"{stem}.") and k.endswith(".weight") for k in state)
    names = [*first, *(f"{stem}.{i}" for i in range(count))]
    if not names or any(f"{name}.weight" not in state for name in names):
        raise CheckpointError(
            "the network's layers have names of no known layout",
            file=file,
            field="keys",
            value=sorted(state)[:6],
            remedy="known: pts_linears.N (yenchenlin) or layer1, layers_xyz.N (krrish94)",
        )
    return names


def _skipped(key: str, value: Tensor, code: int) -> bool:
    """A trunk weight that is given the code again."""
    inner = key.startswith("layers.") and key.endswith(".weight") and key != "layers.0.weight"
    return inner and value.shape[1] == value.shape[0] + code


def _turned(weight: Tensor, first: int, second: int) -> Tensor:
    """Columns (a, b) of widths ``first`` and ``second`` to (b, a)."""
    a, b = weight.split([first, second], dim=1)
    return torch.cat([b, a], dim=1)

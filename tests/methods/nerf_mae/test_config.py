from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maskfield.core.config import from_dict, to_dict
from maskfield.core.errors import ConfigError
from maskfield.methods.nerf_mae.config import SIZES, SWIN_S, NerfMAEConfig
from maskfield.methods.nerf_mae.flops import decoder_flops, forward_flops


@pytest.mark.parametrize("name", list(SIZES))
def test_sizes_round_trip(name: str) -> None:
    assert from_dict(NerfMAEConfig, to_dict(SIZES[name])) == SIZES[name]


@pytest.mark.parametrize(("name", "floats"), [("swin_t", 54_841_978), ("swin_s", 76_184_938)])
def test_official_parameter_counts(name: str, floats: int) -> None:
    with torch.device("meta"):
        model = SIZES[name].build()
    assert sum(p.numel() for p in model.parameters()) == floats


def test_swin_b_works_here_and_is_refused_officially() -> None:
    """Official Swin-B cannot be built; ours shares the table unequally and has heads of 32."""
    small = replace(SIZES["swin_b"], depths=(1, 1, 1, 1), resolution=32)
    with torch.device("meta"):
        model = small.build()
        assert model(torch.empty(1, 4, 32, 32, 32)).shape == (1, 4, 32, 32, 32)
    with pytest.raises(ConfigError, match="no official counterpart"):
        replace(SIZES["swin_b"], compat="official")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 200}, "use 192"),
        ({"resolution": 0}, "multiple of 32"),
        ({"depths": (2, 2)}, "four stages"),
        ({"heads": (5, 6, 12, 24)}, "divisible by its heads"),
        ({"mask_ratio": 1.5}, "mask_ratio"),
        ({"stochastic_depth": 1.0}, "stochastic_depth"),
        ({"rgb_weight": 0.0, "alpha_weight": 0.0}, "nor both 0"),
    ],
)
def test_bad_values_name_the_field_and_the_remedy(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(SWIN_S, **change)


def test_flops_match_the_layers() -> None:
    """Against the shapes seen by every convolution and linear layer of the plain model."""
    config = replace(
        SIZES["tiny"], window=(2, 2, 2), resolution=64, implementation="plain", heads=(2, 4, 8, 16)
    )
    counted = 0

    def count(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal counted
        if isinstance(module, torch.nn.ConvTranspose3d):
            counted += 2 * module.weight.numel() * inputs[0].numel() // module.in_channels
        elif isinstance(module, torch.nn.Conv3d):
            counted += 2 * module.weight.numel() * output.numel() // module.out_channels
        elif isinstance(module, torch.nn.Linear):
            counted += 2 * module.weight.numel() * output.numel() // module.out_features

    with torch.device("meta"):
        model = config.build()
        for module in model.modules():
            module.register_forward_hook(count)
        model(torch.empty(1, 4, 64, 64, 64))
    attention = sum(d * 4 * (16 // 2**i) ** 3 * 8 * 24 * 2**i for i, d in enumerate(config.depths))
    answer = 2 * 64**3 * 12 * 4  # a product over channels, not a module call
    assert forward_flops(config) == counted + attention + answer
    assert decoder_flops(config) > 0.7 * forward_flops(config)
    assert forward_flops(config, batch=3) == 3 * forward_flops(config)

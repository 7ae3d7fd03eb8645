"""LPIPS v0.1 (Zhang et al. 2018) on VGG16: the distance of two images as a trained network sees it.

Its weights are other people's and are not part of the package: the trunk is torchvision's VGG16
(keys ``features.N.weight``), the heads are those of the authors (``linN.model.1.weight``).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.core.errors import CheckpointError, DataError
from maskfield.core.files import StrPath
from maskfield.nn.foreign import read_foreign

# convolutions of each slice; a slice ends after its last ReLU, a 2x2 pool stands before the next
_SLICES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_SHIFT = (-0.030, -0.088, -0.188)  # ImageNet mean and deviation, for images in [-1, 1]
_SCALE = (0.458, 0.448, 0.450)
_LEAST = 16  # pixels that four pools leave one of
_SOURCE = (
    "get the trunk vgg16-397923af.pth from download.pytorch.org/models and the heads "
    "lpips/weights/v0.1/vgg.pth from github.com/richzhang/PerceptualSimilarity"
)


class LPIPS(nn.Module):
    """Perceptual distance; smaller is more alike. Frozen, evaluated without gradients to itself.

    ``state_dict`` keys: ``features.N.{weight,bias}`` as in torchvision, ``linN.model.1.weight``.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features, self._ends = _vgg16_features()
        for index, widths in enumerate(_SLICES):
            self.add_module(f"lin{index}", _Head(widths[-1]))
        for name, value in (("shift", _SHIFT), ("scale", _SCALE)):
            tensor = torch.tensor(value)[None, :, None, None]
            self.register_buffer(name, tensor, persistent=False)
        self.requires_grad_(False).eval()

    def forward(
        self, a: Float[Tensor, "image 3 h w"], b: Float[Tensor, "image 3 h w"]
    ) -> Float[Tensor, " image"]:
        """Distance of each pair of images with values in [-1, 1].

        Raises:
            DataError: shapes differ, or images below 16 pixels.
        """
        return self.per_layer(a, b).sum(0)

    def per_layer(
        self, a: Float[Tensor, "image 3 h w"], b: Float[Tensor, "image 3 h w"]
    ) -> Float[Tensor, "layer image"]:
        """The five terms of the distance."""
        _check(a, b)
        terms = []
        for index, (x, y) in enumerate(zip(self._layers(a), self._layers(b), strict=True)):
            head = self.get_submodule(f"lin{index}")
            difference = (_unit(x) - _unit(y)).square()
            terms.append(head(difference).mean((1, 2, 3)))
        return torch.stack(terms)

    def _layers(self, images: Tensor) -> list[Float[Tensor, "image c hs ws"]]:
        """What the ReLU at the end of each slice gives."""
        x, found = (images - self.shift) / self.scale, []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._ends:
                found.append(x)
        return found


class _Head(nn.Module):
    """A non-negative weight per channel; keys as the authors' (their dropout is index 0)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def load_lpips(trunk: StrPath, heads: StrPath) -> LPIPS:
    """LPIPS from torchvision's VGG16 file and the authors' file of heads; nothing is downloaded.

    Raises:
        CheckpointError: a file is missing, damaged or of another network; says where they are from.
    """
    wanted = LPIPS().state_dict()
    state = {
        **_chosen(trunk, {k: v for k, v in wanted.items() if k.startswith("features.")}),
        **_chosen(heads, {k: v for k, v in wanted.items() if k.startswith("lin")}),
    }
    return lpips_from_weights(state)


def lpips_from_weights(weights: Mapping[str, Tensor]) -> LPIPS:
    """LPIPS from tensors under our keys, or the keys of the authors' package (``net.sliceS.N.*``).

    Raises:
        CheckpointError: keys or shapes differ.
    """
    model = LPIPS()
    renamed = {_our_key(k): v for k, v in weights.items() if "scaling_layer" not in k}
    try:
        model.load_state_dict(renamed, strict=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"these are not the weights of LPIPS on VGG16: {str(error).splitlines()[-1].strip()}",
            field="weights",
            remedy=_SOURCE,
        ) from error
    return model


def _chosen(path: StrPath, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The wanted tensors of a file, which may hold more (VGG's classifier)."""
    try:
        content = read_foreign(path)
    except CheckpointError as error:
        raise CheckpointError(
            f"the weights of LPIPS: {error.problem}", file=path, remedy=_SOURCE
        ) from error
    for key, tensor in wanted.items():
        found = content.get(key) if isinstance(content, Mapping) else None
        if not isinstance(found, Tensor) or found.shape != tensor.shape:
            raise CheckpointError(
                "this file does not hold that part of LPIPS on VGG16",
                file=path,
                field=key,
                value=tuple(found.shape) if isinstance(found, Tensor) else None,
                remedy=_SOURCE,
            )
    return {key: content[key] for key in wanted}


def _our_key(key: str) -> str:
    """``net.slice2.5.weight`` -> ``features.5.weight``; our own keys stay."""
    if not key.startswith("net.slice"):
        return key
    _, _, index, leaf = key.split(".")
    return f"features.{index}.{leaf}"


def _vgg16_features() -> tuple[nn.Sequential, frozenset[int]]:
    """The convolutional part of VGG16 without its last pool, and where its slices end."""
    layers: list[nn.Module] = []
    ends: list[int] = []
    before = 3
    for index, widths in enumerate(_SLICES):
        layers += [nn.MaxPool2d(2)] if index else []
        for width in widths:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        ends.append(len(layers) - 1)
    return nn.Sequential(*layers), frozenset(ends)


def _unit(x: Float[Tensor, "image c h w"]) -> Float[Tensor, "image c h w"]:
    """Every pixel's features divided by their length, as the authors do (epsilon outside)."""
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _check(a: Tensor, b: Tensor) -> None:
    good = a.shape == b.shape and a.ndim == 4 and a.shape[1] == 3
    if not good or min(a.shape[-2:]) < _LEAST:
        raise DataError(
            f"LPIPS compares two batches [image, 3, height, width] of at least {_LEAST} pixels",
            field="a, b",
            value=(tuple(a.shape), tuple(b.shape)),
            remedy="give images of one size, channels first, with values in [-1, 1]",
        )

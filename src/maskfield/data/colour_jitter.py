"""Colour jitter: one set of factors for all views of an object (spec pixelnerf 4.3).

Colours are in [0, 1]. Order: saturation, hue, contrast, brightness.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_GREY = (0.2989, 0.587, 0.114)
_HUE, _OTHERS = 0.1, 0.1  # official ranges: +- 0.1, and 1 +- 0.1


@dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """What to do with the colours of one object; the default does nothing.

    Attributes:
        hue: turn of the colour circle, 1 = all the way round.
        saturation, brightness, contrast: factors.
    """

    hue: float = 0.0
    saturation: float = 1.0
    brightness: float = 1.0
    contrast: float = 1.0


def draw_jitter(generator: torch.Generator) -> ColourJitter:
    """Official ranges, drawn in the official order: hue, saturation, brightness, contrast."""
    hue, *others = (2 * torch.rand(4, generator=generator, dtype=torch.float64) - 1).tolist()
    saturation, brightness, contrast = (1 + _OTHERS * u for u in others)
    return ColourJitter(
        hue=_HUE * hue, saturation=saturation, brightness=brightness, contrast=contrast
    )


def jitter_images(
    images: Float[Tensor, "*n 3 h w"], jitter: ColourJitter
) -> Float[Tensor, "*n 3 h w"]:
    """Whole images with other colours, in [0, 1]."""
    tinted = _tinted(images, jitter, dim=-3)
    mean = _grey(tinted, dim=-3).mean(dim=(-3, -2, -1), keepdim=True)
    return _finished(tinted, mean, jitter)


def jitter_pixels(
    colours: Float[Tensor, "pixel 3"],
    mean_grey: Float[Tensor, " pixel"],
    jitter: ColourJitter,
) -> Float[Tensor, "pixel 3"]:
    """Single pixels, as :func:`jitter_images` would change them.

    Args:
        mean_grey: of the whole image a pixel is from, see :func:`tinted_grey`.
    """
    return _finished(_tinted(colours, jitter, dim=-1), mean_grey[:, None], jitter)


def tinted_grey(
    colours: Float[Tensor, "view pixel 3"], jitter: ColourJitter
) -> Float[Tensor, " view"]:
    """Mean grey, after saturation and hue, that contrast is measured against."""
    return _grey(_tinted(colours, jitter, dim=-1), dim=-1).mean(dim=(-2, -1))


def _tinted(colours: Tensor, jitter: ColourJitter, dim: int) -> Tensor:
    saturated = _blend(colours, _grey(colours, dim), jitter.saturation)
    return turn_hue(saturated, jitter.hue, dim)


def _finished(tinted: Tensor, mean_grey: Tensor, jitter: ColourJitter) -> Tensor:
    contrasted = _blend(tinted, mean_grey, jitter.contrast)
    return _blend(contrasted, torch.zeros_like(contrasted), jitter.brightness)


def turn_hue(colours: Tensor, turn: float, dim: int) -> Tensor:
    """Colours with their hue (of HSV) moved by ``turn``; channels along ``dim``."""
    red, green, blue = colours.unbind(dim)
    value, darkest = colours.amax(dim), colours.amin(dim)
    chroma = value - darkest
    safe = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    from_red = ((green - blue) / safe) % 6
    hue = torch.where(
        value == red,
        from_red,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = torch.where(chroma == 0, torch.zeros_like(hue), hue)
    return _from_hsv((hue / 6 + turn) % 1, value, chroma, dim)


def _from_hsv(hue: Tensor, value: Tensor, chroma: Tensor, dim: int) -> Tensor:
    """A channel is value - chroma * clamp(min(k, 4 - k), 0, 1), k = (offset + 6 hue) mod 6."""
    channels = []
    for offset in (5.0, 3.0, 1.0):  # red, green, blue
        k = (offset + 6 * hue) % 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, dim)


def _grey(colours: Tensor, dim: int) -> Tensor:
    red, green, blue = colours.unbind(dim)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue).unsqueeze(dim)


def _blend(colours: Tensor, reference: Tensor, factor: float) -> Tensor:
    return (factor * colours + (1 - factor) * reference).clamp(0, 1)

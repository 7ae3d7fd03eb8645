"""``maskfield data normalize-photo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro


def data_normalize_photo(
    photo: tyro.conf.Positional[Path],
    mask: Path | None = None,
    out: Path | None = None,
    size: int = 128,
    minor_scale: float = 4.37,
    major_scale: float = 0.8,
    border: Literal["replicate", "white"] = "replicate",
    label: str = "car",
    model: str = "facebook/mask2former-swin-tiny-coco-instance",
    figures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    compat: Literal["maskfield", "official"] = "maskfield",
) -> None:
    """One object of a photograph on white, centred and scaled as image-conditioned models want it.

    Args:
        photo: the photograph.
        mask: its object in white on black, same size; unless given, the photograph's own opacity,
            else what the model finds.
        out: the .png to write; NAME_normalize.png beside the photograph unless given.
        size: side of the result in pixels.
        minor_scale: side of the square that is cut out, in minor axes of the object's ellipse.
        major_scale: the same in major axes; the larger square is taken.
        border: what lies outside the photograph: its edge repeated, or white.
        label: what to look for, when the model finds the mask.
        model: a Mask2Former: name on the hub or folder (needs the extra `hf`).
        figures: also draw the photograph with its mask and square beside the result.
        compat: official: pixelNeRF's bilinear samples, which alias when large photographs shrink.
    """
    from maskfield import api

    report = api.data_normalize_photo(
        photo,
        mask=mask,
        out=out,
        size=size,
        minor_scale=minor_scale,
        major_scale=major_scale,
        border=border,
        label=label,
        model=model,
        figures=figures,
        compat=compat,
    )
    print(report.text())

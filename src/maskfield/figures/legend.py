"""A strip that says what the colours of a picture mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from maskfield.figures.pictures import Picture

_INK = (40, 44, 52)
_SWATCH, _ROW, _GAP = 12, 22, 14


def legend_strip(entries: Sequence[tuple[str, str]], width: int) -> Picture:
    """Names beside their colours (``#rrggbb``), in as many rows as ``width`` asks for."""
    font = ImageFont.load_default(size=13)
    lengths = [_SWATCH + 5 + font.getlength(name) + _GAP for name, _ in entries]
    places, x, row = [], 4.0, 0
    for length in lengths:
        if x > 4 and x + length > width:
            x, row = 4.0, row + 1
        places.append((x, row * _ROW))
        x += length
    strip = Image.new("RGB", (width, (row + 1) * _ROW), (255, 255, 255))
    draw = ImageDraw.Draw(strip)
    for (name, colour), (left, top) in zip(entries, places, strict=True):
        middle = top + _ROW / 2
        square = (left, middle - _SWATCH / 2, left + _SWATCH, middle + _SWATCH / 2)
        draw.rectangle(square, fill=colour, outline=_INK)
        draw.text((left + _SWATCH + 5, middle), name, _INK, font, anchor="lm")
    return np.asarray(strip).copy()

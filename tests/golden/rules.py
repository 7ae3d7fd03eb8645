"""Integer-hash rules that make tensors from their names, as the cases' meta.json describe them.

Legend: h start value from the name; i flat C-order index; x 32-bit mixed integer; u in [0, 1).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

Hash = Literal["crc32", "fnv1a"]

CRC_TEXT = (
    "for a tensor called NAME and flat (C order) index i: h=crc32(NAME utf-8); "
    "x=(i*2654435761+h) mod 2^32; x^=x>>16; x=x*2246822507 mod 2^32; x^=x>>13; "
    "x=x*3266489909 mod 2^32; x^=x>>16; u=x/2^32 (float64); s=2u-1"
)
GRID_TEXT = (
    "grid tensor NAME of shape [4,W,L,H]: channels 0-2 = u(NAME) with flat index over the whole "
    "[4,W,L,H] array; channel 3 = u(NAME) at its own flat index, multiplied by 1 where "
    'u(NAME+".occ") over [W,L,H] > 0.6 else 0; float32'
)
FNV_WORDS = "FNV-1a 32-bit of the ASCII key"
_U32 = np.uint64(0xFFFFFFFF)


def hash_of(config: Mapping[str, Any]) -> Hash:
    """Which hash the case prescribes.

    Raises:
        ValueError: the case prescribes none, or one with other words than those built here.
    """
    if "formula" in config:
        expect_text(config["formula"], "hash", CRC_TEXT)
        return "crc32"
    if FNV_WORDS in config.get("weights_rule", ""):
        return "fnv1a"
    raise ValueError(f"case {config['case']} prescribes no hash rule known here")


def expect_text(config: Mapping[str, Any], field: str, text: str) -> None:
    """Refuse a rule whose words differ from those implemented."""
    if config.get(field) != text:
        raise ValueError(f"{field} reads {config.get(field)!r}; implemented is {text!r}")


def unit(kind: Hash, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """u of every element, float64, in the shape given."""
    count = int(np.prod(shape, dtype=np.int64))
    if kind == "crc32":
        mixed = _murmur_mix(_indexed(count, zlib.crc32(name.encode())))
        return (mixed / 2.0**32).reshape(shape)
    mixed = _murmur_mix(_indexed(count, fnv1a(name)))
    return ((mixed >> np.uint64(8)) / 2.0**24).reshape(shape)


def fnv1a(text: str) -> int:
    """FNV-1a, 32 bits, of the ASCII text."""
    value = 2166136261
    for byte in text.encode("ascii"):
        value = ((value ^ byte) * 16777619) % 2**32
    return value


def lowbias32(key: str, seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """u in (0, 1) of the recipe "lowbias32", float64."""
    count = int(np.prod(shape, dtype=np.int64))
    x = _indexed(count, zlib.crc32(key.encode()) ^ seed, step=0x9E3779B1)
    x ^= x >> np.uint64(16)
    x = (x * np.uint64(0x7FEB352D)) & _U32
    x ^= x >> np.uint64(15)
    x = (x * np.uint64(0x846CA68B)) & _U32
    x ^= x >> np.uint64(16)
    return ((x + 0.5) / 2.0**32).reshape(shape)


def _indexed(count: int, start: int, step: int = 2654435761) -> np.ndarray:
    index = np.arange(count, dtype=np.uint64)
    return (index * np.uint64(step) + np.uint64(start)) & _U32


def _murmur_mix(x: np.ndarray) -> np.ndarray:
    x ^= x >> np.uint64(16)
    x = (x * np.uint64(2246822507)) & _U32
    x ^= x >> np.uint64(13)
    x = (x * np.uint64(3266489909)) & _U32
    x ^= x >> np.uint64(16)
    return x

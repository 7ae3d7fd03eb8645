"""L9: the verbs as functions. ``maskfield.fit(...)`` is ``maskfield fit ...`` on the command line.

Importing this package is cheap; each verb imports what it needs when it is called. All of them
raise subclasses of :class:`maskfield.core.errors.MaskfieldError` for bad input, before time is
spent.
"""

from __future__ import annotations

from maskfield.api.answers import detect, pose, segment, superres
from maskfield.api.data import (
    data_check,
    data_import,
    data_labels,
    data_normalize_photo,
    data_prepare,
    data_synth,
)
from maskfield.api.fields import demo, doctor, extract, fit, render
from maskfield.api.training import convert, evaluate, finetune, pretrain

__all__ = [
    "convert",
    "data_check",
    "data_import",
    "data_labels",
    "data_normalize_photo",
    "data_prepare",
    "data_synth",
    "demo",
    "detect",
    "doctor",
    "evaluate",
    "extract",
    "finetune",
    "fit",
    "pose",
    "pretrain",
    "render",
    "segment",
    "superres",
]

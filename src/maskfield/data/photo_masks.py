"""The mask of an object in a photograph: a file, the photograph's own opacity, or a 2-D model.

The model is Mask2Former through ``transformers`` (extra ``hf``), by a name on the hub, whose files
are then fetched by that library, or by a folder. Anything with the same call may stand in for it.
"""

from __future__ import annotations

import importlib.util
from typing import Protocol

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from maskfield.core.errors import CheckpointError, DataError, MissingPartError
from maskfield.core.files import StrPath

MODEL = "facebook/mask2former-swin-tiny-coco-instance"


class Segmenter(Protocol):
    """Finds one instance of a kind of object."""

    def __call__(self, photo: UInt8[np.ndarray, "h w 3"], label: str) -> UInt8[np.ndarray, "h w"]:
        """The mask, 255 on the object; DataError when there is none."""
        ...


class Mask2Former:
    """The most certain instance that a Mask2Former sees.

    Args:
        model: name on the hub, or a folder with the model and its image processor.
        threshold: least score of an instance.
        device: where the model runs.

    Raises:
        MissingPartError: transformers is not installed. CheckpointError: no such model.
    """

    def __init__(self, model: StrPath = MODEL, *, threshold: float = 0.5, device: str = "cpu"):
        if importlib.util.find_spec("transformers") is None:
            raise MissingPartError(
                "finding the object in a photograph needs transformers, which is not installed",
                field="mask",
                remedy="pip install 'maskfield[hf]', or give the object's mask (--mask)",
            )
        from transformers import (  # pyright: ignore[reportMissingImports]
            AutoImageProcessor,
            Mask2FormerForUniversalSegmentation,
        )

        self.threshold, self.device = threshold, device
        try:
            self.processor = AutoImageProcessor.from_pretrained(str(model))
            network = Mask2FormerForUniversalSegmentation.from_pretrained(str(model))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"cannot open the segmentation model: {str(error).splitlines()[0]}",
                field="model",
                value=str(model),
                remedy="give a Mask2Former by folder or by name on the hub (which needs the "
                "network once), or give the object's mask (--mask)",
            ) from error
        self.network = network.to(device).eval()

    @property
    def labels(self) -> tuple[str, ...]:
        """The kinds of object the model knows."""
        return tuple(self.network.config.id2label.values())

    def __call__(self, photo: UInt8[np.ndarray, "h w 3"], label: str) -> UInt8[np.ndarray, "h w"]:
        """Mask of the most certain instance of ``label``.

        Raises:
            DataError: the model does not know the label, or sees none.
        """
        if label not in self.labels:
            raise DataError(
                "the segmentation model does not know this kind of object",
                field="label",
                value=label,
                remedy=f"choose one of: {', '.join(sorted(self.labels))}",
            )
        segments, found = self._instances(photo)
        named = [one for one in found if self.network.config.id2label[one["label_id"]] == label]
        if not named:
            seen = sorted({self.network.config.id2label[one["label_id"]] for one in found})
            raise DataError(
                "the segmentation model sees no such object",
                field="label",
                value=label,
                remedy=f"it sees {', '.join(seen) or 'nothing'}; name one of these, or give the "
                "object's mask (--mask)",
            )
        best = max(named, key=lambda one: one["score"])
        return np.where(segments == best["id"], np.uint8(255), np.uint8(0))

    def _instances(self, photo: np.ndarray) -> tuple[np.ndarray, list[dict]]:
        """Instance id of every pixel (-1: none), and what the ids are."""
        given = self.processor(images=Image.fromarray(photo), return_tensors="pt").to(self.device)
        with torch.inference_mode():
            answer = self.network(**given)
        [one] = self.processor.post_process_instance_segmentation(
            answer, threshold=self.threshold, target_sizes=[photo.shape[:2]]
        )
        return one["segmentation"].cpu().numpy(), one["segments_info"]

"""inerf: interest regions."""

from __future__ import annotations

import torch
from torch import Tensor

from golden.case import Case
from golden.registry import golden
from maskfield.methods.inerf.keypoints import interest_regions


@golden("inerf/interest_regions")
def regions(case: Case) -> dict[str, Tensor]:
    height, width = case.inputs["image_rgb_uint8"].shape[:2]
    c = case.config["config"]
    points = case.inputs["points_xy"].numpy()
    mask = torch.from_numpy(interest_regions(points, (height, width), c["kernel"], c["iterations"]))
    return {"region_mask": mask.to(torch.uint8), "region_xy": mask.nonzero().flip(1)}

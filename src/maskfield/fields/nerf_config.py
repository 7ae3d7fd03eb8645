"""Options of a vanilla NeRF: two MLPs and how they are sampled. Torch-free."""

from __future__ import annotations

from typing import Literal

from maskfield.core.config import config
from maskfield.core.errors import ConfigError


def _require(name: str, value: object, good: bool, remedy: str) -> None:
    if not good:
        raise ConfigError(
            "an option of a NeRF is out of range", field=name, value=value, remedy=remedy
        )


@config
class NeRFNetworkConfig:
    """One MLP (arXiv 2003.08934, fig. 7, and what public code made of it).

    Attributes:
        depth, width: of the trunk.
        skips: trunk layers that are given the point's code again, counted from 0.
        point_octaves, view_octaves: of the sine-cosine codes; ``view_octaves`` None: colour does
            not depend on the viewing direction.
        include_input: codes begin with the coordinates themselves.
        view_width: of the layer behind the viewing direction.
        activate_first, activate_feature: a ReLU follows the first trunk layer, and the feature that
            meets the viewing direction (the original: yes, no; krrish94/nerf-pytorch: no, yes).
        outputs: of a network without viewing directions; those beyond four are not used.
    """

    depth: int = 8
    width: int = 256
    skips: tuple[int, ...] = (5,)
    point_octaves: int = 10
    view_octaves: int | None = 4
    include_input: bool = True
    view_width: int = 128
    activate_first: bool = True
    activate_feature: bool = False
    outputs: int = 4

    def __post_init__(self) -> None:
        for name in ("depth", "width", "view_width"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "give 1 or more")
        inside = all(0 < layer < self.depth for layer in self.skips)
        _require("skips", self.skips, inside, "name trunk layers from 1 on")
        octaves = self.point_octaves >= 0 and (self.view_octaves or 0) >= 0
        _require("octaves", (self.point_octaves, self.view_octaves), octaves, "give 0 or more")
        _require("outputs", self.outputs, self.outputs >= 4, "give 4 or more")

    def code_width(self, octaves: int) -> int:
        """Channels of a code of three coordinates."""
        return 3 * (2 * octaves + self.include_input)


@config
class NeRFViewing:
    """How a NeRF is sampled; checkpoints do not say it. Defaults: Blender scenes.

    Attributes:
        near, far: depths along camera z, scene units (0 and 1 in NDC).
        coarse_samples, fine_samples: per ray.
        spacing: of the coarse samples.
        background: colour behind everything; None adds nothing (black).
        ndc: (focal, width, height) in pixels of a forward-facing capture, whose field lives in
            normalised device coordinates with near plane 1; None: in the world.
    """

    near: float = 2.0
    far: float = 6.0
    coarse_samples: int = 64
    fine_samples: int = 64
    spacing: Literal["linear", "disparity"] = "linear"
    background: tuple[float, float, float] | None = (1.0, 1.0, 1.0)
    ndc: tuple[float, int, int] | None = None

    def __post_init__(self) -> None:
        ordered = 0 <= self.near < self.far < float("inf")
        _require("near, far", (self.near, self.far), ordered, "give 0 <= near < far, both finite")
        _require("coarse_samples", self.coarse_samples, self.coarse_samples >= 3, "give 3 or more")
        _require("fine_samples", self.fine_samples, self.fine_samples >= 0, "give 0 or more")


@config
class NeRFConfig:
    """A field of one or two networks.

    Attributes:
        coarse: weighs where the fine network looks; renders itself when there is none.
    """

    coarse: NeRFNetworkConfig = NeRFNetworkConfig()
    fine: NeRFNetworkConfig | None = NeRFNetworkConfig()
    viewing: NeRFViewing = NeRFViewing()


def forward_facing(focal: float, width: int, height: int) -> NeRFViewing:
    """The usual settings of LLFF captures: NDC, black background.

    Args:
        focal, width, height: of the images the field was trained with, pixels.
    """
    return NeRFViewing(near=0.0, far=1.0, background=None, ndc=(focal, width, height))

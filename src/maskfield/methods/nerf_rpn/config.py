"""Options of the NeRF-RPN detector (torch-free).

A detector is a backbone (Swin, VGG or ResNet, each with its feature pyramid) and a head (FCOS or
anchors). Every config class here describes one of these parts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from maskfield.core.config import config
from maskfield.core.errors import ConfigError

if TYPE_CHECKING:
    from maskfield.methods.nerf_rpn.model.detector import Detector

BoxLoss = Literal["smooth_l1", "iou", "linear_iou", "giou", "diou"]
STRIDES = (4, 8, 16, 32)


@config
class SwinConfig:
    """A 3-D Swin transformer.

    Attributes:
        embed_dim: channels of the first stage; stage i has embed_dim * 2**i.
        depths, heads: blocks and attention heads per stage.
        window: tokens per attention window along x, y, z.
        patch: voxels per token axis.
        stochastic_depth: drop rate of the last block (officially 0 for FCOS, 0.1 for anchors).
        table_resolution: cube side the positional table of a pre-trained encoder was made for;
            None has no table, as every detector trained from scratch.
        norm_outputs: normalise each map over its channels before the pyramid. Officially not; the
            maps of a pre-trained encoder differ in size by an order of magnitude, and without it
            the coarse ones drown the fine ones on their way down the pyramid.
    """

    kind: Literal["swin"] = "swin"
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: tuple[int, int, int] = (4, 4, 4)
    patch: int = 4
    stochastic_depth: float = 0.0
    table_resolution: int | None = None
    norm_outputs: bool = False

    def __post_init__(self) -> None:
        widths = [self.embed_dim * 2**i for i in range(len(self.depths))]
        if len(self.heads) != len(widths) or any(
            w % h for w, h in zip(widths, self.heads, strict=True)
        ):
            raise ConfigError(
                "every stage's width must be divisible by its heads",
                field="embed_dim, depths, heads",
                value=(self.embed_dim, self.depths, self.heads),
                remedy="use heads = width / 32, e.g. (4, 8, 16, 32) for embed_dim 128",
            )


@config
class VGGConfig:
    """A VGG network.

    Attributes:
        variant: "EF" is the paper's VGG19.
        width: channels of the stem (64 officially).
        input_size: longest side in voxels; below 160 the stem keeps the resolution and the
            strides become 1, 2, 4, 8.
        start_width: channels of two convolutions before the stem, 0 for none.
    """

    kind: Literal["vgg"] = "vgg"
    variant: Literal["AF", "DF", "EF"] = "EF"
    width: int = 64
    input_size: int = 160
    start_width: int = 0


@config
class ResNetConfig:
    """A bottleneck ResNet; the defaults are ResNet-50.

    Attributes:
        depths: bottlenecks per stage.
        width: planes of the first stage (64 officially).
        max_pool: a pool after the stem.
    """

    kind: Literal["resnet"] = "resnet"
    depths: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    max_pool: bool = True


def _check_box_loss(loss: BoxLoss, *, rotated: bool, oriented_only: tuple[str, ...]) -> None:
    if not rotated and loss in oriented_only:
        raise ConfigError(
            "this loss is defined for oriented boxes only",
            field="box_loss",
            value=loss,
            remedy="set rotated to true or choose another box_loss",
        )


@config
class FCOSConfig:
    """The anchor-free head (spec nerf_rpn 7).

    Attributes:
        rotated: oriented boxes (7 numbers) instead of axis-aligned ones (6).
        convs: convolutions per tower.
        norm_targets: regress distances in units of the stride (always, for oriented boxes).
        centerness_on_reg: centerness reads the box tower.
        radius: positive locations lie within radius * stride of a centre; 0: anywhere inside.
        box_loss: regression loss; "diou" is for oriented boxes.
        additional_l1: add smooth L1 on the two corner offsets.
        box_weight, projection_weight: weights of the regression and of its 2-D projection loss.
        pre_nms_score, pre_nms_count: candidates per level: class score above, at most this many.
        nms_threshold, post_nms_count, min_size: greedy NMS, boxes kept, shortest side kept.
    """

    kind: Literal["fcos"] = "fcos"
    rotated: bool = True
    convs: int = 4
    norm_targets: bool = True
    centerness_on_reg: bool = True
    radius: float = 1.5
    box_loss: BoxLoss = "iou"
    additional_l1: bool = False
    box_weight: float = 1.0
    projection_weight: float = 0.0
    pre_nms_score: float = 0.0
    pre_nms_count: int = 2500
    nms_threshold: float = 0.3
    post_nms_count: int = 2500
    min_size: float = 0.0

    def __post_init__(self) -> None:
        if self.rotated and not self.norm_targets:
            raise ConfigError(
                "oriented boxes need normalised targets: otherwise the exponential is taken of "
                "the corner offsets too and no box can be described",
                field="norm_targets",
                value=self.norm_targets,
                remedy="set norm_targets to true",
            )
        _check_box_loss(self.box_loss, rotated=self.rotated, oriented_only=("diou",))


@config
class AnchorConfig:
    """The anchor-based head (spec nerf_rpn 6).

    Attributes:
        rotated: oriented boxes by midpoint offsets (8 deltas) instead of axis-aligned ones (6).
        convs: convolutions before the two predictions.
        foreground_iou, background_iou: anchors at or above are positive, below are negative.
        samples, positive_fraction: anchors per scene in the loss; at most this share positive.
        box_loss: regression loss; the IoU losses are for oriented boxes.
        box_weight, projection_weight: weights of the regression and of its 2-D projection loss.
        score_threshold, pre_nms_count, nms_threshold, post_nms_count, min_size: post-processing.
        compat: "official" reproduces Q1 and Q14 (scores out of step with clipped boxes, padded
            anchors kept with score 0), which the published anchor numbers contain.
    """

    kind: Literal["anchor"] = "anchor"
    rotated: bool = True
    convs: int = 4
    foreground_iou: float = 0.35
    background_iou: float = 0.2
    samples: int = 256
    positive_fraction: float = 0.5
    box_loss: BoxLoss = "smooth_l1"
    box_weight: float = 5.0
    projection_weight: float = 0.0
    score_threshold: float = 0.0
    pre_nms_count: int = 2500
    nms_threshold: float = 0.3
    post_nms_count: int = 2500
    min_size: float = 1e-3
    compat: Literal["official", "maskfield"] = "maskfield"

    def __post_init__(self) -> None:
        overlap = ("iou", "linear_iou", "giou", "diou")
        _check_box_loss(self.box_loss, rotated=self.rotated, oriented_only=overlap)


@config
class ObjectnessConfig:
    """The second stage: classify and refine pooled regions (spec nerf_rpn 8).

    Attributes:
        rotated: oriented boxes.
        channels: channels of the feature maps.
        output_size: cells per axis a region is pooled to.
        extra_layers: two 3x3x3 convolutions on the pooled region.
        flatten: predict from all cells, else from their mean.
        classes: background included.
        enlarge: share by which regions are enlarged before pooling.
        foreground_iou, background_iou, samples, positive_fraction: RoI sampling per batch.
        box_weight: weight of the regression loss.
        nms_threshold: of the refined boxes.
        compat: "official" "enlarges" axis-aligned regions to (1 + enlarge) / 2 of their sides.
    """

    rotated: bool = True
    channels: int = 256
    output_size: tuple[int, int, int] = (3, 3, 3)
    extra_layers: bool = True
    flatten: bool = True
    classes: int = 2
    enlarge: float = 0.2
    foreground_iou: float = 0.35
    background_iou: float = 0.15
    samples: int = 512
    positive_fraction: float = 0.5
    box_weight: float = 5.0
    nms_threshold: float = 0.1
    compat: Literal["official", "maskfield"] = "maskfield"


@config
class NerfRPNConfig:
    """A complete detector. Defaults: Swin-S with the FCOS head on oriented boxes.

    Attributes:
        backbone, head: the two parts.
        channels: of every pyramid level.
        resolution: pad every grid to a cube of this side (the NeRF-MAE variant); None pads to
            the largest grid of the batch.
    """

    backbone: SwinConfig | VGGConfig | ResNetConfig = SwinConfig()
    head: FCOSConfig | AnchorConfig = FCOSConfig()
    channels: int = 256
    resolution: int | None = None

    def build(self) -> Detector:
        """The network, freshly initialised from torch's global generator."""
        from maskfield.methods.nerf_rpn.model.detector import Detector

        return Detector(self)


SWIN_S = SwinConfig()
BACKBONES: dict[str, SwinConfig | VGGConfig | ResNetConfig] = {
    "swin_t": replace(SWIN_S, depths=(2, 2, 6, 2)),
    "swin_s": SWIN_S,
    # officially 3 heads, which do not divide 128 channels: it cannot be built there
    "swin_b": replace(SWIN_S, embed_dim=128, heads=(4, 8, 16, 32)),
    "swin_l": replace(SWIN_S, embed_dim=192, heads=(6, 12, 24, 48)),
    "vgg_AF": VGGConfig(variant="AF"),
    "vgg_DF": VGGConfig(variant="DF"),
    "vgg_EF": VGGConfig(variant="EF"),
    "resnet": ResNetConfig(),
}

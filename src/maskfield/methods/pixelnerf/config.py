"""Options of pixelNeRF (torch-free). Defaults are the official ones of SRN, DTU and two chairs."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, ClassVar, Literal

from maskfield.core.config import config
from maskfield.core.errors import ConfigError

if TYPE_CHECKING:
    from maskfield.methods.pixelnerf.model.network import PixelNeRF

Interpolation = Literal["bilinear", "nearest", "bicubic"]
Padding = Literal["border", "zeros", "reflection"]
Backbone = Literal["resnet18", "resnet34"]


def _within(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigError(
            f"{field} is out of range",
            field=field,
            value=value,
            remedy=f"give a whole number from {least} to {most}",
        )


def _positive(field: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(
            f"{field} must be positive", field=field, value=value, remedy="give a number above 0"
        )


@config
class ResNetEncoderConfig:
    """Feature maps of a ResNet, resized to the first one's size and stacked (spec pixelnerf 5.1).

    Attributes:
        layers: how many of its five maps are kept (64, 128, 256, 512, 1024 channels in all).
        first_pool: the pool after the stem; off for 64-pixel images.
        feature_scale: images are resized by this factor first.
        upsample: how maps are resized. lookup, padding: how they are read between and beyond their
            pixels.
    """

    kind: Literal["resnet"] = "resnet"
    backbone: Backbone = "resnet34"
    layers: int = 4
    first_pool: bool = True
    feature_scale: float = 1.0
    upsample: Interpolation = "bilinear"
    lookup: Interpolation = "bilinear"
    padding: Padding = "border"

    def __post_init__(self) -> None:
        _within("layers", self.layers, 1, 5)
        _positive("feature_scale", self.feature_scale)


@config
class UNetEncoderConfig:
    """The official ``custom`` backbone, a small U-Net; images of 80 to 128 pixels only."""

    kind: Literal["custom"] = "custom"
    feature_scale: float = 1.0
    lookup: Interpolation = "bilinear"
    padding: Padding = "border"

    def __post_init__(self) -> None:
        _positive("feature_scale", self.feature_scale)


@config
class SmallEncoderConfig:
    """A few residual stages with group norms, for models of a few million weights (ours).

    Attributes:
        widths: channels per stage; stage i has stride 2**(i + 1). All are resized to the first
            one's size and stacked.
        blocks: residual blocks per stage.
    """

    kind: Literal["small"] = "small"
    widths: tuple[int, ...] = (32, 64, 128, 128)
    blocks: int = 1
    lookup: Interpolation = "bilinear"
    padding: Padding = "border"

    def __post_init__(self) -> None:
        _within("blocks", self.blocks, 0, 100)
        if not self.widths or any(w < 8 or w % 8 for w in self.widths):
            raise ConfigError(
                "stages need a multiple of 8 channels (group norms)",
                field="widths",
                value=self.widths,
                remedy="use e.g. [32, 64, 128, 128]",
            )


@config
class GlobalEncoderConfig:
    """One feature vector per source image (spec pixelnerf 5.2)."""

    kind: Literal["global"] = "global"
    backbone: Backbone = "resnet34"
    latent_size: int = 128


EncoderConfig = ResNetEncoderConfig | UNetEncoderConfig | SmallEncoderConfig | GlobalEncoderConfig


@config
class CodeConfig:
    """Positional code (spec pixelnerf 5.3).

    Attributes:
        frequencies: sines and cosines of factor * 2**k, k < frequencies.
        include_input: put the coordinates themselves in front.
        directions: encode viewing directions as well.
    """

    frequencies: int = 6
    factor: float = 1.5
    include_input: bool = True
    directions: bool = False


@config
class MLPConfig:
    """A residual MLP fed with image features at every block (spec pixelnerf 5.5).

    Attributes:
        blocks, hidden: residual blocks and their width.
        combine_layer: source views are merged before this block; at ``blocks`` or beyond, before
            the output layer.
        combine: how they are merged.
        beta: of a softplus instead of ReLUs; 0 for ReLUs.
        spade: features also scale what flows (they only add to it otherwise).
    """

    kind: Literal["resnet"] = "resnet"
    blocks: int = 5
    hidden: int = 512
    combine_layer: int = 3
    combine: Literal["average", "max"] = "average"
    beta: float = 0.0
    spade: bool = False

    def __post_init__(self) -> None:
        _within("blocks", self.blocks, 1, 1000)
        _within("hidden", self.hidden, 1, 1 << 20)
        _within("combine_layer", self.combine_layer, 0, 1 << 30)


@config
class ImplicitConfig:
    """A plain MLP (spec pixelnerf 5.6).

    Attributes:
        widths: of the layers between input and output.
        skip_in: layers that see the input again. widths_exclude_skip: its channels come on top of
            the widths.
        combine_layer: source views are merged before this layer; none if there is no such layer.
        combine: how they are merged.
        beta: of a softplus instead of ReLUs; 0 for ReLUs.
        radius: of the sphere that an untrained network describes.
    """

    widths: tuple[int, ...] = (512, 512, 512, 512)
    skip_in: tuple[int, ...] = ()
    widths_exclude_skip: bool = False
    combine_layer: int = 1000
    combine: Literal["average", "max"] = "average"
    beta: float = 0.0
    radius: float = 0.3


@config
class SamplingConfig:
    """Samples on a ray (spec pixelnerf 6).

    Attributes:
        coarse: of the first pass.
        fine: added in the second, of which ``fine_depth`` lie around the first pass's depth and
            the others where it met matter; 0 has no second pass.
        depth_std: spread of those around the depth, scene units.
        noise_std: of the noise on densities in training, 1 / scene unit.
        disparity: sample linearly in 1 / distance.
        detach_depth: no gradient through the first pass's depth (officially there is one, Q18).
        schedule: (objects seen, coarse, fine) from which on other counts hold.
    """

    coarse: int = 64
    fine: int = 32
    fine_depth: int = 16
    depth_std: float = 0.01
    noise_std: float = 0.0
    disparity: bool = False
    detach_depth: bool = False
    schedule: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        _within("coarse", self.coarse, 1, 1 << 20)
        _within("fine_depth", self.fine_depth, 0, max(self.fine, 0))
        starts = [row[0] for row in self.schedule]
        if starts != sorted(starts):
            raise ConfigError(
                "the rows of a sampling schedule must ascend",
                field="schedule",
                value=self.schedule,
                remedy="sort them by their first number, the objects seen",
            )


@config
class LossConfig:
    """Colour losses of both passes (spec pixelnerf 7).

    Attributes:
        coarse, fine: weights. Without a second pass the first one counts as it is.
        l1, fine_l1: absolute instead of squared errors.
        opacity: weight of the regulariser that pushes opacities to 0 or 1 (never used officially).
        opacity_clamp: it is not driven below minus this.
        opacity_start: epoch from which on it counts.
        opaque: push opacities to 1 only.
    """

    coarse: float = 1.0
    fine: float = 1.0
    l1: bool = False
    fine_l1: bool = False
    opacity: float = 0.0
    opacity_clamp: float = 100.0
    opacity_start: int = 5
    opaque: bool = False


LOSS_OPTIONS = tuple(f.name for f in fields(LossConfig))


@config
class RenderOptions:
    """How whole images are drawn faster; every switch works alone. Training knows none of them.

    Attributes:
        project: apply the layers that read image features to the feature maps once, not at every
            sample (exact).
        reuse: where one network serves both passes, keep the first one's answers for the second
            (exact).
        skip_empty: look at a coarse lattice first and leave out what is empty round about.
        stop_early: draw front to back and leave out what next to no light reaches.
        bf16: multiply matrices in bfloat16, but not those of a first pass, by which samples are
            placed; coordinates, sums and colours keep float32.
        empty_margin: what misses a positive density by less than this share of the usual one does
            not count as empty yet.
        least_light: share of light below which a ray stops.
    """

    project: bool = True
    reuse: bool = True
    skip_empty: bool = True
    stop_early: bool = True
    bf16: bool = True
    empty_margin: float = 0.25
    least_light: float = 1e-4

    @property
    def plain(self) -> bool:
        """Whether the renderer's own path does all that is asked for."""
        return not (self.reuse or self.skip_empty or self.stop_early or self.bf16)


PLAIN = RenderOptions(project=False, reuse=False, skip_empty=False, stop_early=False, bf16=False)
EXACT = RenderOptions(skip_empty=False, stop_early=False, bf16=False)
FAST = RenderOptions()


@config
class PixelNeRFConfig:
    """A complete network and how it is rendered and trained.

    Attributes:
        encoder: of the features at pixels (or of one vector per image); None for none.
        global_encoder: of one more vector per image; None for none.
        code: positional code of coordinates; None feeds them as they are.
        xyz: feed all coordinates, not only the distance from the camera plane.
        directions: feed viewing directions.
        normalize_z: coordinates are turned into the source camera's axes but keep the world's
            origin (Q2); off: the source camera's full frame.
        mlp: of the first pass. mlp_fine: of the second; None uses the first one twice.
        background: behind everything, None for black.
        freeze_encoder: train the MLPs only; batch norms of the encoder stand still.
        boxed_steps: training rays are drawn inside the objects' boxes up to this step, then
            anywhere.
    """

    encoder: EncoderConfig | None = ResNetEncoderConfig()
    global_encoder: GlobalEncoderConfig | None = None
    code: CodeConfig | None = CodeConfig()
    xyz: bool = True
    directions: bool = True
    normalize_z: bool = True
    mlp: MLPConfig = MLPConfig()
    mlp_fine: MLPConfig | None = MLPConfig()
    sampling: SamplingConfig = SamplingConfig()
    loss: LossConfig = LossConfig()
    background: tuple[float, float, float] | None = (1.0, 1.0, 1.0)
    freeze_encoder: bool = False
    boxed_steps: int = 100_000

    training_only: ClassVar[frozenset[str]] = frozenset(
        {"boxed_steps", "freeze_encoder", *(f"loss.{name}" for name in LOSS_OPTIONS)}
    )

    def build(self) -> PixelNeRF:
        """The network, freshly initialised from torch's global generator."""
        from maskfield.methods.pixelnerf.model.network import PixelNeRF

        return PixelNeRF(self)

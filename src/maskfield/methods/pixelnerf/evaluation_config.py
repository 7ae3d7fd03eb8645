"""Options of the evaluation protocol (spec pixelnerf 8.1). Torch-free."""

from __future__ import annotations

from maskfield.core.config import config
from maskfield.core.errors import ConfigError


@config
class ProtocolConfig:
    """What is rendered from what, and what is written.

    Attributes:
        sources: source views of every object (official ``-P``), in ascending order.
        source_list: file with the source views of each object (``-L``); overrides ``sources``.
        target_list: file whose first line names the views to render; None: all.
        include_sources: render source views as well.
        coarse_only: the first pass's network serves both passes, with 64 + 128 samples.
        scale: of the rendered images' height and width.
        categories: name an object CATEGORY_NAME in what is written (``--multicat``).
        compare: compute PSNR and SSIM.
        write_depth: ``VIEW_depth.npy`` (scene units, along the rays) and ``VIEW_depth_norm.png``.
        write_compare: ``VIEW_compare.png``, rendered and true view side by side.
        seed: of the jitter of samples; None: their middles, so that results repeat (Q11).
    """

    sources: tuple[int, ...] = (64,)
    source_list: str | None = None
    target_list: str | None = None
    include_sources: bool = False
    coarse_only: bool = False
    scale: float = 1.0
    categories: bool = False
    compare: bool = True
    write_depth: bool = False
    write_compare: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        ascending = tuple(sorted(set(self.sources)))
        if not self.sources or ascending != self.sources or ascending[0] < 0:
            raise ConfigError(
                "source views are different numbers from 0 on, in ascending order",
                field="sources",
                value=self.sources,
                remedy="write for example (64, 104)",
            )
        if not 0 < self.scale <= 16:
            raise ConfigError(
                "the scale of images is out of range",
                field="scale",
                value=self.scale,
                remedy="give a factor above 0 and up to 16",
            )

"""Anything that answers for samples on rays is a Field, and the one renderer draws it.

python examples/05_render_your_own_field.py [FOLDER]
"""

import sys
from pathlib import Path

import torch

from maskfield.figures.pictures import save_picture, to_picture
from maskfield.geometry.camera_paths import overview
from maskfield.rendering.field import FieldOutput, RaySamples
from maskfield.rendering.renderer import Compositing, render_image
from maskfield.rendering.samplers import StratifiedSampler


class Ball:
    """A soft ball of radius 1 whose colour is the direction from its centre."""

    def __call__(self, samples: RaySamples) -> FieldOutput:
        radius = samples.points.norm(dim=-1)
        colour = 0.5 + 0.5 * samples.points / radius[..., None].clamp_min(1e-6)
        return FieldOutput(colour=colour, density=40 * torch.sigmoid(40 * (1 - radius)))

    def prepare(self, views: object | None = None) -> "Ball":
        return self

    def fused(self, sampler: object, compositing: object) -> None:
        return None


def main(folder: Path) -> None:
    box = torch.tensor([[-1.2, -1.2, -1.2], [1.2, 1.2, 1.2]])
    camera = overview(box, 160, 120)
    white = Compositing(background=(1.0, 1.0, 1.0))
    image = render_image(Ball(), camera, 0, StratifiedSampler(count=96), white, box=box)
    print(f"mean opacity {float(image.opacity.mean()):.3f}")
    save_picture(to_picture(image.colour), folder / "ball.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "runs/example-05"))

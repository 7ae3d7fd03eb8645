"""Masked pre-training on procedural rooms: a recipe is a value; change what you want, run it.

python examples/03_pretrain_a_masked_autoencoder.py [FOLDER] [STEPS]
"""

import sys
from dataclasses import replace
from pathlib import Path

from maskfield.core.config import override
from maskfield.engine.loop import run
from maskfield.recipes.nerf_mae import tiny_cpu


def main(folder: Path, steps: int) -> None:
    recipe = tiny_cpu()
    small = replace(
        recipe,
        method=replace(recipe.method, resolution=32, block_size=2),
        data=replace(recipe.data, resolution=32, train_count=32, validation_count=4),
    )
    config = override(small, [f"engine.steps={steps}", "engine.validate_every=0"])
    metrics = run(config, folder / "pretrain").metrics
    print(f"colour of hidden voxels: {metrics['hidden_colour_psnr']:.2f} dB")
    print(f"  mean visible colour:   {metrics['hidden_colour_mean_baseline_psnr']:.2f} dB")
    print(f"  nearest visible:       {metrics['hidden_colour_nearest_baseline_psnr']:.2f} dB")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0] if words else "runs/example-03"), int(words[1]) if words[1:] else 200)

"""Sample a fitted field on voxels: the radiance + density grid that networks read.

python examples/02_extract_a_grid.py [RUN_FOLDER_OF_01] [LONGEST_SIDE]
"""

import sys
from pathlib import Path

from maskfield.data.radiance_grid import load_grid, save_grid
from maskfield.data.synthetic.photographs import room_scene
from maskfield.fields.extract import extract_grid
from maskfield.fields.fit import load_field
from maskfield.figures.grids import grid_picture
from maskfield.figures.pictures import save_picture


def main(folder: Path, longest: int) -> None:
    scene = room_scene(seed=2_000_000, views=40, width=96, height=72)
    field = load_field(folder / "fit")
    path = save_grid(extract_grid(field, scene, longest=longest), folder / "grid.safetensors")

    grid = load_grid(path)
    alpha = grid.to_alpha("nerf_mae")  # the network's fourth channel
    print(f"{grid.resolution} voxels, {float((alpha > 0.01).float().mean()):.1%} occupied")
    save_picture(grid_picture(grid), folder / "grid.png")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0] if words else "runs/example-01"), int(words[1]) if words[1:] else 96)

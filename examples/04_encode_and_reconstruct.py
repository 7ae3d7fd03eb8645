"""Use a masked autoencoder on one grid: features for your own head, and hidden parts brought back.

python examples/04_encode_and_reconstruct.py [RUN_FOLDER_OF_03]
"""

import sys
from pathlib import Path

import torch

from maskfield.core.config import load_config
from maskfield.data.synthetic.rasterise import rasterise_room
from maskfield.data.synthetic.rooms import make_room
from maskfield.engine.checkpoint import load_weights


def main(folder: Path) -> None:
    config = load_config(folder / "pretrain" / "config.yaml")
    model = config.method.build()
    model.load_state_dict(load_weights(folder / "pretrain")[0])
    model.eval()

    grid = rasterise_room(make_room(2_000_001), config.data.resolution).radiance.rgba()
    with torch.no_grad():
        features = model.encode(grid)  # any size; larger grids are not cropped
    for level, (cells, valid) in enumerate(zip(features.maps, features.valid, strict=True)):
        print(f"level {level}: {tuple(cells.shape)}, {int(valid.sum())} cells hold real voxels")

    again = model.reconstruct(grid, mask=0.75, generator=torch.Generator().manual_seed(0))
    print("brought back:", tuple(again.shape), f"alpha up to {float(again[3].max()):.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "runs/example-03"))

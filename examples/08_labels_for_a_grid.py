"""Classes of photographs, carried to the voxels of a grid: targets for semantic training.

python examples/08_labels_for_a_grid.py [FOLDER] [VIEWS]
"""

import sys
from pathlib import Path

import torch

import maskfield
from maskfield.data.label_grid import load_labels
from maskfield.data.radiance_grid import save_grid
from maskfield.data.scene import save_scene
from maskfield.data.synthetic.rooms import make_room, rasterise_room, room_scene
from maskfield.figures.labels import label_views
from maskfield.figures.pictures import save_picture


def main(folder: Path, views: int) -> None:
    seed = 2_000_000
    scene = save_scene(room_scene(seed, views=views, width=96, height=72), folder / "scene")
    truth = rasterise_room(make_room(seed), 48)
    grid = save_grid(truth.radiance, folder / "grids" / "room.safetensors")

    report = maskfield.data_labels(scene, grid=grid)  # writes grids/labels/room.safetensors
    print(report.text())

    labels = load_labels(report.files[0])
    true = torch.from_numpy(truth.labels)
    both = (labels.labels > 0) & (true > 0)
    right = (labels.labels == true)[both].float().mean()
    print(f"{float(right):.0%} of the labelled voxels have their true class")
    save_picture(label_views(labels), folder / "labels.png")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0] if words else "runs/example-08"), int(words[1]) if words[1:] else 40)

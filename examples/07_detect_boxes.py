"""Boxes in one grid: from a file to oriented boxes in the world, beside the true ones.

python examples/07_detect_boxes.py [FOLDER_OF_06] [THRESHOLD]
"""

import sys
from pathlib import Path

import torch

import maskfield
from maskfield.data.radiance_grid import save_grid
from maskfield.data.synthetic.classes import CLASS_ID, FURNITURE
from maskfield.data.synthetic.rooms import make_room, rasterise_room
from maskfield.figures.boxes import box_views
from maskfield.figures.pictures import save_picture
from maskfield.ops.box_iou import rotated_iou


def main(folder: Path, threshold: float) -> None:
    room = make_room(2_000_001)
    grid = rasterise_room(room, 32).radiance
    path = save_grid(grid, folder / "room.safetensors")

    trained = folder / "detect"
    model = trained if trained.is_dir() else "zoo:detector-tiny"
    found = maskfield.detect(path, model=model, out=folder / "boxes", threshold=threshold, top=20)
    print(found.text())

    wanted = torch.tensor([CLASS_ID[name] for name in FURNITURE])
    truth = room.boxes[torch.isin(room.boxes.label, wanted)]
    if len(found.boxes):
        overlap = rotated_iou(found.boxes.rows(), truth.rows()).max(dim=0).values
        print(f"{int((overlap > 0.25).sum())} of {len(truth)} pieces overlap a box by IoU > 0.25")
    save_picture(box_views(grid, found.boxes, truth), folder / "boxes.png")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0] if words else "runs/example-03"), float(words[1]) if words[1:] else 0.3)

"""Views of an object from one photograph of it, by the network that comes with the package.

python examples/09_views_from_one_photograph.py [FOLDER] [FRAMES]
"""

import sys
from pathlib import Path

import torch

from maskfield.data.synthetic.objects import object_scene
from maskfield.engine.restore import restore_model
from maskfield.figures.pictures import beside, resized, save_picture, to_picture
from maskfield.geometry.camera_paths import turn_table
from maskfield.methods.pixelnerf.config import FAST
from maskfield.methods.pixelnerf.evaluation_views import pixelnerf_views, source_views


def main(folder: Path, frames: int) -> None:
    scene = object_scene(2_000_003, views=2, size=64)
    network = restore_model("zoo:pixelnerf-tiny", "cpu").model
    look = pixelnerf_views(network, least_coarse=1, options=FAST)(source_views(scene, (0,)))

    around = turn_table(scene.cameras[0], frames, radius=1.3, elevation_degrees=20.0)
    shown = [to_picture(torch.from_numpy(scene.images[0].copy()) / 255)]
    for index in range(frames):
        shown.append(to_picture(look(around[index], scene.near, scene.far, None).colour))
    save_picture(beside([resized(p, height=128) for p in shown]), folder / "views.png")
    print(f"given one photograph, rendered {frames} views: {folder / 'views.png'}")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0] if words else "runs/example-09"), int(words[1]) if words[1:] else 5)

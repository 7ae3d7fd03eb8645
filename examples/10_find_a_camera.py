"""Where was this photograph taken? From a fitted field and a wrong guess to the camera's pose.

python examples/10_find_a_camera.py [FOLDER] [FIT_STEPS]
"""

import sys
from pathlib import Path

import torch
from PIL import Image

import maskfield
from maskfield.core.files import write_json
from maskfield.data.scene import save_scene, with_split
from maskfield.data.synthetic.objects import object_scene
from maskfield.methods.inerf.protocol import StartRange, draw_starts
from maskfield.metrics.pose import rotation_error, translation_error


def main(folder: Path, steps: int) -> None:
    scene = with_split(object_scene(2_000_000, views=40, size=64, path="random"), holdout=8)
    save_scene(scene, folder / "object")
    size = ["method.resolutions=[32,48,64]", f"engine.steps={steps}"]
    maskfield.fit(folder / "object", out=folder / "object-fit", overrides=size)

    photo, true = folder / "photo.png", scene.cameras.camera_to_world[0]  # held out of the fit
    Image.fromarray(scene.images[0]).save(photo)
    guess = draw_starts(true[None], 1, StartRange(degrees=30.0), torch.Generator().manual_seed(5))
    write_json(folder / "guess.json", guess.start[0].tolist())

    answer = maskfield.pose(
        folder / "object-fit", photo, init=folder / "guess.json", out=folder / "pose", film=False
    )
    found = answer.estimates[0]
    for name, pose in (("guess", guess.start[0]), (found.verdict, found.camera_to_world)):
        degrees, units = rotation_error(pose, true), translation_error(pose, true)
        print(f"{name}: {float(degrees):.2f} degrees and {float(units):.3f} units off")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0] if words else "runs/example-10"), int(words[1]) if words[1:] else 400)

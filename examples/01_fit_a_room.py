"""Photograph a procedural room, fit a radiance field, look at a held-out view.

python examples/01_fit_a_room.py [FOLDER] [STEPS]
"""

import sys
from dataclasses import replace
from pathlib import Path

from maskfield.data.synthetic.photographs import room_scene
from maskfield.fields.evaluate import field_image
from maskfield.fields.fit import fit_config, fit_scene, load_field
from maskfield.figures.pictures import beside, save_picture, to_picture


def main(folder: Path, steps: int) -> None:
    scene = room_scene(seed=2_000_000, views=40, width=96, height=72)
    config = fit_config("quick")
    config = replace(config, engine=replace(config.engine, steps=steps))
    result = fit_scene(scene, folder / "fit", config)
    print("held-out:", {k: round(v, 3) for k, v in result.metrics.items()})

    field = load_field(folder / "fit")
    view = scene.indices("test")[0]
    image = field_image(field, scene.cameras, view)
    photograph = to_picture(scene.images[view])
    save_picture(beside([photograph, to_picture(image.colour)]), folder / "held_out.png")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0] if words else "runs/example-01"), int(words[1]) if words[1:] else 1500)

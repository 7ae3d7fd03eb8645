"""Fine-tune a box detector on procedural rooms, from the network of example 03 where it is there.

python examples/06_finetune_a_detector.py [FOLDER] [STEPS]
"""

import sys
from dataclasses import replace
from pathlib import Path

from maskfield.core.config import override
from maskfield.engine.loop import run
from maskfield.recipes.finetune import detect_tiny_cpu, from_scratch, with_labels


def main(folder: Path, steps: int) -> None:
    recipe = detect_tiny_cpu()
    small = replace(
        recipe,
        method=replace(recipe.method, base=replace(recipe.method.base, resolution=32)),
        data=replace(recipe.data, resolution=32, train_count=32, validation_count=4),
    )
    pretrained = folder / "pretrain"
    init = pretrained if pretrained.is_dir() else None
    if init is None:
        small = from_scratch(small)  # no positional table, no stochastic depth
    config = override(with_labels(small, 0.5), [f"engine.steps={steps}", "engine.validate_every=0"])

    metrics = run(config, folder / "detect", init=init).metrics
    print("started from:", "pre-trained weights" if init else "nothing")
    for name in ("ap_25", "ap_50", "recall_50_top_300"):
        print(f"  {name}: {metrics[name]:.3f}")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0] if words else "runs/example-03"), int(words[1]) if words[1:] else 200)

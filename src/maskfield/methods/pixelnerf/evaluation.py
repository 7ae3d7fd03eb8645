"""The evaluation protocol: every view of every object from fixed source views (spec pixelnerf 8).

The official figures come from the written PNGs (``metric_files``); what is computed here, from
unrounded colours, is written to ``finish.txt`` object by object, from which a run goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.config import to_dict
from maskfield.core.errors import ConfigError, DataError
from maskfield.core.files import StrPath, atomic_path, read_json, write_json
from maskfield.core.log import Progress
from maskfield.data.object_batches import near_far
from maskfield.data.object_sets import ObjectSet
from maskfield.data.scene import Scene
from maskfield.data.view_lists import SourceList, read_source_list, read_view_list
from maskfield.engine.seeding import mixed_seed
from maskfield.figures.pictures import save_picture, to_picture
from maskfield.methods.pixelnerf.evaluation_config import ProtocolConfig
from maskfield.methods.pixelnerf.evaluation_views import (
    DrawView,
    Prepare,
    other_views,
    source_views,
    true_view,
    truncated,
)
from maskfield.methods.pixelnerf.scores import (
    Evaluation,
    ObjectScore,
    read_scores,
    score_line,
    view_scores,
)

FINISHED, OPTIONS = "finish.txt", "evaluation.json"


def evaluate_objects(
    prepare: Prepare,
    objects: ObjectSet,
    config: ProtocolConfig,
    out: StrPath,
    *,
    identity: str = "",
) -> Evaluation:
    """Render and compare all objects, in their order; those in ``finish.txt`` already are skipped.

    Writes ``OUT/OBJECT/VIEW.png`` (six digits; colours truncated to eight bits, as officially), and
    one line per object to ``OUT/finish.txt``: name, PSNR, SSIM, 1.

    Args:
        prepare: encodes source views and draws others, see ``evaluation_views``.
        identity: of the network (``weights_identity``), so that results are not mixed.

    Raises:
        DataError: views that an object does not have, an object missing in the list of sources.
        ConfigError: ``out`` holds the results of other options or of another network.
    """
    out = Path(out)
    plan = _plan(objects, config)
    _claim(out, {**to_dict(config), "network": identity})
    done = read_scores(out / FINISHED)
    scores: list[ObjectScore] = []
    with Progress(len(objects), "objects") as bar:
        for index, name in enumerate(plan.names):
            score = done.get(name)
            if score is None:
                score = _evaluate_object(prepare, objects[index], index, plan, config, out)
                with (out / FINISHED).open("a", encoding="utf-8") as stream:
                    stream.write(score_line(score))  # one short line: written whole
            scores.append(replace(score, category=objects.categories[index]))
            bar.update(index + 1)
    return Evaluation(tuple(scores))


def approximate(
    prepare: Prepare,
    objects: ObjectSet,
    sources: Sequence[int] | None = (64,),
    *,
    seed: int = 1234,
    most: int | None = None,
) -> Evaluation:
    """One random other view of each object (spec pixelnerf 8.3); writes nothing.

    Args:
        sources: source views in ascending order; None: one random view of each object.
        seed: of the choice of views. most: objects at most.

    Raises:
        DataError: source views that an object does not have, or that leave none to render.
    """
    draw = torch.Generator().manual_seed(seed)
    scores = []
    for index in range(len(objects) if most is None else min(most, len(objects))):
        scene, name = objects[index], objects.names[index]
        chosen = sources or (int(torch.randint(len(scene), (), generator=draw)),)
        targets = other_views(name, scene, chosen, None)
        target = targets[int(torch.randint(len(targets), (), generator=draw))]
        near, far = near_far(scene)
        image = prepare(source_views(scene, chosen))(scene.cameras[target], near, far, None)
        psnr, ssim = view_scores(image.colour.cpu(), true_view(scene, target))
        scores.append(
            ObjectScore(name=name, category=objects.categories[index], psnr=psnr, ssim=ssim)
        )
    return Evaluation(tuple(scores))


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Names in what is written; source views of each object; views to render, if listed."""

    names: tuple[str, ...]
    sources: tuple[tuple[int, ...], ...]
    targets: tuple[int, ...] | None


def _plan(objects: ObjectSet, config: ProtocolConfig) -> _Plan:
    pairs = list(zip(objects.categories, objects.names, strict=True))
    listed = None if config.source_list is None else read_source_list(config.source_list)
    names = tuple(f"{c}_{n}" if config.categories and c else n for c, n in pairs)
    twin = (
        next((n for n in names if names.count(n) > 1), None) if len({*names}) < len(names) else None
    )
    if twin is not None:
        raise ConfigError(
            "two objects have the same name",
            field="categories",
            value=twin,
            remedy="set categories, so that objects are called CATEGORY_NAME",
        )
    return _Plan(
        names=names,
        sources=tuple(_sources_of(pair, listed, config) for pair in pairs),
        targets=None if config.target_list is None else read_view_list(config.target_list),
    )


def _sources_of(
    pair: tuple[str, str], listed: SourceList | None, config: ProtocolConfig
) -> tuple[int, ...]:
    if listed is None:
        return config.sources
    if pair not in listed:
        raise DataError(
            "the list of source views lacks an object",
            file=config.source_list,
            field="category object",
            value=pair,
            remedy="use the list that belongs to this data set and split",
        )
    return listed[pair]


def _claim(out: Path, options: dict[str, Any]) -> None:
    """A folder holds the results of one set of options, and of one network."""
    file = out / OPTIONS
    if not file.is_file():
        write_json(file, options)
        return
    found = read_json(file)
    differing = [k for k in options if found.get(k) != options[k]]
    if differing:
        raise ConfigError(
            "the folder holds results of other options",
            field=", ".join(differing),
            value={k: (found.get(k), options[k]) for k in differing},
            remedy=f"choose another folder, or delete {out}",
        )


def _evaluate_object(
    prepare: Prepare, scene: Scene, index: int, plan: _Plan, config: ProtocolConfig, out: Path
) -> ObjectScore:
    name, sources = plan.names[index], plan.sources[index]
    targets = other_views(
        name, scene, sources, plan.targets, include_sources=config.include_sources
    )
    draw = prepare(source_views(scene, sources))
    found = list(_draw_views(draw, scene, index, targets, config, out / name))
    psnr, ssim = np.mean(found, axis=0).tolist()
    return ObjectScore(name=name, psnr=psnr, ssim=ssim)


def _draw_views(
    draw: DrawView,
    scene: Scene,
    index: int,
    targets: Sequence[int],
    config: ProtocolConfig,
    folder: Path,
) -> Iterator[tuple[float, float]]:
    """Write the views; yields their PSNR and SSIM, NaN where they are not asked for."""
    near, far = near_far(scene)
    cameras = scene.cameras
    size = (max(int(cameras.height * config.scale), 1), max(int(cameras.width * config.scale), 1))
    cameras = cameras.resized(size[1], size[0])
    for view in targets:
        seed = None if config.seed is None else mixed_seed(config.seed, index, view)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        image = draw(cameras[view], near, far, generator)
        colour, truth = image.colour.clamp(0, 1).cpu(), true_view(scene, view, size)
        _write_view(
            folder / f"{view:06d}", colour, image.distance.cpu(), truth, (near, far), config
        )
        yield view_scores(colour, truth) if config.compare else (float("nan"), float("nan"))


def _write_view(
    stem: Path,
    colour: Float[Tensor, "h w 3"],
    distance: Float[Tensor, "h w"],
    truth: Float[Tensor, "h w 3"],
    limits: tuple[float, float],
    config: ProtocolConfig,
) -> None:
    picture = truncated(colour)
    save_picture(picture, stem.with_name(f"{stem.name}.png"))
    if config.write_compare:
        both = np.concatenate([picture, to_picture(truth)], axis=1)
        save_picture(both, stem.with_name(f"{stem.name}_compare.png"))
    if config.write_depth:
        place = stem.with_name(f"{stem.name}_depth.npy")
        with atomic_path(place) as temporary, temporary.open("wb") as stream:
            np.save(stream, distance.numpy(), allow_pickle=False)
        share = ((distance - limits[0]) / (limits[1] - limits[0])).clamp(0, 1)
        grey = truncated(share[..., None].expand(-1, -1, 3))
        save_picture(grey, stem.with_name(f"{stem.name}_depth_norm.png"))

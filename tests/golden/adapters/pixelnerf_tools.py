"""pixelnerf: metrics and their files, photographs, meshes, the DTU film, small helpers."""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from golden import words
from golden.by_name import ByName
from golden.case import Case
from golden.registry import golden
from maskfield.data.normalise_photo import PhotoFraming, normalise_photo
from maskfield.fields.mesh import isosurface
from maskfield.figures.pictures import heat_picture, spread_bytes
from maskfield.geometry.camera_paths import dtu_film
from maskfield.geometry.cameras import opengl_from_opencv
from maskfield.geometry.grids import grid_nodes
from maskfield.methods.pixelnerf.config import MLPConfig
from maskfield.methods.pixelnerf.metric_config import MetricConfig
from maskfield.methods.pixelnerf.metric_files import ALL_FILE, measure_pictures
from maskfield.methods.pixelnerf.model.resnetfc import ResnetFC
from maskfield.metrics.image import decibels, mse, psnr, ssim
from maskfield.metrics.lpips import lpips_from_weights
from maskfield.nn.unet2d import same_cropped, same_padded


@golden("pixelnerf/metrics_psnr_ssim")
def metrics_psnr_ssim(case: Case) -> dict[str, Tensor]:
    prediction, truth = case.inputs["pred"], case.inputs["gt"]
    written = (prediction * 255).to(torch.uint8) / 255
    found = {}
    for suffix, images in (("", prediction), ("_after_uint8", written)):
        pairs = list(zip(images, truth, strict=True))
        found[f"psnr{suffix}"] = torch.stack([psnr(a, b) for a, b in pairs])
        found[f"ssim{suffix}"] = torch.stack([ssim(a, b, window="uniform") for a, b in pairs])
    return found


@golden("pixelnerf/lpips_vgg")
def lpips_vgg(case: Case) -> dict[str, Tensor]:
    model = lpips_from_weights(case.weights)
    a, b = case.inputs["a"], case.inputs["b"]
    return {
        "distance": model(a, b)[:, None, None, None],
        "per_layer": model.per_layer(a, b),
        "shift": model.shift,
        "scale": model.scale,
    }


@golden("pixelnerf/dtu_trajectory")
def dtu_trajectory(case: Case) -> dict[str, Tensor]:
    frames = 6 * (case.config["config"]["num_views"] // 5)  # spec 10, Q23
    poses = opengl_from_opencv(dtu_film(frames))
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(frames, 1, 4)
    return {"poses": torch.cat([poses, bottom], dim=1)}


@golden("pixelnerf/marching_cubes")
def marching_cubes(case: Case) -> dict[str, Tensor]:
    said = {**case.config, "what": case.config["config"]}
    nodes = words.find(said, "reso", r"reso=\((\d+), ?(\d+), ?(\d+)\)").groups()
    x, y, z = (int(n) for n in nodes)
    box = words.box(said["what"])
    values = ellipsoid(grid_nodes(box, (x, y, z)), said)
    level = words.number(said, "isosurface", "isosurface=N")
    mesh = isosurface(values, level, box, compat="official")
    return {"vertices": mesh.vertices, "triangles": mesh.triangles, "sigma_grid": values}


def ellipsoid(points: Tensor, said: dict[str, Any]) -> Tensor:
    """``sigma(x)=S*(L-(a x^2+b y^2+c z^2))`` at points [..., 3]."""
    pattern = r"sigma\(x\)=([\d.]+)\*\(([\d.]+)-\((.*?)\)\)"
    scale, level, terms = words.find(said, "sigma", pattern).groups()
    factors = [re.findall(rf"([\d.]*)\*?{axis}\^2", terms)[0] or 1 for axis in "xyz"]
    weights = points.new_tensor([float(f) for f in factors])
    return float(scale) * (float(level) - (points.square() * weights).sum(-1))


@golden("pixelnerf/preproc_normalize")
def preproc_normalize(case: Case) -> dict[str, Any]:
    config = case.config["config"]
    framing = PhotoFraming(
        size=config["size"],
        minor_scale=config["scale"],
        major_scale=config["major_scale"],
        border="white" if config["const_border"] else "replicate",
        compat="official",
    )
    # the channels are treated alike, so their order (BGR) does not matter
    photo, mask = case.inputs["image_bgr"].numpy(), case.inputs["mask"].numpy()
    found = normalise_photo(photo, mask, framing)
    left, top, side = found.square
    return {
        "ellipse_center": torch.tensor(found.ellipse.centre),
        "ellipse_axes": torch.tensor([found.ellipse.minor, found.ellipse.major]),
        "rect_xywh": torch.tensor([left, top, side, side]),
        "normalized_bgr": found.image,
        "mask_resized": found.mask,
    }


@golden("pixelnerf/calc_metrics_multicat")
def calc_metrics_multicat(case: Case) -> dict[str, Any]:
    """The figures of data/eval_out against the data set beside it; LPIPS is a zero there."""
    data = case.folder / "data"
    root = next(p.parent for p in data.rglob("metadata.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(shutil.copytree(data / "eval_out", f"{folder}/out"))
        config = metric_config(case.config["config"], data, root)
        measure_pictures(out, root, config, perceptual=lambda a, _: a.new_zeros(len(a)))
        written = {p.relative_to(out).as_posix(): p.read_text() for p in out.rglob("*.txt")}
    return {
        "n": torch.tensor(sum(name.endswith(ALL_FILE) for name in written)),
        **{f"expected/{name.replace('/', '.')}": text for name, text in written.items()},
    }


def metric_config(flags: str, data: Path, root: Path) -> MetricConfig:
    """The flags of the official tool."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-F", default="dvr")
    parser.add_argument("--list_name", default="softras_test")
    parser.add_argument("--multicat", action="store_true")
    parser.add_argument("-L")
    parser.add_argument("--eval_view_list")
    parser.add_argument("-P", default="")
    parser.add_argument("--exclude_dtu_bad", action="store_true")
    parser.add_argument("--dtu_sort", action="store_true")
    given = parser.parse_args(flags.split())
    return MetricConfig(
        layout=given.F,
        list_name=given.list_name,
        categories=given.multicat,
        metadata=str(root / "metadata.yaml"),
        source_list=given.L and str(data / given.L),
        target_list=given.eval_view_list and str(data / given.eval_view_list),
        exclude=tuple(int(v) for v in given.P.split()),
        exclude_dtu_bad=given.exclude_dtu_bad,
        dtu_sort=given.dtu_sort,
    )


@golden("pixelnerf/tensor_utils")
def tensor_utils(case: Case) -> Mapping[str, Any]:
    """Sizes that the case does not state are in the outputs' names, or those of its only form."""
    given, config = case.inputs, case.config
    views, points = config.get("combine_inner_dims", (3, 5))
    rows = given["t"].reshape(-1, views, points, given["t"].shape[-1])
    image, values = given["img"], given["depth_map"].numpy()
    return ByName(
        {
            "combine_mean": merger("average").combined(rows),
            "combine_max": merger("max").combined(rows),
            "batched_index_select": torch.stack(
                [rows[i] for rows, i in zip(given["a"], given["inds"], strict=True)]
            ),
            "gen_grid_xy": nodes(((-1.0, 1.0, 4), (0.0, 1.0, 3))).flip(-1),
            "gen_grid_ij": nodes(((0.0, 1.0, 3), (-1.0, 1.0, 4), (2.0, 3.0, 2))),
            "homogeneous": torch.nn.functional.pad(given["a"], (0, 1), value=1.0),
            "psnr": decibels(mse(image, 0.9 * image + 0.02)),
            "cmap_hot_bgr": heat_picture(values)[..., ::-1].copy(),
            "float_to_uint8": spread_bytes(values),
        },
        {
            r"repeat_interleave_(\d+)": lambda n: given["a"].repeat_interleave(int(n), dim=0),
            r"same_pad_k(\d+)_s(\d+)_(reflect|replicate)": lambda k, s, mode: same_padded(
                image, int(k), int(s), mode
            ),
            r"same_unpad_k(\d+)_s(\d+)": lambda k, s: same_cropped(image, int(k), int(s)),
        },
    )


def merger(how: Literal["average", "max"]) -> ResnetFC:
    """The network's merging of views, without the network."""
    return ResnetFC(0, 0, MLPConfig(blocks=1, hidden=1, combine=how))


def nodes(axes: tuple[tuple[float, float, int], ...]) -> Tensor:
    """Rows of a lattice given by (first, last, count) of its axes."""
    box = torch.tensor([[low for low, _, _ in axes], [high for _, high, _ in axes]])
    return grid_nodes(box, tuple(count for _, _, count in axes)).reshape(-1, len(axes))

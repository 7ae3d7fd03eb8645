"""pixelnerf: image encoders, positional code, MLPs, the whole network."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from golden.case import Case
from golden.registry import golden
from golden.words import NUMBER
from maskfield.engine.strict import load_strictly
from maskfield.methods.pixelnerf.config import (
    GlobalEncoderConfig,
    ImplicitConfig,
    MLPConfig,
    PixelNeRFConfig,
    ResNetEncoderConfig,
)
from maskfield.methods.pixelnerf.convert import load_official_weights
from maskfield.methods.pixelnerf.model.implicit import ImplicitNet
from maskfield.methods.pixelnerf.model.network import PixelNeRF, build_encoder
from maskfield.methods.pixelnerf.model.query import ObjectViews
from maskfield.methods.pixelnerf.model.resnetfc import ResnetFC
from maskfield.methods.pixelnerf.model.views import EncodedViews
from maskfield.methods.pixelnerf.official_conf import encoder_config, model_config
from maskfield.methods.pixelnerf.official_rays import HALF_PIXEL, official_cameras
from maskfield.nn.positional import PositionalCode
from maskfield.nn.spatial_encoder import GlobalEncoder


def sliced(case: Case, tensor: Tensor) -> Tensor:
    """The part of ``latent`` that is stored, as ``slice`` says: latent[:1, ::2]."""
    text = re.search(r"\[(.*)\]", case.config.get("slice") or "")
    if text is None:
        return tensor
    parts = [
        [int(n) if n.strip() else None for n in p.split(":")] for p in text.group(1).split(",")
    ]
    return tensor[tuple(slice(*[*p, None][:3]) for p in parts)]


def object_views(features: Tensor, size: tuple[int, int], config: PixelNeRFConfig) -> ObjectViews:
    """Look-up in one map; where its camera stands does not matter."""
    encoded = EncodedViews(
        features=features[None],
        vectors=None,
        poses=torch.eye(3, 4).expand(1, len(features), 3, 4),
        intrinsics=torch.ones(1, len(features), 4),
        size=size,
    )
    return ObjectViews(config, None, encoded, 0)


@golden("pixelnerf/encoder_custom_conv")
@golden("pixelnerf/encoder_resnet")
@torch.no_grad()
def encoder(case: Case) -> dict[str, Tensor]:
    config = case.config["config"]
    network = build_encoder(encoder_config({k: v for k, v in config.items() if k != "mode"}))
    load_strictly(network, case.state_dict(network.state_dict()), part="encoder")
    network.train(config.get("mode") == "train")
    image = case.inputs["image"]
    latent = network(image)
    views = object_views(latent[:1], (image.shape[-1], image.shape[-2]), PixelNeRFConfig())
    after = {f"post.{k}": v for k, v in network.state_dict().items()}
    return {"latent": sliced(case, latent), "latent_scaling": views.map_scale(), **after}


@golden("pixelnerf/encoder_index")
def encoder_index(case: Case) -> dict[str, Tensor]:
    latent, uv = case.inputs["latent"], case.inputs["uv"]
    width, height = (int(n) for n in case.inputs["image_size_wh"])
    answer = {}
    for mode, padding in case.config["config"]:
        look_up = ResNetEncoderConfig(lookup=mode, padding=padding)
        config = PixelNeRFConfig(encoder=look_up)

        def found(points: Tensor, config: PixelNeRFConfig = config) -> Tensor:
            views = object_views(latent, (width, height), config)
            points = points.expand(len(latent), -1, -1) + HALF_PIXEL
            return views.latents(points).transpose(1, 2)

        answer[f"{mode}_{padding}"] = found(uv)
        answer[f"{mode}_{padding}_shared_uv"] = found(uv[:1])
    return answer


@golden("pixelnerf/global_encoder")
@torch.no_grad()
def global_encoder(case: Case) -> dict[str, Tensor]:
    config = GlobalEncoderConfig(**case.config["config"])
    network = GlobalEncoder(config.backbone, config.latent_size)
    load_strictly(network, case.state_dict(network.state_dict()), part="global encoder")
    vectors = network.eval()(case.inputs["image"])
    points = case.config["tensors"]["outputs"]["indexed"][2]
    return {"latent": vectors, "indexed": vectors[..., None].expand(-1, -1, points)}


@golden("pixelnerf/posenc")
def posenc(case: Case) -> dict[str, Tensor]:
    c = case.config["config"]
    code = PositionalCode(c["num_freqs"], c["freq_factor"], include_input=c["include_input"])
    return {"code": code(case.inputs["x"]), **code.state_dict()}


@golden("pixelnerf/resnetfc")
def resnetfc(case: Case) -> dict[str, Tensor]:
    c = case.config["config"]
    config = MLPConfig(
        blocks=c["n_blocks"],
        hidden=c["d_hidden"],
        combine_layer=c.get("combine_layer", 1000),
        combine=c.get("combine_type", "average"),
        beta=c.get("beta", 0.0),
        spade=c.get("use_spade", False),
    )
    network = ResnetFC(c["d_in"], c["d_latent"], config, c["d_out"])
    load_strictly(network, case.state_dict(network.state_dict()), part="MLP")
    rows = case.inputs["zx"].clone().requires_grad_()
    inner = c.get("combine_inner_dims", [1])
    merged = len(inner) == 2 and config.combine_layer < config.blocks
    # rows that are never merged are so many points of one view each
    given = rows.unflatten(0, (-1, *inner)) if merged else rows[None]
    z, x = given.split([c["d_latent"], c["d_in"]], dim=-1)
    out = network(x, network.condition(z))
    out.square().sum().backward()
    assert rows.grad is not None
    return {"out": out, "grad_zx_of_sum_sq": rows.grad}


@golden("pixelnerf/implicit_net_mlp")
def implicit_net_mlp(case: Case) -> dict[str, Tensor]:
    """``b`` repeats what ``a`` says and it does not; layers come from the weights."""
    answer, said = {}, ""
    for name, words in case.config["config"].items():
        said = f"{words}; {said}"
        weights = case.under(name)
        answer[f"{name}_out"] = implicit_output(case.inputs["x"], words, said, weights)
    return answer


def implicit_output(x: Tensor, own: str, said: str, weights: dict[str, Tensor]) -> Tensor:
    """One network by its words: 'd_in 9, dims [32,32,32], skip_in (1,), combine_layer 2 ...'."""

    def numbers(pattern: str, text: str) -> tuple[int, ...]:
        found = re.search(pattern, text)
        return () if found is None else tuple(int(n) for n in re.findall(r"\d+", found.group(1)))

    combines = "combine_layer" in own
    beta = re.search(rf"softplus beta {NUMBER}", own)
    config = ImplicitConfig(
        widths=numbers(r"dims \[([^\]]*)\]", said),
        skip_in=numbers(r"skip_in \(([^)]*)\)", own),
        widths_exclude_skip="dim_excludes_skip=True" in own,
        combine_layer=numbers(r"combine_layer (\d+)", own)[0] if combines else 1000,
        combine="max" if re.search(r"combine_layer \d+ max", own) else "average",
        beta=float(beta.group(1)) if beta else 0.0,
    )
    network = ImplicitNet(x.shape[-1], config, numbers(r"d_out (\d+)", said)[0])
    load_strictly(network, weights, part="plain MLP")
    inner = numbers(r"inner dims \(([^)]*)\)", own)
    return network(x.unflatten(0, (-1, *inner)) if combines else x)


def official_network(case: Case, **changes: Any) -> PixelNeRF:
    """The network of a case with its official weights, in eval mode."""
    c = case.config["config"]
    network = model_config(c["model"], renderer=c.get("renderer", {})).build()
    own = network.state_dict()
    implied = {k: v for k, v in own.items() if k.endswith(("_freqs", "_phases"))}
    load_official_weights(network, {**implied, **case.state_dict(own)})
    return network.eval()


def official_lenses(case: Case, size: tuple[int, int], objects: int) -> Tensor:
    """[object, 4] fx, fy, cx, cy of the house, whatever form focal and c come in."""
    focal, centre = case.inputs["focal"], case.inputs.get("c")
    rows = []
    for i in range(objects):
        f = focal if focal.ndim == 0 else focal[min(i, len(focal) - 1)]
        c = centre
        if centre is not None and centre.ndim > 0:
            c = centre[min(i, len(centre) - 1)]
        camera = official_cameras(torch.eye(4)[None], *size, focal=f, centre=c)
        rows.append(camera.intrinsics[0])
    return torch.stack(rows)


def encoded_views(case: Case, network: PixelNeRF, images: Tensor, poses: Tensor) -> EncodedViews:
    """Source views of a case [object, view, ...], encoded."""
    objects, views = images.shape[:2]
    lenses = official_lenses(case, (images.shape[-1], images.shape[-2]), objects)
    cameras = official_cameras(poses.flatten(0, 1), images.shape[-1], images.shape[-2], 1.0)
    return network.encode(
        images,
        cameras.camera_to_world.unflatten(0, (objects, views)),
        lenses[:, None].expand(-1, views, -1),
    )


@golden("pixelnerf/net")
@torch.no_grad()
def net(case: Case) -> dict[str, Tensor]:
    given, network = case.inputs, official_network(case)
    encoded = encoded_views(case, network, given["images"], given["poses_c2w"])
    rows: dict[str, list[Tensor]] = {}
    for i, points in enumerate(given["xyz"]):
        directions = given["viewdirs"][i] if "viewdirs" in given else points
        views = network.field(encoded, i).views
        for name, value in object_answers(network, views, points, directions).items():
            rows.setdefault(name, []).append(value)
    answer = {k: torch.cat(v) for k, v in rows.items()}
    lenses, outputs = encoded.intrinsics[:, 0], case.config["tensors"]["outputs"]
    signed = lenses[:, :2] * lenses.new_tensor([1.0, -1.0])
    answer["focal_signed"] = signed[: outputs["focal_signed"][0]]
    answer["c_used"] = (lenses[:, 2:] - HALF_PIXEL)[: outputs["c_used"][0]]
    answer["poses_w2c"] = encoded.poses.flatten(0, 1)
    return answer


def object_answers(
    network: PixelNeRF, views: ObjectViews, points: Tensor, directions: Tensor
) -> dict[str, Tensor]:
    """Of one object; a first axis is added where results of objects are stacked."""
    s, local = views.coordinates(points)
    pixels = views.image_points(local)
    answer = {
        "uv": pixels - HALF_PIXEL,
        "mlp_in_tail": views.inputs(s, directions).flatten(0, 1),
    }
    if network.encoder is not None:
        answer["mlp_in_latent_first8"] = views.latents(pixels)[..., :8].flatten(0, 1)
    for name, mlp in (("coarse", network.mlp_coarse), ("fine", network.mlp_fine)):
        colour, density = views.query(mlp or network.mlp_coarse, points, directions)
        answer[f"{name}_rgb_sigma"] = torch.cat([colour, density[:, None]], dim=-1)[None]
    return answer

"""pixelnerf: object data sets, colour jitter, pixel sampling, rays and poses."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from golden.case import Case
from golden.registry import golden
from maskfield.data.colour_jitter import ColourJitter, jitter_images
from maskfield.data.pixel_sampling import pixels_by_mask, pixels_in_boxes
from maskfield.data.readers import dvr, dvr_dtu, multi_obj, srn
from maskfield.data.readers.object_views import ObjectPlace, ObjectViews
from maskfield.geometry.camera_paths import turn_table
from maskfield.geometry.cameras import opengl_from_opencv
from maskfield.geometry.se3 import quaternion_from_rotation, rotation_from_quaternion
from maskfield.methods.pixelnerf.official_rays import (
    from_blender,
    homogeneous,
    official_cameras,
    pose_look_at,
    pose_spherical,
    ray_rows,
    to_blender,
)


def size_of(config: dict[str, Any], default: Sequence[int] | None = None) -> tuple[int, int] | None:
    size = config.get("image_size", default)
    return None if size is None else (size[0], size[1])


def official(views: ObjectViews) -> dict[str, Tensor]:
    """What every official loader returns of an object."""
    answer = {
        "images": views.encoder_images,
        "poses": homogeneous(opengl_from_opencv(views.poses)),
    }
    if views.masks is not None:
        answer["masks"] = views.masks[:, None]
    if views.boxes is not None:
        answer["bbox"] = views.boxes
    return answer


def answers(
    places: Sequence[ObjectPlace], read: Callable[[ObjectPlace], dict[str, Tensor]]
) -> dict[str, Tensor]:
    return {f"{i}.{k}": v for i, place in enumerate(places) for k, v in read(place).items()}


@golden("pixelnerf/data_srn")
def data_srn(case: Case) -> dict[str, Tensor]:
    config = case.config["config"]

    def read(place: ObjectPlace) -> dict[str, Tensor]:
        views = srn.read_object(place, config.get("world_scale", 1.0))
        views = views.resized(size_of(config, (128, 128)))
        focal, _, cx, cy = views.intrinsics
        return {**official(views), "focal": torch.tensor(focal), "c": torch.tensor([cx, cy])}

    return answers(srn.list_objects(case.folder / config["datadir"], config["stage"]), read)


@golden("pixelnerf/data_dvr")
def data_dvr(case: Case) -> dict[str, Tensor]:
    config = case.config["config"]

    def read(place: ObjectPlace) -> dict[str, Tensor]:
        views = dvr.read_object(place).resized(size_of(config))
        return {**official(views), "focal": torch.tensor(views.intrinsics[0])}

    prefix = dvr.LISTS[config["format"]]
    root = case.folder / config["datadir"]
    return answers(dvr.list_objects(root, config["stage"], prefix), read)


@golden("pixelnerf/data_dtu")
def data_dtu(case: Case) -> dict[str, Tensor]:
    config = case.config["config"]

    def read(place: ObjectPlace) -> dict[str, Tensor]:
        views = dvr_dtu.read_object(place).resized(size_of(config))
        fx, fy, cx, cy = views.intrinsics
        return {
            **official(views),
            "focal": torch.tensor([fx, fy]),
            "c": torch.tensor([cx, cy]),
        }

    return answers(dvr_dtu.list_objects(case.folder / config["datadir"], config["stage"]), read)


@golden("pixelnerf/data_multi_obj")
def data_multi_obj(case: Case) -> dict[str, Tensor]:
    config = case.config["config"]

    def read(place: ObjectPlace) -> dict[str, Tensor]:
        views = multi_obj.read_object(place).resized(size_of(config))
        return {**official(views), "focal": torch.tensor(views.intrinsics[0])}

    return answers(multi_obj.list_objects(case.folder / config["datadir"], config["stage"]), read)


@golden("pixelnerf/color_jitter")
def color_jitter(case: Case) -> dict[str, Tensor]:
    hue, saturation, brightness, contrast = case.inputs["hue_sat_bright_contrast_f64"].tolist()
    jitter = ColourJitter(hue=hue, saturation=saturation, brightness=brightness, contrast=contrast)
    unit = case.inputs["images"] * 0.5 + 0.5  # inputs and outputs are in [-1, 1]
    return {"images": jitter_images(unit, jitter) * 2 - 1}


@golden("pixelnerf/pixel_sampling")
def pixel_sampling(case: Case) -> dict[str, Tensor]:
    given = case.inputs
    masks = given["masks"]
    boxed = pixels_in_boxes(
        given["bboxes_cmin_rmin_cmax_rmax"],
        given["image_ids"],
        torch.stack([given["u_x"], given["u_y"]], dim=1),
        masks.shape[1],
        masks.shape[2],
    )
    masked = pixels_by_mask(masks, given["inside_choice"], given["outside_choice"])
    return {"bbox_pix_img_y_x": boxed, "masked_pix_img_y_x": masked}


@golden("pixelnerf/gen_rays")
def gen_rays(case: Case) -> dict[str, Tensor]:
    """Lenses come as words: W=12,H=9; NAME: f=(13.5,11.0), c=..., near 1.2 far 4; NAME*: same."""
    head, *parts = case.config["config"].split(";")
    width, height = (int(n) for n in re.findall(r"\d+", head))
    answer, lens = {}, {}
    for part in parts:
        pattern, words = part.strip().split(":")
        leading = 1 if pattern.startswith("batch1") else 0  # the same numbers as (2,) or (1, 2)
        if "same f,c" not in words:
            lens = {"focal": numbers_after("f=", words), "centre": numbers_after("c=", words)}
        near, far = (float(n) for n in re.findall(r"near ([\d.]+) far ([\d.]+)", words)[0])
        shaped = {k: v if v is None or not leading else v[None] for k, v in lens.items()}
        cameras = official_cameras(case.inputs["poses"], width, height, **shaped)
        for name in fnmatch.filter(case.config["tensors"]["outputs"], pattern):
            answer[name] = ray_rows(cameras, near, far)
    return answer


def numbers_after(mark: str, words: str) -> Tensor | None:
    """The number, or the numbers in brackets, behind a mark."""
    found = re.search(rf"{mark}(?:\(([^)]*)\)|([\d.]+))", words)
    if found is None:
        return None
    return torch.tensor([float(n) for n in (found[1] or found[2]).split(",")])


@golden("pixelnerf/pose_utils")
def pose_utils(case: Case) -> dict[str, Tensor]:
    given = case.inputs
    rotations = rotation_from_quaternion(given["quat_wxyz"])
    answer = {
        "pose_spherical": pose_spherical(*given["spherical_theta_phi_radius"].unbind(1)),
        "quat_to_rot": rotations,
        "rot_to_quat_of_that": quaternion_from_rotation(rotations),
        "look_at": pose_look_at(given["lookat_origin"], given["lookat_target"]),
        "coord_from_blender": from_blender(),
        "coord_to_blender": to_blender(),
    }
    lens = official_cameras(torch.eye(4)[None], 8, 8, 8.0)
    for name in case.config["tensors"]["outputs"]:
        found = re.fullmatch(r"loop360_(\d+)views_elev(-?[\d.]+)_r([\d.]+)", name)
        if found:
            views, elevation, radius = int(found[1]), float(found[2]), float(found[3])
            film = turn_table(lens, views, radius=radius, elevation_degrees=-elevation)
            answer[name] = homogeneous(opengl_from_opencv(film.camera_to_world))
    return answer

"""Is a scene what it claims to be? Facts about cameras and box, and the probable convention error.

Every rule compares the cameras as given with what they would be under another convention; the
other convention is named when it explains the capture and the given one does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.data.photo_check import photo_consistency
from maskfield.data.scene import Scene
from maskfield.geometry.camera_paths import focus_point
from maskfield.geometry.cameras import Cameras, opencv_from_opengl
from maskfield.geometry.se3 import inverse, rotation_angle
from maskfield.geometry.views import box_hits, mean_up, sees

Code = Literal[
    "axes_opengl", "inverted_poses", "up_axis", "scale", "box_missed", "intrinsics", "one_place"
]
_AGREE = 0.7  # fraction of cameras that must look at the common point
_MORE = 0.4  # or by which another convention must make more of them look at it
_PHOTO_MARGIN = 0.1  # a rival convention must agree better by this much
_PHOTO_GOOD, _PHOTO_POOR = 0.75, 0.4  # right poses reach 0.75 to 0.93 on real captures, wrong 0.45


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A probable error: its code, one sentence, and the remedy."""

    code: Code
    problem: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class SceneReport:
    """What was measured, and what is probably wrong.

    Attributes:
        hit_fraction: per camera, fraction of rays that meet the box.
        focus: the point nearest to all optical axes; focus_seen: fraction of cameras that see it.
        up_angle: degrees between the cameras' average up and +Z.
        box_in_view: median apparent half-diagonal of the box over half the image diagonal.
        field_of_view: horizontal, degrees, median.
        photo: photo-consistency of the poses in [-1, 1]; None without texture or neighbours.
        findings: probable errors, the most telling first; empty = nothing suspicious.
    """

    cameras: int
    hit_fraction: tuple[float, ...]
    focus: tuple[float, float, float]
    focus_seen: float
    up_angle: float
    box_in_view: float
    field_of_view: float
    photo: float | None
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Nothing suspicious was found."""
        return not self.findings

    def lines(self) -> list[str]:
        """The report as text, one fact per line."""
        hits = torch.tensor(self.hit_fraction)
        photo = "not measurable" if self.photo is None else f"{self.photo:.2f}"
        facts = [
            f"cameras            {self.cameras}",
            f"rays meeting box   mean {float(hits.mean()):.0%}, least {float(hits.min()):.0%}",
            f"common focus       ({self.focus[0]:.3g}, {self.focus[1]:.3g}, {self.focus[2]:.3g})"
            f", seen by {self.focus_seen:.0%} of the cameras",
            f"average camera up  {self.up_angle:.0f} degrees from +Z",
            f"field of view      {self.field_of_view:.0f} degrees",
            f"photo-consistency  {photo}",
        ]
        return facts + [
            f"PROBABLE ERROR ({f.code}): {f.problem}; {f.remedy}" for f in self.findings
        ]


_POSE_FINDINGS: dict[str, Finding] = {
    "axes_opengl": Finding(
        code="axes_opengl",
        problem="the cameras look away from the scene, upside down: their axes are OpenGL's "
        "(y up, z backward), not OpenCV's (y down, z forward)",
        remedy="negate the second and third column of every pose",
    ),
    "inverted_poses": Finding(
        code="inverted_poses",
        problem="the poses look like world-to-camera matrices given as camera-to-world",
        remedy="invert every pose",
    ),
}
_RIVALS: dict[str, Callable[[Cameras], Cameras]] = {
    "axes_opengl": lambda c: replace(c, camera_to_world=opencv_from_opengl(c.camera_to_world)),
    "inverted_poses": lambda c: replace(c, camera_to_world=inverse(c.camera_to_world)),
}


def check_scene(scene: Scene, *, photos: bool = True) -> SceneReport:
    """Measure a scene and name probable errors; ``photos`` = False skips the images.

    Raises:
        SceneError: the scene is not valid at all (no cameras, NaN, empty box).
    """
    scene = scene.validated()
    cameras = scene.cameras
    focus = focus_point(cameras)
    hits = box_hits(cameras, scene.box)
    photo = _photo(scene, cameras) if photos else None
    rules: tuple[Callable[[Scene, float | None], Finding | None], ...] = (
        _pose_convention,
        _one_place,
        _up,
        _intrinsics,
        _scale,
        _box_missed,
    )
    found = [f for f in (rule(scene, photo) for rule in rules) if f is not None]
    return SceneReport(
        cameras=len(cameras),
        hit_fraction=tuple(hits.tolist()),
        focus=(float(focus[0]), float(focus[1]), float(focus[2])),
        focus_seen=_seen(cameras),
        up_angle=_up_angle(cameras),
        box_in_view=_box_in_view(cameras, scene.box),
        field_of_view=_fov(cameras),
        photo=photo,
        findings=_without_consequences(found),
    )


def _without_consequences(found: list[Finding]) -> tuple[Finding, ...]:
    """Wrong poses also miss the box and turn the up: only the cause is told."""
    causes = [f for f in found if f.code in ("inverted_poses", "axes_opengl", "one_place")]
    if causes:
        return (causes[0],)
    scale = [f for f in found if f.code == "scale"]
    return tuple(f for f in found if not (scale and f.code == "box_missed"))


def _one_place(scene: Scene, photo: float | None) -> Finding | None:
    centres = scene.cameras.centres
    size = float((scene.box[1] - scene.box[0]).max())
    if len(centres) > 1 and float((centres - centres[0]).norm(dim=-1).max()) < 1e-5 * size:
        return Finding(
            code="one_place",
            problem="all cameras stand at one point: no depth can be learned",
            remedy="check that the translations were read; a panorama cannot be used",
        )
    return None


def _pose_convention(scene: Scene, photo: float | None) -> Finding | None:
    """The photographs decide where they can; geometry decides where they cannot."""
    if photo is not None and photo >= _PHOTO_GOOD:
        return None
    rivals = {code: convert(scene.cameras) for code, convert in _RIVALS.items()}
    if photo is not None:
        scores = {code: _photo(scene, cameras) or -1.0 for code, cameras in rivals.items()}
        best = max(_RIVALS, key=lambda code: scores[code])
        if scores[best] > photo + _PHOTO_MARGIN and scores[best] > _PHOTO_POOR:
            return _POSE_FINDINGS[best]
    if _geometry_says_inverted(scene, rivals["inverted_poses"]):
        return _POSE_FINDINGS["inverted_poses"]
    if _geometry_says_opengl(scene, rivals["axes_opengl"]):
        return _POSE_FINDINGS["axes_opengl"]
    return None


def _geometry_says_inverted(scene: Scene, other: Cameras) -> bool:
    """World-to-camera taken for camera-to-world: centres crowd although the cameras turn a lot."""
    given = scene.cameras
    turn = rotation_angle(given.camera_to_world[:1], given.camera_to_world)
    right = _box_seen(given, scene) >= _AGREE and _up_angle(given) < 60
    crowded = _spread(given) < 0.35 * _spread(other)
    return float(turn.max()) > 0.6 and crowded and _seen(other) >= _AGREE and not right


def _geometry_says_opengl(scene: Scene, other: Cameras) -> bool:
    """OpenGL axes taken for OpenCV's: cameras look away from what they surround, upside down."""
    given = scene.cameras
    away = _seen(given) < 1 - _AGREE and _seen(other) >= _seen(given) + _MORE
    lost = _box_seen(given, scene) < 0.5 <= _box_seen(other, scene)
    return _up_angle(given) > 100 and (away or lost)


def _up(scene: Scene, photo: float | None) -> Finding | None:
    angle = _up_angle(scene.cameras)
    if angle < 60:
        return None
    up = mean_up(scene.cameras.camera_to_world)
    axis = int(up.abs().argmax())
    name = f"{'+' if up[axis] > 0 else '-'}{'XYZ'[axis]}"
    return Finding(
        code="up_axis",
        problem=f"the cameras' average up is {name}, {angle:.0f} degrees from +Z",
        remedy=f"turn the world so that {name} becomes +Z",
    )


def _intrinsics(scene: Scene, photo: float | None) -> Finding | None:
    c = scene.cameras
    k = c.intrinsics.median(0).values
    centre = torch.tensor([float(k[2]) / c.width, float(k[3]) / c.height])
    if bool((centre - 0.5).abs().max() > 0.25):
        factor = float(centre.mean() / 0.5)
        return Finding(
            code="intrinsics",
            problem=f"the principal point ({float(k[2]):.0f}, {float(k[3]):.0f}) is far from the "
            f"middle of {c.width} x {c.height} images",
            remedy=f"the intrinsics may be for images {factor:.3g} times as large: scale them",
        )
    fov, ratio = _fov(c), float(k[0] / k[1])
    if not 5 <= fov <= 150 or not 0.8 <= ratio <= 1.25:
        return Finding(
            code="intrinsics",
            problem=f"implausible lens: field of view {fov:.0f} degrees, fx / fy = {ratio:.2f}",
            remedy="check the focal length: pixels or millimetres, radians or degrees, full size?",
        )
    return None


def _scale(scene: Scene, photo: float | None) -> Finding | None:
    """Box and poses in different units: the box is a dot, or swallows everything by far."""
    in_view = _box_in_view(scene.cameras, scene.box)
    extent = float((scene.box[1] - scene.box[0]).max())
    room = max(_spread(scene.cameras), 1e-12)
    if in_view < 0.05 or (not scene.unbounded and extent > 100 * room and len(scene) > 4):
        factor = extent / room
        return Finding(
            code="scale",
            problem=f"box and camera path do not have one scale (box / path = {factor:.3g})",
            remedy="bring poses and box to one unit (millimetres and metres mixed?)",
        )
    return None


def _box_missed(scene: Scene, photo: float | None) -> Finding | None:
    hits = box_hits(scene.cameras, scene.box)
    blind = float((hits < 0.02).float().mean())
    if blind > 0.2 or float(hits.mean()) < 0.1:
        return Finding(
            code="box_missed",
            problem=f"{blind:.0%} of the cameras do not see the box",
            remedy="give a box around what the cameras look at "
            f"(their common focus is {[round(v, 3) for v in focus_point(scene.cameras).tolist()]})",
        )
    return None


def _photo(scene: Scene, cameras: Cameras) -> float | None:
    """Photo-consistency, searched around the common focus, else around the box."""
    if scene.near is not None and scene.far is not None and scene.near > 0:
        return photo_consistency(scene, cameras, scene.near, scene.far)
    focus = focus_point(cameras)
    if _seen(cameras) >= _AGREE:
        distance = float((cameras.centres - focus).norm(dim=-1).median())
        return photo_consistency(scene, cameras, 0.3 * distance, 3 * distance)
    distance = float((cameras.centres - scene.box.mean(0)).norm(dim=-1).median())
    radius = float((scene.box[1] - scene.box[0]).norm() / 2)
    near = max(distance - radius, 0.1 * distance, 1e-3 * radius)
    return photo_consistency(scene, cameras, near, 2 * (distance + radius))


def _box_seen(cameras: Cameras, scene: Scene) -> float:
    return float((box_hits(cameras, scene.box) > 0.02).float().mean())


def _seen(cameras: Cameras) -> float:
    """Fraction of cameras that have the common focus in their image."""
    return float(sees(cameras, focus_point(cameras)).float().mean())


def _spread(cameras: Cameras) -> float:
    """Largest extent of the camera centres."""
    return float((cameras.centres.amax(0) - cameras.centres.amin(0)).max())


def _up_angle(cameras: Cameras) -> float:
    up = mean_up(cameras.camera_to_world)
    return float(torch.rad2deg(torch.acos(up[2].clamp(-1, 1))))


def _fov(cameras: Cameras) -> float:
    half = cameras.width / (2 * cameras.intrinsics[:, 0].median())
    return float(torch.rad2deg(2 * torch.atan(half)))


def _box_in_view(cameras: Cameras, box: Float[Tensor, "2 3"]) -> float:
    """Apparent half-diagonal of the box over half the image diagonal (large when inside)."""
    radius = (box[1] - box[0]).norm() / 2
    distance = (cameras.centres - box.mean(0)).norm(dim=-1).clamp_min(1e-9)
    focal = cameras.intrinsics[:, :2].mean(1)
    half_diagonal = 0.5 * (cameras.width**2 + cameras.height**2) ** 0.5
    return float((focal * radius / distance / half_diagonal).median())

"""Intrinsics and distortion as transforms.json (instant-ngp, nerfstudio) spells them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from maskfield.core.errors import SceneError
from maskfield.data.readers.capture import Distortion

_PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")
_OTHER_LENSES = ("is_fisheye", "ftheta_p0", "latlong", "equirectangular")


class Lens:
    """Keys of one frame, looked up in the frame first and in the file's head second."""

    def __init__(self, head: Mapping[str, Any], frame: Mapping[str, Any], file: str) -> None:
        self._head, self._frame, self._file = head, frame, file

    def get(self, key: str) -> Any:
        """The value of a key, or None."""
        value = self._frame.get(key)
        return self._head.get(key) if value is None else value

    def number(self, key: str) -> float | None:
        """A numeric key, or None.

        Raises:
            SceneError: the value is not a number.
        """
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SceneError(
                "a camera value must be a number",
                file=self._file,
                field=key,
                value=value,
                remedy="repair the entry",
            )
        return float(value)

    def size(self) -> tuple[float, float] | None:
        """w, h in pixels if given."""
        w, h = self.number("w"), self.number("h")
        return None if not w or not h else (w, h)

    def intrinsics(self) -> tuple[float, float, float, float]:
        """fx, fy, cx, cy: in pixels when :meth:`size` is known, else as fractions of the image.

        Raises:
            SceneError: no focal length, or a principal point in pixels without a size.
        """
        size = self.size()
        w, h = size or (1.0, 1.0)
        fx = self._focal("fl_x", ("camera_angle_x",), "x_fov", w, size)
        if fx is None:
            raise SceneError(
                "the camera has no focal length",
                file=self._file,
                field="fl_x, camera_angle_x",
                remedy="give fl_x (pixels, with w and h) or camera_angle_x (radians)",
            )
        fy = self._focal("fl_y", ("camera_angle_y",), "y_fov", h, size)
        # one angle alone: square pixels; as a fraction the caller multiplies fy by the width
        fy = fx if fy is None or size is None else fy
        return fx, fy, self._centre("cx", w, size), self._centre("cy", h, size)

    def distortion(self) -> Distortion:
        """k1, k2, p1, p2, k3.

        Raises:
            SceneError: a lens model other than Brown's, or a fourth radial term.
        """
        self._refuse_other_lenses()
        k1, k2, p1, p2, k3 = (self.number(n) or 0.0 for n in ("k1", "k2", "p1", "p2", "k3"))
        return k1, k2, p1, p2, k3

    def _refuse_other_lenses(self) -> None:
        model = str(self.get("camera_model") or "PINHOLE").upper()
        wrong = next((k for k in _OTHER_LENSES if self.get(k)), None)
        if model not in _PINHOLE_MODELS:
            wrong = "camera_model"
        if self.number("k4"):
            wrong = "k4"
        if wrong is not None:
            raise SceneError(
                "only pinhole cameras with Brown distortion (k1, k2, k3, p1, p2) are read",
                file=self._file,
                field=wrong,
                value=self.get(wrong),
                remedy="undistort fisheye and 360-degree images to pinhole images first",
            )

    def _focal(
        self,
        key: str,
        angles: tuple[str, ...],
        degrees: str,
        side: float,
        size: tuple[float, float] | None,
    ) -> float | None:
        focal = self.number(key)
        if focal is not None:
            if size is None:
                raise self._needs_size(key, focal)
            return focal
        angle = next((self.number(a) for a in angles if self.number(a)), None)
        if angle is None and self.number(degrees):
            angle = math.radians(self.number(degrees) or 0.0)
        return None if not angle else 0.5 * side / math.tan(0.5 * angle)

    def _centre(self, key: str, side: float, size: tuple[float, float] | None) -> float:
        value = self.number(key)
        if value is None:
            return 0.5 * side
        if size is None:
            raise self._needs_size(key, value)
        return value

    def _needs_size(self, key: str, value: float) -> SceneError:
        return SceneError(
            "intrinsics in pixels need the image size they are for",
            file=self._file,
            field=f"w, h (for {key})",
            value=value,
            remedy="add w and h to the file",
        )

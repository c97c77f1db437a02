"""What encoders and viewers see of a picture's colours, and the way of δ back onto its own (lcms2, by imagecodecs).

Whole RGB and gray samples are seen as they are, as if they were sRGB: that is what a trainer's loader does, which
ignores profiles, and δ returns without a conversion. What no loader can take as it is, CMYK, Lab, linear light and
floats, is converted through its profile. Then a sample gets the difference that δ makes in the converted picture, as
in `glaze_plugin.samples`, so that where δ is 0 it stays bit-exact, out of gamut and above white too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import Protocol

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from glaze_plugin.errors import BadInput

Floats = NDArray[np.float32]

SIGNATURES = {"G": b"GRAY", "RGB": b"RGB ", "BGR": b"RGB ", "CMYK": b"CMYK", "Lab": b"Lab "}
"""Colour model → what a profile for it says at byte 16 (ICC.1, section 7.2)."""
NAMES = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk", b"Lab ": "lab"}
"""The same → imagecodecs' name."""
INTENT, BLACK_POINT = 1, 0x2000
"""Relative colorimetric with black point compensation, as painting programs have it by default."""
MIDDLE = 0.65
"""Linear light's middle is seen as 0.735, that of every gamma from 1.4 to 2.6 as less than this."""


PASSES = 8
"""How often a change that is seen as too large is made smaller before it is given up."""
NOISE = 1e-4
"""What lcms2's tables add to a difference of two colours, a fortieth of an 8-bit level."""


class Space(Protocol):
    """colours: (H, W, C), straight, in units of the samples' top. seen: (H, W, 1 or 3) in [0, 1], RGB order."""

    def seen(self, colours: Floats) -> Floats:
        """What is seen of the colours."""

    def change(self, colours: Floats, seen: Floats, delta: Floats) -> Floats:
        """What δ, in units of `seen`, changes the colours by; exactly 0 where δ is."""


class AsSrgb:
    """Samples that are seen as they are."""

    def seen(self, colours: Floats) -> Floats:
        return colours

    def change(self, colours: Floats, seen: Floats, delta: Floats) -> Floats:
        return delta


class Converted(ABC):
    """Samples that a conversion makes visible. What is seen is clipped; what they are is not."""

    def seen(self, colours: Floats) -> Floats:
        return np.clip(np.nan_to_num(self.forth(np.nan_to_num(colours))), 0, 1)

    def change(self, colours: Floats, seen: Floats, delta: Floats) -> Floats:
        moved = self.back(np.clip(seen + delta, 0, 1)) - self.back(seen)
        return self._held(colours, seen, delta, moved)

    def _held(self, colours: Floats, seen: Floats, delta: Floats, moved: Floats) -> Floats:
        """The change, nowhere seen as larger than the largest part of δ, and 0 where δ is."""
        moved[~(delta != 0).any(-1)] = 0
        flat, base, still = (planes.reshape(-1, 1, planes.shape[-1]) for planes in (colours, seen, moved))
        limit = np.abs(delta).max(-1).reshape(-1, 1, 1)
        left = np.flatnonzero((still != 0).any(-1))
        for _ in range(PASSES):  # what is seen does not grow in proportion to the change
            if not left.size:
                break
            reach = np.abs(self.seen(flat[left] + still[left]) - base[left]).max(-1, keepdims=True)
            beyond = (reach > limit[left] + NOISE).ravel()
            left, reach = left[beyond], reach[beyond]
            still[left] *= limit[left] / reach
        still[left] = 0
        return still.reshape(moved.shape)

    @abstractmethod
    def forth(self, colours: Floats) -> Floats:
        """What is seen of the colours, not clipped."""

    @abstractmethod
    def back(self, seen: Floats) -> Floats:
        """Colours of which that is seen."""


class LinearLight(Converted):
    """Linear light of sRGB's primaries (IEC 61966-2-1)."""

    def forth(self, colours: Floats) -> Floats:
        light = np.clip(colours, 0, 1)
        return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)

    def back(self, seen: Floats) -> Floats:
        return np.where(seen <= 0.04045, seen / 12.92, ((seen + 0.055) / 1.055) ** 2.4).astype(np.float32)


class Inks:
    """CMYK without a profile, as loaders see it: (1 − ink)(1 − black). δ goes into the inks, black stays."""

    def seen(self, colours: Floats) -> Floats:
        inks = np.clip(np.nan_to_num(colours), 0, 1)
        return (1 - inks[..., :3]) * (1 - inks[..., 3:])

    def change(self, colours: Floats, seen: Floats, delta: Floats) -> Floats:
        white = 1 - np.clip(np.nan_to_num(colours[..., 3:]), 0, 1)
        moved = np.zeros_like(colours)
        np.divide(-delta, white, out=moved[..., :3], where=white > 0)
        return np.clip(colours + moved, 0, 1) - colours if (moved != 0).any() else moved


class Profiled(Converted):
    """Samples as an ICC profile describes them."""

    def __init__(self, profile: bytes) -> None:
        self._profile = profile
        self._name = NAMES[profile[16:20]]
        self._scale, self._offset = np.ones(1, np.float32), np.zeros(1, np.float32)
        if self._name == "cmyk":
            self._scale = np.full(1, 100, np.float32)
        if self._name == "lab":
            self._scale, self._offset = np.array([100, 255, 255], np.float32), np.array([0, -128, -128], np.float32)

    def forth(self, colours: Floats) -> Floats:
        own = np.ascontiguousarray(colours * self._scale + self._offset, np.float32)
        rgb = _convert(own, self._profile, self._name, srgb(), "rgb")
        return rgb[..., :1] if self._name == "gray" else rgb

    def back(self, seen: Floats) -> Floats:
        rgb = np.ascontiguousarray(np.repeat(seen, 3, -1) if seen.shape[-1] == 1 else seen)
        own = _convert(rgb, srgb(), "rgb", self._profile, self._name)
        return np.asarray((own - self._offset) / self._scale, np.float32)


class ProfiledInks(Profiled):
    """CMYK by its profile. δ goes into the inks, black stays: by how each ink acts where it is, since a conversion back
    would mix inks and black in the profile's own way."""

    def change(self, colours: Floats, seen: Floats, delta: Floats) -> Floats:
        base = self.forth(colours)
        columns = []
        for ink in range(3):
            step = np.where(colours[..., ink] > 0.5, -INK_STEP, INK_STEP).astype(np.float32)
            other = colours.copy()
            other[..., ink] += step
            columns.append((self.forth(other) - base) / step[..., None])
        slopes = np.stack(columns, -1)
        turned = slopes.swapaxes(-1, -2)
        damped = turned @ slopes + np.eye(3, dtype=np.float32) * DAMPING
        inks = np.linalg.solve(damped, turned @ delta[..., None])[..., 0]
        moved = np.zeros_like(colours)
        moved[..., :3] = np.clip(colours[..., :3] + inks, 0, 1) - colours[..., :3]
        return self._held(colours, seen, delta, moved)


INK_STEP = 0.02
"""Over how much ink its effect is measured."""
DAMPING = 1e-3
"""Keeps inks that have no effect, below black or above their limit, from being asked for it."""
AS_SRGB = AsSrgb()


def space(model: str, floats: bool, profile: bytes, linear: bool = False) -> Space:
    """How samples of a colour model of `picture.MODELS` are seen. linear: whether the file calls them linear light.

    Raises BadInput where they can only be seen through their profile, and that is not one for them.
    """
    if model == "Lab":
        return Profiled(lab())
    fits = profile[16:20] == SIGNATURES[model]
    if model == "CMYK" and not profile:
        return Inks()
    if model == "CMYK" or (floats and profile):
        if not fits or not _usable(profile):
            raise BadInput("profile", "The colour profile of this file does not fit its colours.")
        return ProfiledInks(profile) if model == "CMYK" else Profiled(profile)
    if floats or (linear and not profile):
        return LinearLight()
    if fits and _usable(profile) and float(Profiled(profile).seen(_middle(model)).mean()) > MIDDLE:
        return Profiled(profile)
    return AS_SRGB


def _middle(model: str) -> Floats:
    return np.full((1, 1, len(model)), 0.5, np.float32)


def _usable(profile: bytes) -> bool:
    """Whether colours can be converted there and back."""
    try:
        one = Profiled(profile)
        one.back(one.seen(np.full((1, 1, {"gray": 1, "cmyk": 4}.get(NAMES[profile[16:20]], 3)), 0.5, np.float32)))
    except BadInput:
        return False
    return True


def _convert(colours: Floats, given: bytes, given_name: str, wanted: bytes, wanted_name: str) -> Floats:
    try:
        out: Floats = imagecodecs.cms_transform(
            colours,
            given,
            wanted,
            colorspace=given_name,
            outcolorspace=wanted_name,
            outdtype="f4",
            intent=INTENT,
            flags=BLACK_POINT,
        )
    except (imagecodecs.CmsError, ValueError) as error:
        raise BadInput("profile", "The colour profile of this file is damaged.") from error
    return out.reshape(*colours.shape[:2], -1)


@cache
def srgb() -> bytes:
    return bytes(imagecodecs.cms_profile("srgb"))


@cache
def lab() -> bytes:
    """Lab of D50, which TIFF and ICC mean."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()

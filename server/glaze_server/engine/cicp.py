"""Colours that a file states by numbers instead of a profile (ITU-T H.273), and profiles that say the same.

PNG's cICP, AVIF's and HEIC's nclx and JPEG XL's own colours are such numbers; so are PNG's gAMA and cHRM.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

D65, DCI = (0.3127, 0.3290), (0.314, 0.351)
REC709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
PRIMARIES: dict[int, tuple[tuple[float, float], tuple[tuple[float, float], ...]]] = {
    1: (D65, REC709),
    5: (D65, ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: (D65, ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    7: (D65, ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    9: (D65, ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    11: (DCI, ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    12: (D65, ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
}
"""Number → white point and red, green and blue, as x and y (H.273, table 2)."""
SRGB, LINEAR = (1, 13), (1, 8)
"""(primaries, transfer) of sRGB, and of linear light with its primaries."""
VIDEO, PQ, HLG = (1, 6, 14, 15), 16, 18
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
STEPS = 1024
"""Entries of a curve in a profile."""


def _srgb(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _video(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(value < 0.081, value / 4.5, ((value + 0.099) / 1.099) ** (1 / 0.45))


def _pq(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084; 1 is 10,000 cd/m²."""
    root = value ** (1 / 78.84375)
    return (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)


def _hlg(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """ARIB STD-B67, of the scene."""
    return np.where(value <= 0.5, value**2 / 3, (np.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12)


CURVES: dict[int, Curve] = {13: _srgb, **dict.fromkeys(VIDEO, _video), PQ: _pq, HLG: _hlg}
"""Number → light of a sample, both in [0, 1] (H.273, table 3)."""


def known(primaries: int, transfer: int) -> bool:
    """Whether these numbers say what the colours are; "unspecified" does not."""
    return primaries in PRIMARIES and (transfer in CURVES or transfer in GAMMAS)


@cache
def profile(primaries: int, transfer: int, gray: bool = False) -> bytes:
    """An ICC profile of RGB, or of gray, for numbers that are `known`; b"" for others."""
    if not known(primaries, transfer):
        return b""
    if transfer in GAMMAS:
        return described(*PRIMARIES[primaries], GAMMAS[transfer], gray)
    curve = np.rint(CURVES[transfer](np.linspace(0, 1, STEPS)) * 65535).clip(0, 65535).astype(np.uint16)
    return _made(*PRIMARIES[primaries], gray, transferfunction=curve)


def described(
    white: tuple[float, float], primaries: tuple[tuple[float, float], ...], gamma: float, gray: bool = False
) -> bytes:
    """An ICC profile of RGB, or of gray, by white point, red, green and blue, and the exponent of a sample's light."""
    return _made(white, primaries, gray, gamma=gamma)


@cache
def coloured(profile: bytes) -> bytes:
    """For a profile of gray one of RGB, whose grays have the same curve; others as they are. b"" for a damaged one."""
    if profile[16:20] != b"GRAY":
        return profile
    steps = np.linspace(0, 1, STEPS, dtype=np.float32)[None, :, None]
    try:
        light = imagecodecs.cms_transform(
            steps, profile, described(D65, (), 1.0, True), colorspace="gray", outcolorspace="gray", outdtype="f4"
        )
    except (imagecodecs.CmsError, ValueError):
        return b""
    curve = np.rint(np.asarray(light).ravel() * 65535).clip(0, 65535).astype(np.uint16)
    return _made(D65, REC709, False, transferfunction=curve)


def _made(white: tuple[float, float], primaries: tuple[tuple[float, float], ...], gray: bool, **curve: Any) -> bytes:
    if gray:
        return bytes(imagecodecs.cms_profile("gray", whitepoint=list(white), **curve))
    flat = [value for one in primaries for value in one]
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=list(white), primaries=flat, **curve))

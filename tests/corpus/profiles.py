"""ICC profiles for the corpus."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pyvips

D65, D50 = [0.3127, 0.329], [0.3457, 0.3585]


def rgb(primaries: list[float], gamma: float, white: list[float] = D65) -> bytes:
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=white, primaries=primaries, gamma=gamma))


SRGB = bytes(imagecodecs.cms_profile("srgb"))
RGB = {
    "none": b"",
    "srgb": SRGB,
    "p3": bytes(pyvips.Operation.call("profile_load", "p3")),
    "adobe": bytes(imagecodecs.cms_profile("adobergb")),
    "prophoto": rgb([0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001], 1.8, D50),
    "linear": rgb([0.64, 0.33, 0.3, 0.6, 0.15, 0.06], 1.0),
}
GRAY = {
    "none": b"",
    "gamma": bytes(imagecodecs.cms_profile("gray", gamma=2.2)),
    "linear": bytes(imagecodecs.cms_profile("gray", gamma=1.0)),
}
CMYK = {"none": b"", "press": bytes(pyvips.Operation.call("profile_load", "cmyk"))}


def srgb_of(colours: np.ndarray, profile: bytes, name: str) -> np.ndarray:
    """What lcms makes of colours in a profile, as floats of sRGB."""
    return np.asarray(
        imagecodecs.cms_transform(colours, profile, SRGB, colorspace=name, outcolorspace="rgb", outdtype="f4")
    )

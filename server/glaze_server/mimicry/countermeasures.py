"""What a mimic does to pictures that may be cloaked before a generator is fine-tuned on them.

Each maps pictures (N, 3, H, W) in [0, 1], a seed, and the round trip through the generator's own autoencoder to
pictures of the same shape; the same arguments give the same pictures.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from glaze_server.engine.lpips_distance import Lpips
from glaze_server.engine.pixels import rounded
from glaze_server.engine.survival import ALL_TRANSFORMS, Transform, resized
from glaze_server.mimicry import upscaling
from glaze_server.mimicry.cleaner import cleaned
from glaze_server.mimicry.generator import FineTuning

RoundTrip = Callable[[Tensor], Tensor]
"""decode(encode(x)) of pictures (N, 3, H, W) in [0, 1], near [0, 1]; gradients pass."""
Countermeasure = Callable[[Tensor, int, RoundTrip], Tensor]

ROBUST, UPSCALE = "robust", "upscale"
NOISE = 0.05
"""Standard deviation in [0, 1]."""
KEPT = 7 / 8
"""Share of each side that a crop keeps."""
STEPS, RATE = 100, 0.005
"""Of IMPRESS: steps of Adam, and its rate in [0, 1]."""
SIMILARITY, ALLOWED = 0.1, 0.1
"""Of IMPRESS: the weight of LPIPS above what is allowed, and that (the paper's α and Δ)."""


def _each(transform: Transform) -> Countermeasure:
    return lambda pictures, seed, trip: torch.cat([transform(picture[None]) for picture in pictures])


def _smaller(pictures: Tensor, seed: int, trip: RoundTrip) -> Tensor:
    """Half the size, and back."""
    small = rounded(ALL_TRANSFORMS["half"](pictures))
    return rounded(resized(small, *pictures.shape[-2:]))


def _noisy(pictures: Tensor, seed: int, trip: RoundTrip) -> Tensor:
    return _grained(pictures, seed, NOISE)


def _grained(pictures: Tensor, seed: int, deviation: float) -> Tensor:
    """With noise of that standard deviation in [0, 1], another on each picture."""
    grain = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(seed))
    return rounded(pictures + deviation * grain)


def _cropped(pictures: Tensor, seed: int, trip: RoundTrip) -> Tensor:
    """A part of each picture at a place drawn by the seed, brought back to its size."""
    dice, (height, width) = random.Random(seed), pictures.shape[-2:]
    rows, columns = round(height * KEPT), round(width * KEPT)
    parts = []
    for picture in pictures:
        top, left = dice.randint(0, height - rows), dice.randint(0, width - columns)
        parts.append(resized(picture[None, :, top : top + rows, left : left + columns], height, width))
    return rounded(torch.cat(parts))


@torch.no_grad()
def _through_the_autoencoder(pictures: Tensor, seed: int, trip: RoundTrip) -> Tensor:
    return rounded(torch.cat([trip(picture[None]) for picture in pictures]))


def _impress(pictures: Tensor, seed: int, trip: RoundTrip) -> Tensor:
    return torch.cat([impress(picture[None], trip) for picture in pictures])


def impress(x: Tensor, trip: RoundTrip) -> Tensor:
    """IMPRESS (Cao et al., NeurIPS 2023, arXiv 2310.19248): x' near x that survives the autoencoder, (1, 3, H, W).

    Minimises ‖x' − D(E(x'))‖² / n + α·max(LPIPS(x', x) − Δ, 0) by Adam from x on.
    """
    near = Lpips(x, "alex")
    found = x.clone().requires_grad_()
    adam = torch.optim.Adam([found], RATE)
    for _ in range(STEPS):
        (slope,) = torch.autograd.grad((found - trip(found)).square().mean(), found)
        distance, pull = near.gradient(found.detach())
        found.grad = slope + (SIMILARITY * pull if distance > ALLOWED else 0)
        adam.step()
        with torch.no_grad():
            found.clamp_(0, 1)
    return rounded(found.detach())


def _upscaled(pictures: Tensor, seed: int, trip: RoundTrip) -> Tensor:
    """Noise, then Real-ESRGAN and back. Raises GlazeError where that is not installed."""
    return _each(upscaling.upscale_and_back())(_grained(pictures, seed, upscaling.NOISE), seed, trip)


COUNTERMEASURES: Mapping[str, Countermeasure] = {
    "jpeg": _each(ALL_TRANSFORMS["jpeg75"]),
    "noise": _noisy,
    "resize": _smaller,
    "blur": _each(ALL_TRANSFORMS["blur"]),
    "crop": _cropped,
    "cleaner": _each(cleaned),
    "autoencoder": _through_the_autoencoder,
    "impress": _impress,
    UPSCALE: _upscaled,
    ROBUST: lambda pictures, seed, trip: pictures,
}
"""Name → what it does to pictures. ROBUST leaves them as they are: see `tuned`."""


def tuned(how: FineTuning, counter: str) -> FineTuning:
    """How a mimic fine-tunes who takes that countermeasure: ROBUST adds noise to the pictures, drawn anew."""
    return replace(how, noise=NOISE) if counter == ROBUST else how

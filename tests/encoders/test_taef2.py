"""The real tiny FLUX.2 autoencoder gives paintings back: scale, range and layout of its latents are right.

Twice as large as they are in ../shared: at their own 512 px brush strokes are finer than what it keeps (22 to 28 dB).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from glaze_plugin import places
from glaze_server.engine import encoders, tiles
from glaze_server.engine.networks import taef2_decoder
from glaze_server.engine.pixels import from_8bit
from glaze_server.engine.survival import resize
from tests.conftest import SHARED

PAINTINGS = sorted((SHARED / "art").glob("*.png"))
SIDE = 96
"""px of the middle of each painting that is looked at."""
ENOUGH = 25.0
"""dB."""

pytestmark = pytest.mark.skipif(not PAINTINGS, reason="shared/ is missing")


@pytest.fixture
def weights(shelf: Path) -> Path:
    (shelf / "taef2_encoder.pth").symlink_to(SHARED / "encoders" / "taef2_encoder.pth")
    return SHARED / "encoders" / "taef2_decoder.pth"


def middle(painting: Path) -> Tensor:
    """Of the painting, twice as large."""
    with Image.open(painting) as image:
        x = from_8bit(np.asarray(image.convert("RGB")))
    top, left = ((side - SIDE) // 2 for side in x.shape[-2:])
    return resize(x[..., top : top + SIDE, left : left + SIDE], 2).clamp(0, 1)


class Trip:
    """A painting's way through the autoencoder and back."""

    def __init__(self, painting: Path, decoder_weights: Path) -> None:
        self.x, self.encoder, self._decoder = middle(painting), encoders.load("taef2"), taef2_decoder()
        self._decoder.load_state_dict(torch.load(decoder_weights, weights_only=True))

    @torch.no_grad()
    def psnr(self, latent: Tensor) -> float:
        """dB between the painting and what comes back from a latent."""
        return -10 * math.log10(float((self._decoder(latent).clamp(0, 1) - self.x).square().mean()))


@pytest.mark.parametrize("painting", PAINTINGS, ids=lambda path: path.stem)
def test_paintings_come_back_through_the_tiny_flux_2(painting: Path, weights: Path) -> None:
    trip = Trip(painting, weights)
    assert trip.psnr(tiles.encode(trip.encoder, trip.x)) >= ENOUGH


def test_another_scale_range_or_layout_would_have_been_noticed(weights: Path) -> None:
    trip = Trip(PAINTINGS[0], weights)
    latent = tiles.encode(trip.encoder, trip.x)
    wrong = {"scale": 0.7 * latent, "range": trip.encoder(2 * trip.x - 1), "layout": latent.flip(1)}
    assert not {name: psnr for name, other in wrong.items() if (psnr := trip.psnr(other)) >= ENOUGH}


def test_it_is_the_published_file(weights: Path) -> None:
    from glaze_server import hub

    said: list[dict[str, object]] = []
    assert hub.verify("taef2", said.append)
    assert said == [{"verified": "taef2", "same": True, "path": str(places.models() / "taef2_encoder.pth")}]

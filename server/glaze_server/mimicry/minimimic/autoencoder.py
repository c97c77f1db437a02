"""The tiny FLUX.2 autoencoder (TAEF2, MIT) both ways, with the weights that are on this computer."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.engine import encoders, stock
from glaze_server.engine.device import CPU, Device
from glaze_server.engine.networks import TAEF2_DECODER, taef2_decoder

NAME = "taef2"
STRIDE, CHANNELS = 8, 32


class Taef2:
    """decode(encode(x)), (N, 3, H, W) in [0, 1] → near that; gradients pass. Raises GlazeError without weights.

    It computes on `where`, in full precision; what it is given and what it gives lie where the caller has them.
    """

    def __init__(self, where: Device = CPU) -> None:
        if not self.there():
            raise GlazeError(
                "no_autoencoder",
                "The tiny FLUX.2 autoencoder is not on this computer.",
                f"Pull its encoder with glaze models pull {NAME}, and put {TAEF2_DECODER} beside it.",
            )
        self.encoder, self._decoder = encoders.load(NAME), taef2_decoder()
        self._decoder.load_state_dict(torch.load(places.models() / TAEF2_DECODER, weights_only=True))
        self._decoder.eval().requires_grad_(False)
        self._where = replace(where, half="")

    @staticmethod
    def there() -> bool:
        return (places.models() / TAEF2_DECODER).exists() and NAME in stock.available()

    def __call__(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return self.decode(self.encode(x))[..., :height, :width]

    def encode(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] → latents (N, CHANNELS, ⌈H / STRIDE⌉, ⌈W / STRIDE⌉), raw."""
        return self.encoder(x, self._where)

    def decode(self, latents: Tensor) -> Tensor:
        """The other way."""
        decoded: Tensor = self._where.place(self._decoder)(latents.to(self._where.name))
        return decoded.to(latents)

"""The registry of latent encoders Φ: names, where their weights are, and loading them.

An entry is a few lines. Weights are embedded in this package, or lie in the artist's own encoder folder
(`glaze_plugin.places.models`) under the entry's file name, as safetensors or a state dict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from glaze_plugin import places
from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine.device import CPU, Device
from glaze_server.engine.networks import embedded_network, taef2_network

STRIDE = 8
"""px of the picture for one px of the latent, for every encoder here."""

EMBEDDED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Entry:
    """One encoder. about: what it stands for, said to an artist. files: names that its weights may have."""

    name: str
    about: str
    licence: str
    build: Callable[[], nn.Module]
    files: tuple[str, ...]


REGISTRY = {
    entry.name: entry
    for entry in (
        Entry(
            "embedded",
            "small encoder that Glaze brings along, distilled from the tiny FLUX.2 autoencoder",
            "MIT",
            embedded_network,
            ("embedded.safetensors",),
        ),
        Entry(
            "taef2",
            "tiny FLUX.2 autoencoder (TAEF2)",
            "MIT",
            taef2_network,
            ("taef2_encoder.safetensors", "taef2_encoder.pth"),
        ),
    )
}

DEFAULT = ("embedded",)


class Encoder:
    """A loaded encoder: pictures in [0, 1], (N, 3, H, W) of any size → latents (N, C, ⌈H/8⌉, ⌈W/8⌉)."""

    def __init__(self, name: str, network: nn.Module) -> None:
        self.name = name
        self._network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def __call__(self, x: Tensor, device: Device = CPU) -> Tensor:
        """The latent, where x is and in its precision; computed on `device`, through which gradients come back."""
        height, width = x.shape[-2:]
        padded = F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate").to(device.name, device.dtype)
        latent: Tensor = device.place(self._network)(padded.contiguous(memory_format=torch.channels_last))
        return latent.to(x)


def weights_file(entry: Entry) -> Path | None:
    """Where the entry's weights are, or None where they are not on this machine."""
    candidates = [folder / file for folder in (EMBEDDED, places.models()) for file in entry.files]
    return next((path for path in candidates if path.exists()), None)


def available() -> list[str]:
    """Names of the encoders whose weights are on this machine."""
    return [name for name, entry in REGISTRY.items() if weights_file(entry)]


@cache
def load(name: str) -> Encoder:
    """The encoder of that name. Raises BadInput where it is unknown or its weights are missing or unusable."""
    entry = REGISTRY.get(name)
    if entry is None:
        raise BadInput("unknown_encoder", f"There is no encoder {name!r}; known are {', '.join(REGISTRY)}.")
    path = weights_file(entry)
    if path is None:
        raise BadInput(
            "missing_weights",
            f"The weights of the encoder {name!r} are not on this computer.",
            f"Put {entry.files[0]} into {places.models()}.",
        )
    try:
        weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
        network = entry.build()
        network.load_state_dict({key: value.float() for key, value in weights.items()})
    except Exception as error:  # whatever a broken file makes the loaders raise
        raise GlazeError("broken_weights", f"The weights file {path.name} cannot be read.") from error
    return Encoder(name, network)

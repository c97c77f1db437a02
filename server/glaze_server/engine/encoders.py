"""The latent encoders Φ: loading them, and choosing those that a job takes. `catalogue` knows what there is, `stock`
what is on this computer. Nothing here touches the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from glaze_plugin import places
from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine import autoencoders, pulled
from glaze_server.engine.catalogue import MODELS, find
from glaze_server.engine.device import CPU, Device, free_memory
from glaze_server.engine.networks import embedded_network, taef2_network, taesana_network
from glaze_server.engine.stock import DEFAULT, available, own, weights_file

STRIDE = 8
"""px of the picture for one px of the latent, where an encoder says nothing else."""

OWN_NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "embedded": (embedded_network, 8),
    "taef2": (taef2_network, 8),
    "taesana": (taesana_network, 32),
}
"""Encoders that diffusers does not build: network, stride."""
HUB_PREFIX = "encoder.layers."
"""Before the names of an encoder's weights in files that hold a decoder too."""
SINGLE_FILES = {(4, True): MODELS["sd15"].published, (16, False): MODELS["flux1"].published}
"""What a single file may be, by latent channels and whether a convolution follows. Models that share both differ in a
factor and an offset alone, which a relative distance does not see."""
AUTO = "auto"


class Encoder:
    """A loaded encoder: pictures in [0, 1], (N, 3, H, W) of any size → latents (N, C, ⌈H/stride⌉, ⌈W/stride⌉)."""

    stride: int = STRIDE

    def __init__(self, name: str, network: nn.Module, stride: int = STRIDE) -> None:
        self.name = name
        self.stride = stride
        self._network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def __call__(self, x: Tensor, device: Device = CPU) -> Tensor:
        """The latent, where x is and in its precision; computed on `device`, through which gradients come back."""
        height, width = x.shape[-2:]
        more = (0, -width % self.stride, 0, -height % self.stride)
        padded = F.pad(x, more, mode="replicate").to(device.name, device.dtype)
        latent: Tensor = device.place(self._network)(padded.contiguous(memory_format=torch.channels_last))
        return latent.to(x)


def chosen(names: Sequence[str], device: Device) -> list[str]:
    """The encoders that a job takes. names: as the artist gave them; none of them, or "auto", is `ensemble`."""
    return [one for name in names or (AUTO,) for one in (ensemble(device) if name == AUTO else [name])]


def ensemble(device: Device) -> list[str]:
    """Of every family of encoders that is on this computer, the largest that fits the device; else the embedded one.

    A processor takes tiny ones alone, since the others would keep it busy for hours; naming one overrules that.
    """
    there = [MODELS[name] for name in available() if name in MODELS and name not in DEFAULT]
    memory = free_memory(device)
    fit = [model for model in there if model.tiny or (memory is not None and model.memory <= memory)]
    best = {model.family: model.name for model in sorted(fit, key=lambda model: not model.tiny)}
    return list(best.values()) or list(DEFAULT)


@cache
def load(name: str) -> Encoder:
    """The encoder of that name. Raises BadInput where it is unknown or its weights are missing or unusable."""
    path = own().get(name) or weights_file(find(name, own()))
    if path is None:
        model = MODELS[name]
        raise BadInput(
            "missing_weights",
            f"The weights of the encoder {name!r} are not on this computer.",
            f"`glaze models pull {name}` or “Get models…” downloads them; or put them into {places.models()}."
            if model.repository
            else f"Put {model.by_hand[0].name} from {model.source} into {places.models()}.",
        )
    folder = path if path.is_dir() else path.parent
    if record := pulled.read(folder):
        pulled.check(folder, record)
    try:
        return _read(name, path)
    except Exception as error:  # whatever a broken file makes the loaders raise
        raise GlazeError("broken_weights", f"The weights file {path.name} cannot be read.") from error


def _read(name: str, path: Path) -> Encoder:
    if name in OWN_NETWORKS:
        build, stride = OWN_NETWORKS[name]
        weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
        half = {key: value for key, value in weights.items() if key.startswith(HUB_PREFIX)}
        network = build()
        network.load_state_dict(
            {key.removeprefix(HUB_PREFIX): value.float() for key, value in (half or weights).items()}
        )
        return Encoder(name, network, stride)
    if path.is_file() and path.parent == places.models():
        network, config = autoencoders.loaded_file(path, SINGLE_FILES)
        return Encoder(name, network, autoencoders.stride(config))
    return _in_folder(name, path if path.is_dir() else path.parent)


def _in_folder(name: str, folder: Path, variant: str | None = None) -> Encoder:
    return Encoder(name, autoencoders.loaded(folder, variant), autoencoders.stride(autoencoders.config(folder)))


def at(folder: Path, variant: str | None = None) -> Encoder:
    """The encoder in a diffusers model folder anywhere, such as the part `vae` of a generator, named by its path.

    variant: as in `autoencoders.loaded`. Raises GlazeError where it cannot be read.
    """
    try:
        return _in_folder(f"{folder.parent.name}/{folder.name}", folder, variant)
    except Exception as error:  # whatever a broken folder makes the loaders raise
        raise GlazeError("broken_weights", f"The encoder in {folder} cannot be read.") from error


def untrained(name: str) -> Encoder:
    """The encoder of that name with random weights: same shapes, same cost. Raises BadInput where it is unknown."""
    model = find(name, own())
    if name in OWN_NETWORKS:
        build, stride = OWN_NETWORKS[name]
        return Encoder(name, build(), stride)
    return Encoder(name, autoencoders.built(model.published), autoencoders.stride(model.published))

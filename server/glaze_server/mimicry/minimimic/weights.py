"""A trained MiniMimic on disk: a safetensors file with its weights, its size and the scale of its latents."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.mimicry.minimimic.network import Size, denoiser

FILE = "minimimic.safetensors"


@dataclass(frozen=True)
class Model:
    """network: the denoiser. mean, deviation: of latents, (1, C, 1, 1). labels: styles. steps: of training."""

    network: Any
    size: Size
    mean: Tensor
    deviation: Tensor
    labels: tuple[str, ...]
    steps: int


def save(path: Path, model: Model) -> None:
    """Write it whole or not at all."""
    told = {"size": asdict(model.size), "labels": model.labels, "steps": model.steps}
    tensors = {f"network.{name}": value.contiguous() for name, value in model.network.state_dict().items()}
    with places.whole(path) as beside:
        # One key, since several would lie in another order in each process, and files are told apart by their bytes.
        save_file({**tensors, "mean": model.mean, "deviation": model.deviation}, beside, {"model": json.dumps(told)})


def load(path: Path) -> Model:
    """Raises GlazeError where there is none."""
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["model"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError) as error:
        raise GlazeError(
            "no_minimimic",
            "There is no trained MiniMimic on this computer.",
            "`make mimic` trains one, which takes some hours.",
        ) from error
    size = Size(**facts["size"])
    with torch.random.fork_rng(devices=[]):
        network = denoiser(size)
    network.load_state_dict({name[8:]: value for name, value in tensors.items() if name.startswith("network.")})
    labels, steps = tuple(facts["labels"]), facts["steps"]
    return Model(network.eval(), size, tensors["mean"], tensors["deviation"], labels, steps)

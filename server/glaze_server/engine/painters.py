"""The artist's own diffusion models: which there are, whether they can be used, and which one paints a job's target.

A model is a folder in the layout of diffusers below `glaze_plugin.places.painters`. Nothing here loads weights.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors import SafetensorError, safe_open

from glaze_plugin import places
from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine.device import Compute, Device, free_memory

EMBEDDED = "embedded"
"""Stands for the fast networks of `transfer`, in a painter's place."""
LIBRARIES = {"diffusers", "transformers", None}
"""Where the parts of a model may come from (None: left out); a folder that brings code of its own is refused."""
UNUSED = {"safety_checker", "feature_extractor", "image_encoder"}
"""Parts that are not loaded. The first would black out what it takes offence at, the others serve it."""
STEP_BYTES = 1 << 29
"""Bytes that a step takes beside the weights."""
PX_BYTES = 4000
"""Bytes for each px that the autoencoder takes to decode, measured in full precision, in which SDXL's computes."""
SHARE = 0.7
"""Of the free main memory that the weights of a model may take."""
NO_ROOM = "There is too little free memory for a diffusion model, so a small network painted the target."


@dataclass(frozen=True)
class Painting:
    """How a model paints.

    strength: how far towards noise and back, 0..1. guidance: of the prompt (classifier-free: Ho and Salimans, 2022).
    steps: of the whole way.
    """

    strength: float
    guidance: float
    steps: int

    @property
    def taken(self) -> int:
        """Steps that are computed."""
        return int(self.strength * self.steps)


PATIENT = Painting(strength=0.55, guidance=7.5, steps=20)
BRISK = Painting(strength=0.5, guidance=0.0, steps=4)
"""For models that were distilled to few steps: SD-Turbo, SDXL-Turbo, Lightning."""


@dataclass(frozen=True)
class Painter:
    """A diffusion model of the artist's, called after its folder."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def painting(self) -> Painting:
        """Distilled models are known by their scheduler, which spaces its few steps from the end of the way."""
        return BRISK if self.config("scheduler/scheduler_config").get("timestep_spacing") == "trailing" else PATIENT

    @cached_property
    def variant(self) -> str | None:
        """What diffusers calls the files of a folder that holds its weights in half precision alone."""
        whole = self.folder / "unet" / "diffusion_pytorch_model.safetensors"
        return "fp16" if not whole.exists() and whole.with_suffix(".fp16.safetensors").exists() else None

    @cached_property
    def side(self) -> int:
        """px of the squares that it was trained on."""
        try:
            stages = len(self.config("vae/config")["block_out_channels"])
            return int(self.config("unet/config")["sample_size"]) << (stages - 1)
        except (KeyError, TypeError, ValueError) as error:
            raise self.broken() from error

    def sizes(self, dtype: torch.dtype) -> list[int]:
        """Bytes of each of its networks in that precision. Raises GlazeError where a file is no safetensors file."""
        numbers: Counter[str] = Counter()
        for path in self.folder.glob("*/*.safetensors"):
            if path.parent.name in UNUSED or (".fp16." in path.name) != (self.variant == "fp16"):
                continue
            try:
                with safe_open(path, "pt") as file:
                    shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118, no dictionary
            except (SafetensorError, OSError) as error:
                raise self.broken() from error
            numbers[path.parent.name] += sum(map(math.prod, shapes))
        return [count * dtype.itemsize for count in numbers.values()]

    def config(self, name: str) -> dict[str, Any]:
        """One of its JSON files. Raises GlazeError where it cannot be read."""
        try:
            return dict(json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise self.broken() from error

    def check(self) -> None:
        """Raises GlazeError for what is no model with a UNet, or brings code of its own."""
        parts = self.config("model_index")
        libraries = {part[0] for part in parts.values() if isinstance(part, list) and part}
        if "unet" not in parts or not isinstance(parts.get("_class_name"), str) or libraries - LIBRARIES:
            raise self.broken()

    def broken(self) -> GlazeError:
        return GlazeError(
            "broken_weights",
            f"The diffusion model {self.name!r} cannot be used.",
            f"Fetch it again as safetensors, or take it out of {self.folder.parent}.",
        )


def painters() -> dict[str, Painter]:
    """The models in the artist's folder, by name."""
    return {index.parent.name: Painter(index.parent) for index in sorted(places.painters().glob("*/model_index.json"))}


def choose(name: str, hurry: bool, compute: Compute) -> Painter | None:
    """Who paints a job's target; None for the embedded networks.

    name: EMBEDDED, a model's, or "auto" for the first model that the device can bear: on a processor, which would take
    many minutes for others, a distilled one, and none in a hurry. Where only memory is lacking, the job gets a note.
    Raises BadInput for an unknown name, GlazeError for a broken model.
    """
    known = painters()
    if name in known:
        known[name].check()
        return known[name]
    if name not in ("auto", EMBEDDED):
        raise BadInput(
            "unknown_painter", f"There is no painter {name!r}.", f"Known are {', '.join([EMBEDDED, *known])}."
        )
    if name == EMBEDDED or (compute.device.name == "cpu" and hurry):
        return None
    for one in known.values():
        one.check()
    able = [one for one in known.values() if one.painting == BRISK or compute.device.name != "cpu"]
    fitting = next((one for one in able if _fits(one, compute.device)), None)
    if able and not fitting:
        compute.notes.append(NO_ROOM)
    return fitting


def _fits(one: Painter, device: Device) -> bool:
    sizes, card = one.sizes(device.dtype), free_on_card(device)
    in_main_memory = sum(sizes) <= SHARE * psutil.virtual_memory().available
    return in_main_memory and (card is None or offloaded_bytes(sizes, one.side) <= card)


def free_on_card(device: Device) -> int | None:
    """Bytes that are free on a graphics card with memory of its own; None for other devices."""
    if torch.device(device.name).type not in ("cuda", "xpu"):
        return None
    return free_memory(device)


def resident_bytes(sizes: list[int], side: int) -> int:
    """What painting takes of a card with all networks on it. sizes: bytes of each. side: px of what is painted."""
    return sum(sizes) + max(STEP_BYTES, PX_BYTES * side**2)


def offloaded_bytes(sizes: list[int], side: int) -> int:
    """The same with one network at a time on it, while the others wait in main memory."""
    return max(max(sizes, default=0) + STEP_BYTES, PX_BYTES * side**2)

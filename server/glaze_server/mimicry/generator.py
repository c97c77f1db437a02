"""What a study needs of a generator that a mimic would fine-tune, whatever its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from glaze_server.engine.encoders import Encoder


@dataclass(frozen=True)
class FineTuning:
    """How a mimic fine-tunes. steps and batch as for any training; rate: the optimiser's learning rate.

    way: "lora" trains low-rank adapters of `rank` only, "full" every weight of the denoiser.
    noise: standard deviation of noise added to the training pictures, in units of [0, 1] (robust training); 0 for none.
    It is drawn anew whenever a picture is shown, or one of many noised copies is.
    """

    way: Literal["lora", "full"] = "lora"
    steps: int = 400
    batch: int = 4
    rate: float = 1e-4
    rank: int = 8
    noise: float = 0.0


class Mimic(Protocol):
    """A generator after fine-tuning."""

    def generate(self, prompts: Sequence[str], seed: int, tick: Callable[[], None]) -> Tensor:
        """One picture a prompt: (N, 3, side, side) in [0, 1]. The same prompts and seed give the same pictures."""


class Generator(Protocol):
    """A generator before fine-tuning.

    name: as reports show it. identity: tells it from every other one, by its weights. side: px of the square pictures
    that it learns from and makes. tuning: way → how it is usually fine-tuned.
    """

    name: str
    identity: str
    side: int
    tuning: Mapping[str, FineTuning]

    @property
    def encoder(self) -> Encoder:
        """By which it sees pictures: what a white-box cloak is computed against. Raises GlazeError without weights."""

    def finetune(
        self, pictures: Tensor, captions: Sequence[str], how: FineTuning, seed: int, tick: Callable[[], None]
    ) -> Mimic:
        """A copy that has learned from pictures, (N, 3, side, side) in [0, 1], with a caption each.

        tick is called at least once a step and may raise to stop. Raises GlazeError where the generator cannot learn.
        """

    def round_trip(self, pictures: Tensor) -> Tensor:
        """decode(encode(x)) of its own autoencoder, pictures (N, 3, H, W) in [0, 1] → near that; gradients pass."""

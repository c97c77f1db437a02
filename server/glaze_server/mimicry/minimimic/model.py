"""MiniMimic as a generator that a mimic fine-tunes."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import peft
import torch
from torch import Tensor

from glaze_server.engine import pulled
from glaze_server.engine.device import CPU, Device
from glaze_server.engine.pixels import rounded
from glaze_server.mimicry.generator import FineTuning
from glaze_server.mimicry.minimimic import weights
from glaze_server.mimicry.minimimic.autoencoder import STRIDE, Taef2
from glaze_server.mimicry.minimimic.network import SAMPLE_STEPS, label_tables, loss, sample

ADAPTED = ["to_q", "to_k", "to_v", "to_out.0", "net.0.proj", "net.2"]
"""Layers that LoRA adapts: attention and feed-forward."""

TUNING = {
    "lora": FineTuning("lora", steps=300, batch=8, rate=2e-3, rank=16),
    "full": FineTuning("full", steps=300, batch=8, rate=3e-4),
}
COPIES = 16
"""Of each picture with other noise, where there is some: one is drawn whenever the picture's turn comes."""


class MiniMimic:
    """As Generator. A caption says nothing to it: what it learns is one new label, the artist.

    file: as `weights.save` wrote it. Raises GlazeError where that or its autoencoder is missing.
    """

    tuning: Mapping[str, FineTuning] = TUNING

    def __init__(self, file: Path, where: Device = CPU) -> None:
        self._model = weights.load(file)
        self._where = where
        self._taef2 = Taef2(where)
        self.name = f"MiniMimic after {self._model.steps} steps"
        self.identity = pulled.sha256(file)
        self.side = self._model.size.side * STRIDE
        self.encoder = self._taef2.encoder

    def round_trip(self, pictures: Tensor) -> Tensor:
        """As Generator.round_trip."""
        return self._taef2(pictures)

    def finetune(
        self, pictures: Tensor, captions: Sequence[str], how: FineTuning, seed: int, tick: Callable[[], None]
    ) -> Copy:
        """As Generator.finetune."""
        model = self._model
        network, size = copy.deepcopy(model.network), model.size
        with torch.no_grad():
            for table in label_tables(network):  # an artist begins as the mean of all styles
                table[size.artist] = table[: size.labels].mean(0)
        dice = torch.Generator().manual_seed(seed)
        if how.way == "lora":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                adapters = peft.LoraConfig(r=how.rank, lora_alpha=how.rank, target_modules=ADAPTED)
                network = peft.inject_adapter_in_model(adapters, network)
            for table in label_tables(network):
                table.requires_grad_()
        network.to(self._where.name)
        trained = [one for one in network.parameters() if one.requires_grad]
        adam = torch.optim.AdamW(trained, how.rate, weight_decay=0)
        network.eval()  # the network would leave labels out by itself, unseeded; `loss` does
        latents = self._copies(pictures, how.noise, dice)
        for chosen in itertools.islice(_turns(len(pictures), how.batch, dice), how.steps):
            drawn = torch.randint(COPIES, chosen.shape, generator=dice) if how.noise else 0
            batch = latents[drawn, chosen]
            labels = torch.full((len(chosen),), size.artist)
            with self._where.brief():
                error = loss(network, batch.to(self._where.name), labels.to(self._where.name), dice, size.none)
            adam.zero_grad(set_to_none=True)
            error.backward()
            adam.step()
            tick()
        return Copy(network, model, self._taef2, self._where)

    def _copies(self, pictures: Tensor, noise: float, dice: torch.Generator) -> Tensor:
        """Latents (copies, N, C, h, w) of the pictures, one copy where there is no noise."""
        if not noise:
            return self._latents(pictures)[None]
        grains = (noise * torch.randn(pictures.shape, generator=dice) for _ in range(COPIES))
        return torch.stack([self._latents(rounded(pictures + grain)) for grain in grains])

    @torch.no_grad()
    def _latents(self, pictures: Tensor) -> Tensor:
        return (self._taef2.encode(pictures) - self._model.mean) / self._model.deviation


class Copy:
    """A MiniMimic after fine-tuning, as Mimic."""

    def __init__(self, network: Any, model: weights.Model, taef2: Taef2, where: Device) -> None:
        self._network = network
        self._where = where
        self._model = model
        self._taef2 = taef2

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], seed: int, tick: Callable[[], None]) -> Tensor:
        """As Mimic.generate: of the artist's style, whatever the prompts say."""
        labels = [self._model.size.artist] * len(prompts)
        dice, done = torch.Generator().manual_seed(seed), 0

        def step() -> None:
            nonlocal done
            done += 1
            for _ in range(done * len(labels) // SAMPLE_STEPS - (done - 1) * len(labels) // SAMPLE_STEPS):
                tick()

        with self._where.brief():
            latents = sample(self._network, self._model.size, labels, dice, step)
        return self._taef2.decode(latents * self._model.deviation + self._model.mean).clamp(0, 1)


def _turns(count: int, batch: int, dice: torch.Generator) -> Iterator[Tensor]:
    """Numbers below `count`, `batch` at once, each as often as every other."""
    order = torch.empty(0, dtype=torch.long)
    while True:
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(count, generator=dice)])
        chosen, order = order[:batch], order[batch:]
        yield chosen

"""Training MiniMimic, which goes on where it stopped.

Packages, latents and the state are kept in one folder; `minimimic.safetensors` there is the model so far, its weights
averaged over the last steps (EMA).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.engine import device
from glaze_server.engine.device import CPU, Device
from glaze_server.mimicry.minimimic import latents, weights
from glaze_server.mimicry.minimimic.latents import Data
from glaze_server.mimicry.minimimic.network import Size, denoiser, loss

BATCH = 32
RATE, WARM = 3e-4, 200
"""AdamW's rate, and the steps over which it rises to that."""
MEMORY = 0.999
"""Share of the average that a step leaves."""
SAVE_SECONDS = 60


@dataclass
class State:
    """A training in progress. average: the network's, by EMA. seconds: s that its steps took, on any machine.

    where: it runs; gradients are taken in bfloat16 if that pays there.
    """

    network: Any
    average: Any
    adam: torch.optim.AdamW
    dice: torch.Generator
    where: Device = CPU
    steps: int = 0
    seconds: float = 0.0

    def step(self, data: Data, mean: Tensor, deviation: Tensor, size: Size) -> float:
        """One step of training; returns its loss."""
        start = time.monotonic()
        for group in self.adam.param_groups:
            group["lr"] = RATE * min(1, (self.steps + 1) / WARM)
        name = self.where.name
        chosen = torch.randint(len(data.labels), (BATCH,), generator=self.dice)
        batch = (data.latents[chosen].float() - mean) / deviation
        if torch.rand((), generator=self.dice) < 0.5:
            batch = batch.flip(-1)
        with self.where.brief():
            error = loss(self.network, batch.to(name), data.labels[chosen].to(name), self.dice, size.none)
        self.adam.zero_grad(set_to_none=True)
        error.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.adam.step()
        self.steps += 1
        share = min(MEMORY, self.steps / (self.steps + 10))
        with torch.no_grad():
            for kept_one, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept_one.lerp_(new, 1 - share)
        self.seconds += time.monotonic() - start
        return float(error.detach())


def begin(size: Size, where: Device = CPU, seed: int = 0) -> State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = denoiser(size).eval()  # `loss` leaves labels out; the network would do so by itself, unseeded
    network.to(where.name)
    adam = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    return State(
        network, copy.deepcopy(network).requires_grad_(False), adam, torch.Generator().manual_seed(seed), where
    )


def save(state: State, path: Path) -> None:
    facts = {
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "adam": state.adam.state_dict(),
        "dice": state.dice.get_state(),
        "steps": state.steps,
        "seconds": state.seconds,
    }
    with places.whole(path) as beside:
        torch.save(facts, beside)


def load(state: State, path: Path) -> None:
    facts = torch.load(path, weights_only=True)
    state.network.load_state_dict(facts["network"])
    state.average.load_state_dict(facts["average"])
    state.adam.load_state_dict(facts["adam"])
    state.dice.set_state(facts["dice"])
    state.steps, state.seconds = facts["steps"], facts["seconds"]


def train(
    work: Path,
    data: Data,
    size: Size,
    more: Callable[[State], bool],
    tell: Callable[[str], None],
    where: Device = CPU,
) -> State:
    """Train as long as `more` says so, checked before each step; the state and the model are saved at the end too."""
    state, path = begin(size, where), work / "state.pt"
    if path.exists():
        load(state, path)
    some = data.latents[:: max(1, len(data.labels) // 2000)].float()
    mean, deviation = some.mean((0, 2, 3), keepdim=True), some.std((0, 2, 3), keepdim=True)

    def keep() -> None:
        save(state, path)
        weights.save(work / weights.FILE, weights.Model(state.average, size, mean, deviation, data.names, state.steps))

    losses: list[float] = []
    saved = time.monotonic()
    while more(state):
        losses.append(state.step(data, mean, deviation, size))
        if time.monotonic() - saved >= SAVE_SECONDS:
            keep()
            tell(f"step {state.steps}: loss {sum(losses) / len(losses):.4f}, {SAVE_SECONDS / len(losses):.2f} s a step")
            losses, saved = [], time.monotonic()
    if state.steps != _kept_steps(work):  # else the file, by which a study knows it, stays as it is
        keep()
    return state


def _kept_steps(work: Path) -> int:
    try:
        return weights.load(work / weights.FILE).steps
    except GlazeError:
        return -1


def trained(work: Path, minutes: float, tell: Callable[[str], None]) -> Path:
    """The file of a MiniMimic that was trained for so long in all; what is missing is done now. Raises GlazeError."""
    data = latents.gathered(work)
    tell(f"{len(data.labels)} crops of {len(data.names)} styles: {', '.join(data.names)}")
    train(work, data, Size(len(data.names)), lambda state: state.seconds < 60 * minutes, tell, device.choose())
    return work / weights.FILE

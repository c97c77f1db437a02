"""`python -m glaze_server.mimicry.minimimic.train --work DIR`: trains MiniMimic; goes on where it stopped.

Packages, latents and the state are kept below DIR; `minimimic.safetensors` there is the model so far, its weights
averaged over the last steps (EMA). TAEF2's weights are taken from the artist's models or from --autoencoder.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.mimicry.minimimic import kept, latents
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
    """A training in progress. average: the network's, by EMA."""

    network: Any
    average: Any
    adam: torch.optim.AdamW
    dice: torch.Generator
    steps: int = 0

    def step(self, data: Data, mean: Tensor, deviation: Tensor, size: Size) -> float:
        """One step of training; returns its loss."""
        for group in self.adam.param_groups:
            group["lr"] = RATE * min(1, (self.steps + 1) / WARM)
        chosen = torch.randint(len(data.labels), (BATCH,), generator=self.dice)
        batch = (data.latents[chosen].float() - mean) / deviation
        if torch.rand((), generator=self.dice) < 0.5:
            batch = batch.flip(-1)
        error = loss(self.network, batch, data.labels[chosen], self.dice, size.none)
        self.adam.zero_grad(set_to_none=True)
        error.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.adam.step()
        self.steps += 1
        share = min(MEMORY, self.steps / (self.steps + 10))
        with torch.no_grad():
            for kept_one, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept_one.lerp_(new, 1 - share)
        return float(error.detach())


def begin(size: Size, seed: int = 0) -> State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = denoiser(size).eval()  # `loss` leaves labels out; the network would do so by itself, unseeded
    adam = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    return State(network, copy.deepcopy(network).requires_grad_(False), adam, torch.Generator().manual_seed(seed))


def save(state: State, path: Path) -> None:
    facts = {
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "adam": state.adam.state_dict(),
        "dice": state.dice.get_state(),
        "steps": state.steps,
    }
    beside = path.with_name(f"{path.name}.part")
    torch.save(facts, beside)
    beside.replace(path)


def load(state: State, path: Path) -> None:
    facts = torch.load(path, weights_only=True)
    state.network.load_state_dict(facts["network"])
    state.average.load_state_dict(facts["average"])
    state.adam.load_state_dict(facts["adam"])
    state.dice.set_state(facts["dice"])
    state.steps = facts["steps"]


def train(work: Path, data: Data, size: Size, more: Callable[[State], bool], tell: Callable[[str], None]) -> State:
    """Train as long as `more` says so, checked before each step; the state and the model are saved at the end too."""
    state, path = begin(size), work / "state.pt"
    if path.exists():
        load(state, path)
    some = data.latents[:: max(1, len(data.labels) // 2000)].float()
    mean, deviation = some.mean((0, 2, 3), keepdim=True), some.std((0, 2, 3), keepdim=True)

    def keep() -> None:
        save(state, path)
        kept.save(work / kept.FILE, kept.Model(state.average, size, mean, deviation, data.names))

    losses: list[float] = []
    saved = time.monotonic()
    while more(state):
        losses.append(state.step(data, mean, deviation, size))
        if time.monotonic() - saved >= SAVE_SECONDS:
            keep()
            tell(f"step {state.steps}: loss {sum(losses) / len(losses):.4f}, {SAVE_SECONDS / len(losses):.2f} s a step")
            losses, saved = [], time.monotonic()
    keep()
    return state


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m glaze_server.mimicry.minimimic.train", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for packages, latents and weights")
    parser.add_argument("--minutes", type=float, default=180, help="how long at most")
    parser.add_argument("--autoencoder", type=Path, help="folder with taef2_encoder.pth and taef2_decoder.pth")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.autoencoder:
        os.environ["GLAZE_HOME"] = str(options.work / "home")
        places.models().mkdir(parents=True, exist_ok=True)
        for file in options.autoencoder.resolve().glob("taef2_*.pth"):
            link = places.models() / file.name
            link.unlink(missing_ok=True)
            link.symlink_to(file)
    try:
        data = latents.gathered(options.work)
    except GlazeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{len(data.labels)} crops of {len(data.names)} styles: {', '.join(data.names)}", flush=True)
    end = time.monotonic() + options.minutes * 60

    def tell(sentence: str) -> None:
        print(sentence, flush=True)

    train(options.work, data, Size(len(data.names)), lambda _: time.monotonic() < end, tell)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Distil the embedded encoder from TAEF2's.

    python -m glaze_server.engine.training.distil --work DIR --teacher FILE [--minutes N] [--out FILE]

A run can be stopped at any time and goes on from its last checkpoint; `--minutes` counts the time of all runs.

Half of the labelled batches are on policy: projected gradient descent on the student makes the crops, the teacher
labels them. Without them the student is sensitive in directions that its teacher ignores, and cloaks go there.
"""

import argparse
import datetime
import json
import math
import random
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from glaze_server.engine.networks import embedded_network, taef2_network
from glaze_server.engine.training.crops import CropSampler
from glaze_server.engine.training.muon import Muon
from glaze_server.engine.training.pictures import build_bank

BATCH = 8
ADVERSARIAL_SHARE, ADVERSARIAL_FROM, ADVERSARIAL_FULL = 0.55, 300, 1500
"""The share of on-policy batches grows from nothing to its full value between these steps."""
REPLAYS = 2
REPLAY_BATCHES = 300
LEARNING_RATE = 3e-3
WARM_UP_STEPS = 200
EMA_DECAY = 0.998
CHECKPOINT_S, LOG_S = 60, 60
DEFAULT_OUT = Path(__file__).parents[1] / "weights" / "embedded.safetensors"


@dataclass
class Labelled:
    """Crops (N, 3, H, W) with the teacher's latents of them (N, 32, H/8, W/8)."""

    crops: Tensor
    latents: Tensor


class Teacher:
    """TAEF2's encoder, frozen, in bfloat16 and channels last (three times as fast, relative error 2e-4)."""

    def __init__(self, weights: Path) -> None:
        self.network = taef2_network()
        self.network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.network.requires_grad_(False).eval().to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def label(self, crops: Tensor) -> Tensor:
        """Latents (N, 32, H/8, W/8), float32, of crops in [0, 1]."""
        latents: Tensor = self.network(crops.to(torch.bfloat16, memory_format=torch.channels_last))
        return latents.float()


def student_latents(student: nn.Module, crops: Tensor) -> Tensor:
    """Latents of the student, computed in bfloat16, returned in float32."""
    with torch.autocast("cpu", torch.bfloat16):
        latents: Tensor = student(crops.contiguous(memory_format=torch.channels_last))
    return latents.float()


def relative_mse(latents: Tensor, wanted: Tensor, variance: Tensor) -> Tensor:
    """Squared error in units of the teacher's variance, channel by channel, then averaged: 1 is a constant guess."""
    return ((latents - wanted).square().mean((0, 2, 3)) / variance).mean()


def cloaked(student: nn.Module, crops: Tensor, targets: Tensor, dice: random.Random) -> Tensor:
    """`crops` moved towards `targets` as the student sees them: 2-5 sign-momentum steps, |δ| ≤ 4..16/255.

    Every third time the gradient is taken at half resolution, as a cloak that survives downscaling has to.
    """
    box = dice.choice((4, 6, 8, 8, 12, 16)) / 255
    steps = dice.randint(2, 5)
    coarse = dice.random() < 0.33
    with torch.no_grad():
        goal = student_latents(student, targets)
    delta = torch.empty_like(crops).uniform_(-box / 4, box / 4)
    momentum = torch.zeros_like(crops)
    for _ in range(steps):
        delta.requires_grad_(True)
        distance = (student_latents(student, crops + delta) - goal).square().sum()
        (gradient,) = torch.autograd.grad(distance, delta)
        if coarse:
            gradient = functional.interpolate(functional.avg_pool2d(gradient, 2), scale_factor=2.0, mode="bilinear")
        momentum = 0.7 * momentum + gradient / gradient.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-12)
        delta = (delta.detach() - 1.5 * box / steps * momentum.sign()).clamp(-box, box)
        delta = (crops + delta).clamp(0, 1) - crops
    return (crops + delta).detach()


class Distillation:
    """Student, moving average, optimiser and clock of one run; all of it goes into the checkpoint."""

    def __init__(self, work: Path, teacher: Teacher, minutes: float) -> None:
        self.work, self.teacher, self.budget_s = work, teacher, 60 * minutes
        bank = build_bank(work)
        seed = time.time_ns() % 2**32
        self.sampler = CropSampler(bank, "train", seed)
        self.dice = random.Random(seed)
        self.student = embedded_network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = embedded_network().requires_grad_(False)
        self.average.load_state_dict(self.student.state_dict())
        parameters = list(self.student.parameters())
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon([parameter for parameter in parameters if parameter.ndim == 4], lr=LEARNING_RATE),
            torch.optim.AdamW([parameter for parameter in parameters if parameter.ndim < 4], lr=LEARNING_RATE),
        ]
        self.replay: deque[Labelled] = deque(maxlen=REPLAY_BATCHES)
        self.steps, self.trained_s = 0, 0.0
        self.losses: dict[str, list[float]] = {}
        held_out = CropSampler(bank, "test", seed=0).clean(96)
        self.held_out = Labelled(held_out, teacher.label(held_out))
        statistics = teacher.label(CropSampler(bank, "train", seed=1).clean(256))
        self.variance = statistics.var((0, 2, 3))
        self.load()

    @property
    def checkpoint(self) -> Path:
        return self.work / "checkpoint.pt"

    def load(self) -> None:
        """Go on from the checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.steps, self.trained_s, self.variance = state["steps"], state["trained_s"], state["variance"]

    def save(self) -> None:
        """Write the checkpoint beside and rename it."""
        beside = self.checkpoint.with_suffix(".new")
        state = {
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "steps": self.steps,
            "trained_s": self.trained_s,
            "variance": self.variance,
        }
        torch.save(state, beside)
        beside.replace(self.checkpoint)

    def labelled_batch(self) -> tuple[str, Labelled]:
        """Fresh crops with the teacher's labels, and of which kind they are."""
        ramp = (self.steps - ADVERSARIAL_FROM) / (ADVERSARIAL_FULL - ADVERSARIAL_FROM)
        if self.dice.random() < ADVERSARIAL_SHARE * min(1.0, ramp):
            crops = cloaked(self.student, *self.sampler.pairs(BATCH), self.dice)
            return "adversarial", Labelled(crops, self.teacher.label(crops))
        crops = self.sampler.clean(BATCH)
        return "clean", Labelled(crops, self.teacher.label(crops))

    def train_on(self, batch: Labelled) -> float:
        """One optimiser step; returns the loss (relative MSE)."""
        progress = min(1.0, self.trained_s / self.budget_s)
        cosine = 0.01 + 0.99 * math.cos(progress * math.pi / 2) ** 2
        rate = LEARNING_RATE * cosine * min(1.0, (self.steps + 1) / WARM_UP_STEPS)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        loss = relative_mse(student_latents(self.student, batch.crops), batch.latents, self.variance)
        self.student.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.steps += 1
        keep = min(EMA_DECAY, self.steps / (self.steps + 20))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.student.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        return loss.item()

    def round(self) -> None:
        """Label one batch, train on it and on `REPLAYS` labelled earlier."""
        kind, batch = self.labelled_batch()
        self.losses.setdefault(kind, []).append(self.train_on(batch))
        self.replay.append(batch)
        for _ in range(REPLAYS):
            self.train_on(self.dice.choice(self.replay))

    @torch.no_grad()
    def held_out_error(self) -> float:
        """Relative MSE of the averaged student on crops of the test split."""
        guess = student_latents(self.average, self.held_out.crops)
        return relative_mse(guess, self.held_out.latents, self.variance).item()

    def log(self) -> None:
        """Append a line to log.jsonl: clock, steps, mean losses since the last line, held-out error."""
        means = {kind: round(sum(values) / len(values), 4) for kind, values in self.losses.items()}
        self.losses.clear()
        held_out = round(self.held_out_error(), 4)
        line = {"trained_s": round(self.trained_s), "steps": self.steps, **means, "held_out": held_out}
        with (self.work / "log.jsonl").open("a") as log:
            print(json.dumps(line), file=log)

    def run(self, out: Path, export_s: float) -> None:
        """Train until the budget is used up; export every `export_s` seconds and at the end."""
        started = time.monotonic() - self.trained_s
        saved = logged = exported = self.trained_s
        while self.trained_s < self.budget_s:
            self.round()
            self.trained_s = time.monotonic() - started
            if self.trained_s - logged > LOG_S:
                self.log()
                logged = self.trained_s
            if self.trained_s - saved > CHECKPOINT_S:
                self.save()
                saved = self.trained_s
            if self.trained_s - exported > export_s:
                self.export(out)
                exported = self.trained_s
        self.log()
        self.save()
        self.export(out)

    def export(self, out: Path) -> None:
        """Write the averaged student as float16 safetensors, beside and then renamed."""
        weights = {name: value.to(torch.float16).contiguous() for name, value in self.average.state_dict().items()}
        metadata = {
            "network": "embedded_network",
            "licence": "MIT",
            "teacher": "TAEF2 encoder (MIT)",
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "steps": str(self.steps),
            "minutes": f"{self.trained_s / 60:.0f}",
            "held_out_relative_mse": f"{self.held_out_error():.4f}",
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = out.with_suffix(".new")
        save_file(weights, beside, metadata)
        beside.chmod(0o644)
        beside.replace(out)


def main() -> None:
    parser = argparse.ArgumentParser(description="Distil the embedded encoder from TAEF2's.")
    parser.add_argument("--work", type=Path, required=True, help="folder for bank, checkpoint and log")
    parser.add_argument("--teacher", type=Path, required=True, help="the published TAEF2 encoder weights")
    parser.add_argument("--minutes", type=float, default=75.0, help="training time over all runs")
    parser.add_argument("--export-minutes", type=float, default=15.0, help="time between exports")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    run = Distillation(arguments.work, Teacher(arguments.teacher), arguments.minutes)
    run.run(arguments.out, 60 * arguments.export_minutes)


if __name__ == "__main__":
    main()

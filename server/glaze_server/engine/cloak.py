"""The cloak δ: the objective and its optimiser.

Glaze (Shan et al., USENIX Security 2023), equation 1: δ moves the encoder's view of the picture to that of its
style-transferred target while it stays invisible. Solved here over several renditions of the picture (smaller, shifted,
compressed), of which the one counts most on which least is reached, by signed steps with momentum inside a box that
follows the eye (just-noticeable difference), while Lagrange multipliers hold each part of the visual budget near its
limit.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glaze_plugin.errors import GlazeError
from glaze_server.engine import tiles
from glaze_server.engine.budget import Budget
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.grain import Cells
from glaze_server.engine.pixels import checker, over
from glaze_server.engine.progress import Paused
from glaze_server.engine.renditions import Deck, Rendition
from glaze_server.engine.restraint import Restraints
from glaze_server.engine.settings import Quality

MOMENTUM = 0.8
WHITE = (1.0, 1.0)
BACKGROUNDS = (WHITE, (0.0, 0.0), (1.0, 0.8))
"""Behind transparency, in turns: nobody knows what a trainer composites it on. Each is the two grays of a checker's
squares; the last is what programs show as transparent, and screenshots with them.
"""
STEP = 0.1
"""Share of the largest room that the first of STEP_ITERATIONS steps takes; fewer steps are longer."""
STEP_ITERATIONS = 40


@dataclass(frozen=True)
class Subject:
    """What is cloaked. All in [0, 1].

    colour: (1, 1 or 3, H, W). opacity: (1, 1, H, W) or None. target: (1, 3, H, W), Ω(x, T).
    room: (1, 1, H, W), the largest |δ| that each pixel may take; 0 where the cloak must not reach.
    cells: whose pixels share one δ; None for none.
    """

    colour: Tensor
    opacity: Tensor | None
    target: Tensor
    room: Tensor
    cells: Cells | None = None

    def to(self, device: str) -> Subject:
        """The same on another device."""
        opacity = None if self.opacity is None else self.opacity.to(device)
        cells = None if self.cells is None else self.cells.to(device)
        return Subject(self.colour.to(device), opacity, self.target.to(device), self.room.to(device), cells)

    def seen(self, delta: Tensor, background: tuple[float, float] = WHITE) -> Tensor:
        """What a viewer sees, (1, 3, H, W). background: one of BACKGROUNDS."""
        if self.opacity is None:
            return over(self.colour + delta, None)
        return over(self.colour + delta, self.opacity, checker(self.opacity, *background))

    def together(self, slope: Tensor) -> Tensor:
        """The slope that each pixel's δ follows, shaped like it: its cell's mean."""
        return self.cells.mean(slope, self.room) if self.cells else slope


class Objective:
    """The relative distance to the target, ‖E(t(x+δ)) − E(t(T))‖ / ‖E(t(x)) − E(t(T))‖, and its gradient.

    The target's latents are computed once for each rendition t that is drawn.
    """

    def __init__(self, subject: Subject, encoders: Sequence[Encoder], compute: Compute) -> None:
        self._subject = subject
        self._encoders = encoders
        self._compute = compute
        self._referred = compute.device
        self._references: dict[tuple[int, Rendition, tuple[float, float]], tuple[Tensor, float]] = {}

    def gradient(self, delta: Tensor, rendition: Rendition, background: tuple[float, float]) -> tuple[float, Tensor]:
        """The distance and its gradient with respect to δ, shaped like δ; mean over the encoders."""
        delta = delta.detach().requires_grad_()
        view = rendition.placed(self._subject.seen(delta, background))
        pull, left = torch.zeros_like(view), 0.0
        for number, encoder in enumerate(self._encoders):
            goal, start = self._reference(number, rendition, background)
            unit = start / math.sqrt(goal.numel())
            squared, slope = tiles.gradient(
                encoder, view.detach(), _distance(goal, unit), self._compute, rendition.damaged
            )
            distance = math.sqrt(max(squared * unit, TINY * start**2))
            pull += slope * (unit / (2 * distance * start) / len(self._encoders))
            left += distance / start / len(self._encoders)
        (result,) = torch.autograd.grad(view, delta, pull)
        return left, result

    def _reference(self, number: int, rendition: Rendition, background: tuple[float, float]) -> tuple[Tensor, float]:
        """The target's latent, and how far the picture's is from it."""
        if self._referred != self._compute.device:  # as a run would that is taken up again on the new device
            self._references.clear()
            self._referred = self._compute.device
        key = (number, rendition, background if self._subject.opacity is not None else WHITE)
        if key not in self._references:
            encoder, subject = self._encoders[number], self._subject
            goal, clean = (
                tiles.encode(encoder, rendition.placed(picture), self._compute, rendition.damaged)
                for picture in (subject.target, subject.seen(torch.zeros_like(subject.colour), background))
            )
            start = float((clean - goal).norm())
            if not math.isfinite(start) or start == 0:
                raise GlazeError(
                    "no_distance", f"The encoder {encoder.name} sees no way from the picture to its target."
                )
            self._references[key] = (goal, start)
        return self._references[key]


TINY = 1e-12
"""Share of the squared distance at the start below which the target counts as reached."""


def _distance(goal: Tensor, unit: float) -> Callable[[Tensor, tiles.Window], Tensor]:
    """The squared distance divided by `unit`, whose slopes are near 1: half precision would lose smaller ones."""

    def loss(latent: Tensor, window: tiles.Window) -> Tensor:
        return (latent - goal[..., window.place[0], window.place[1]]).square().sum() / unit

    return loss


def optimise(
    subject: Subject,
    encoders: Sequence[Encoder],
    quality: Quality,
    budget: Budget,
    seed: int,
    step: Callable[[Tensor], None],
    checkpoint: Checkpoint | None = None,
    compute: Compute | None = None,
) -> Tensor:
    """δ within the subject's room, shaped like its colour; done early where it comes far enough within the budget.

    step: called with δ after each of at most `quality.iterations`, those of an earlier run included; may raise to stop,
    and where it raises Paused the state is saved. checkpoint: where an interrupted run with the same arguments is
    taken up again; the δ is the same to the bit. compute: the job's device; None for the CPU. Raises GlazeError where
    δ cannot be computed.
    """
    checkpoint, compute = checkpoint or Checkpoint(), compute or Compute()
    subject = subject.to(compute.home(subject.colour))
    objective = Objective(subject, encoders, compute)
    deck = Deck(min(subject.colour.shape[-2:]), quality.grids)
    restraints = Restraints(subject.seen(torch.zeros_like(subject.colour)), budget, quality.looks, compute)
    dice = random.Random(seed)
    delta = torch.zeros_like(subject.colour)
    velocity = torch.zeros_like(delta)
    length = STEP * (STEP_ITERATIONS / quality.iterations) ** 0.25 * float(subject.room.max())
    done = 0
    saved = checkpoint.load()
    if saved and len(saved[1].get("restraints", ())) == len(restraints.facts()):  # of this version
        tensors, facts = saved
        compute.resume(facts["compute"])
        delta, velocity = (tensors[name].to(subject.colour) for name in ("delta", "velocity"))
        done = facts["done"]
        restraints.load(facts["restraints"])
        deck.load(facts["left"])
        version, words, gauss = facts["dice"]
        dice.setstate((version, tuple(words), gauss))
        for _ in range(done):
            step(delta.cpu())
    for iteration in range(done, quality.iterations):
        background = BACKGROUNDS[iteration % len(BACKGROUNDS)]
        slope = restraints.gradient(delta, subject.seen, iteration)
        for rendition, weight in deck.draw(dice, iteration):
            left, pull = objective.gradient(delta, rendition, background)
            deck.note(rendition, left)
            slope += weight * pull
        if deck.reached and restraints.held:
            break
        slope = subject.together(slope)
        velocity = MOMENTUM * velocity + slope / slope.abs().mean().clamp_min(1e-20)
        rate = 0.5 * (1 + math.cos(math.pi * iteration / quality.iterations))
        delta -= length * rate * velocity.sign()
        delta = torch.minimum(torch.maximum(delta, -subject.room), subject.room)
        delta = (subject.colour + delta).clamp(0, 1) - subject.colour
        tensors = {"delta": delta, "velocity": velocity}
        facts = {
            "done": iteration + 1,
            "restraints": restraints.facts(),
            "left": deck.facts(),
            "dice": dice.getstate(),
            "compute": compute.facts(),
        }
        if checkpoint.due():
            checkpoint.save(tensors, facts)
        try:
            step(delta.cpu())
        except Paused:
            checkpoint.save(tensors, facts)
            raise
    if not delta.isfinite().all():
        raise GlazeError("not_finite", "The computation gave no usable numbers, so no cloak was made.")
    return delta.cpu()

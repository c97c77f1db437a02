"""The cloak δ: the objective and its optimiser.

Glaze (Shan et al., USENIX Security 2023), equation 1: δ moves the encoder's view of the picture to that of its
style-transferred target while it stays invisible. Solved here over several scales and shifts of the picture, by signed
steps with momentum inside a box that follows the eye (just-noticeable difference), and scaled into the visual budget
at the end.
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
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.perception import Budget, Lpips
from glaze_server.engine.pixels import over
from glaze_server.engine.progress import Paused
from glaze_server.engine.settings import Quality
from glaze_server.engine.survival import resize

SCALES = (1.0, 0.5, 0.375, 0.25)
"""Renditions that the cloak is optimised for: every scraper resizes."""
SHIFTS = ((0, 0), (3, 5), (6, 2), (5, 7))
"""Rows and columns cut off, so that the cloak does not hang on the encoder's 8 px grid."""
MIN_SCALED = 32
"""px; a rendition whose shorter side would be smaller is left out."""
MOMENTUM = 0.9
BACKGROUNDS = (1.0, 0.0)
"""Grays behind transparency, in turns: nobody knows what a trainer composites it on."""


@dataclass(frozen=True)
class Subject:
    """What is cloaked. All in [0, 1].

    colour: (1, 1 or 3, H, W). opacity: (1, 1, H, W) or None. target: (1, 3, H, W), Ω(x, T).
    room: (1, 1, H, W), the largest |δ| that each pixel may take; 0 where the cloak must not reach.
    """

    colour: Tensor
    opacity: Tensor | None
    target: Tensor
    room: Tensor

    def seen(self, delta: Tensor, background: float = 1.0) -> Tensor:
        return over(self.colour + delta, self.opacity, background)


class Objective:
    """The squared relative distance to the target, ‖E(t(x+δ)) − E(t(T))‖² / ‖E(t(x)) − E(t(T))‖², and its gradient.

    The target's latents are computed once for each rendition t (scale, shift) that is drawn.
    """

    def __init__(self, subject: Subject, encoders: Sequence[Encoder], compute: Compute) -> None:
        self._subject = subject
        self._encoders = encoders
        self._compute = compute
        self._referred = compute.device
        shorter = min(subject.colour.shape[-2:])
        self.scales = [scale for scale in SCALES if shorter * scale >= MIN_SCALED]
        self._references: dict[tuple[int, float, tuple[int, int]], tuple[Tensor, Tensor]] = {}

    def gradient(self, delta: Tensor, scale: float, shift: tuple[int, int], background: float) -> Tensor:
        """Gradient with respect to δ, mean over the encoders, shaped like δ."""
        delta = delta.detach().requires_grad_()
        view = self._rendition(self._subject.seen(delta, background), scale, shift)
        pull = torch.zeros_like(view)
        for number, encoder in enumerate(self._encoders):
            goal, start = self._reference(number, scale, shift)
            unit = (start / goal.numel()).sqrt()
            part = tiles.gradient(encoder, view.detach(), _distance(goal, unit), self._compute)
            pull += part * (unit / start / len(self._encoders))
        (result,) = torch.autograd.grad(view, delta, pull)
        return result

    def draw_scales(self, draw: random.Random, count: int) -> list[float]:
        """The full size, which most of what happens online starts from, and count − 1 smaller ones at random."""
        return [self.scales[0], *draw.sample(self.scales[1:], min(count - 1, len(self.scales) - 1))]

    def _reference(self, number: int, scale: float, shift: tuple[int, int]) -> tuple[Tensor, Tensor]:
        if self._referred != self._compute.device:  # as a run would that is taken up again on the new device
            self._references.clear()
            self._referred = self._compute.device
        key = (number, scale, shift)
        if key not in self._references:
            encoder, subject = self._encoders[number], self._subject
            goal = tiles.encode(encoder, self._rendition(subject.target, scale, shift), self._compute)
            seen = subject.seen(torch.zeros(()))
            clean = tiles.encode(encoder, self._rendition(seen, scale, shift), self._compute)
            start = (clean - goal).square().sum()
            if not torch.isfinite(start) or start == 0:
                raise GlazeError(
                    "no_distance", f"The encoder {encoder.name} sees no way from the picture to its target."
                )
            self._references[key] = (goal, start)
        return self._references[key]

    @staticmethod
    def _rendition(x: Tensor, scale: float, shift: tuple[int, int]) -> Tensor:
        return resize(x, scale)[..., shift[0] :, shift[1] :]


def _distance(goal: Tensor, unit: Tensor) -> Callable[[Tensor, tiles.Window], Tensor]:
    """The squared distance divided by `unit`, whose slopes are near 1: half precision would lose those of 1/start."""

    def loss(latent: Tensor, window: tiles.Window) -> Tensor:
        return (latent - goal[..., window.place[0], window.place[1]]).square().sum() / unit

    return loss


class Penalty:
    """Holds LPIPS near its limit: equation 1's α·max(LPIPS − p, 0), with an α that follows the distance."""

    GROWTH = 1.25

    def __init__(self, subject: Subject, limit: float, compute: Compute) -> None:
        self._subject = subject
        self._lpips = Lpips(subject.seen(torch.zeros(())), "alex", most=None, compute=compute)
        self._limit = limit
        self.alpha = 0.1

    def gradient(self, delta: Tensor) -> Tensor:
        """Its gradient with respect to δ, of mean magnitude α."""
        delta = delta.detach().requires_grad_()
        seen = self._subject.seen(delta)
        distance, pull = self._lpips.gradient(seen)
        self.alpha *= self.GROWTH if distance > self._limit else 1 / self.GROWTH
        (result,) = torch.autograd.grad(seen, delta, pull)
        return self.alpha * _unit(result)


def _unit(gradient: Tensor) -> Tensor:
    return gradient / gradient.abs().mean().clamp_min(1e-20)


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
    """δ within the subject's room, shaped like its colour.

    step: called with δ after each of `quality.iterations`, those of an earlier run included; may raise to stop, and
    where it raises Paused the state is saved. checkpoint: where an interrupted run with the same arguments is taken up
    again; the δ is the same to the bit. compute: the job's device; None for the CPU. Raises GlazeError where δ cannot
    be computed.
    """
    checkpoint, compute = checkpoint or Checkpoint(), compute or Compute()
    objective = Objective(subject, encoders, compute)
    penalty = Penalty(subject, budget.lpips_alex, compute)
    draw = random.Random(seed)
    delta = torch.zeros_like(subject.colour)
    velocity = torch.zeros_like(delta)
    done = 0
    saved = checkpoint.load()
    if saved and "compute" in saved[1]:  # an older version's is begun anew
        tensors, facts = saved
        compute.resume(facts["compute"])
        delta, velocity, done, penalty.alpha = tensors["delta"], tensors["velocity"], facts["done"], facts["alpha"]
        version, words, gauss = facts["draw"]
        draw.setstate((version, tuple(words), gauss))
        for _ in range(done):
            step(delta)
    for iteration in range(done, quality.iterations):
        background = BACKGROUNDS[iteration % 2]
        for scale in objective.draw_scales(draw, quality.scales):
            velocity += _unit(objective.gradient(delta, scale, draw.choice(SHIFTS), background))
        velocity += penalty.gradient(delta)
        rate = 0.5 * (1 + math.cos(math.pi * iteration / quality.iterations))
        delta -= STEP * rate * subject.room * velocity.sign()
        velocity *= MOMENTUM
        delta = torch.minimum(torch.maximum(delta, -subject.room), subject.room)
        delta = (subject.colour + delta).clamp(0, 1) - subject.colour
        tensors = {"delta": delta, "velocity": velocity}
        facts = {"done": iteration + 1, "alpha": penalty.alpha, "draw": draw.getstate(), "compute": compute.facts()}
        if checkpoint.due():
            checkpoint.save(tensors, facts)
        try:
            step(delta)
        except Paused:
            checkpoint.save(tensors, facts)
            raise
    if not delta.isfinite().all():
        raise GlazeError("not_finite", "The computation gave no usable numbers, so no cloak was made.")
    return delta


STEP = 0.25
"""Share of the room that the first step takes."""

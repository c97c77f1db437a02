"""The training pictures of a study as its arms need them: cloaked, and the controls at an equal visual budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glaze_server.engine import artist, choice, measure, styles
from glaze_server.engine.budget import FIT_STEPS, RESTARTS, Budget, Eye, fill, fit
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.jnd import room
from glaze_server.engine.pixels import rounded
from glaze_server.engine.settings import QUALITIES
from glaze_server.engine.transfer import transfer

LOOKED_AT = 4
"""Pictures by which a target style is chosen where the artist keeps none."""
NOISE_LEVEL = 8 / 255
BLEND_SHARE = 0.06
"""What the controls are before they are scaled to the budget."""


@dataclass(frozen=True)
class Treated:
    """One picture, each (1, 3, H, W), 8 bits. figures: of the cloak, as `measure.report` gives them.

    foreign: cloaked against other encoders alone, None where there were none.
    """

    cloak: Tensor
    foreign: Tensor | None
    noise: Tensor
    blend: Tensor
    figures: dict[str, Any]


def target_style(pictures: Tensor, named: str, seed: int, tick: Callable[[], None]) -> str:
    """The style that all are drawn towards: the named one, the artist's, or one drawn as for a first picture.

    tick: called often. Raises BadInput for an unknown name. Nothing is kept.
    """
    if named != "auto":
        return styles.find(named).name
    if kept := artist.known():
        return kept.style
    far = [choice.distances(picture[None], tick) for picture in pictures[:LOOKED_AT]]
    return choice.choose([sum(column) / len(far) for column in zip(*far, strict=True)], seed)


def steps(quality: str, foreign: bool) -> int:
    """How often `treat` ticks, at most. foreign: whether there are other encoders too."""
    return (QUALITIES[quality].iterations + FIT_STEPS) * (1 + foreign) + FIT_STEPS * 2 * RESTARTS + measure.STEPS


def treat(
    picture: Tensor,
    style: str,
    judges: Sequence[Encoder],
    quality: str,
    seed: int,
    compute: Compute,
    tick: Callable[[], None],
    foreign: Sequence[Encoder] = (),
) -> Treated:
    """picture: (1, 3, H, W), 8 bits. judges: what the cloak is computed against, foreign: another one."""
    work = Work(picture, style, quality, seed, compute, tick)
    cloak = work.cloak(judges)
    other = work.cloak(foreign) if foreign else None
    signs = torch.randint(0, 2, picture.shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1
    noise, blend = work.control(NOISE_LEVEL * signs), work.control(BLEND_SHARE * (work.target - picture))
    figures = measure.report(judges, work.eye, cloak, work.target, tick, compute)
    return Treated(cloak, other, noise, blend, figures)


class Work:
    """One picture, (1, 3, H, W) in 8 bits, on the way towards a style; what is made of it has the same shape."""

    def __init__(
        self, picture: Tensor, style: str, quality: str, seed: int, compute: Compute, tick: Callable[[], None]
    ) -> None:
        self.target = rounded(transfer(picture, styles.index(style)))
        self.eye = Eye(picture, compute)
        self._picture, self._quality, self._seed = picture, quality, seed
        self._compute, self._tick = compute, tick

    def cloak(self, judges: Sequence[Encoder]) -> Tensor:
        """It is made as the job `protect` makes it."""
        subject, settings = (
            Subject(self._picture, None, self.target, room(self._picture, None)),
            QUALITIES[self._quality],
        )
        found = optimise(subject, judges, settings, Budget(), self._seed, lambda _: self._tick(), compute=self._compute)
        return self._show(found * fit(lambda share: self._show(found * share), self.eye, Budget(), self._tick))

    def control(self, delta: Tensor) -> Tensor:
        """The picture with a change that is scaled until it is as visible as a cloak may be."""
        most = float((self._show(delta) - self._picture).abs().max())
        return self._show(fill(delta, most, self._show, self.eye, Budget(), self._tick))

    def _show(self, delta: Tensor) -> Tensor:
        return rounded(self._picture + delta)


def mean_figures(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Each figure's mean over the pictures; all must have the same ones."""
    first = found[0]
    mean: dict[str, Any] = {}
    for name, value in first.items():
        values = [one[name] for one in found]
        if isinstance(value, dict):
            mean[name] = mean_figures(values)
        else:
            known = [one for one in values if one is not None]
            mean[name] = sum(known) / len(known) if known else None
    return mean

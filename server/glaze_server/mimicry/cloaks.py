"""The training pictures of a study as its arms need them: cloaked, and the controls at an equal visual budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glaze_server.engine import artist, measure, styles
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
    far = [styles.distances(picture[None], tick) for picture in pictures[:LOOKED_AT]]
    return styles.choose([sum(column) / len(far) for column in zip(*far, strict=True)], seed)


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
    """picture: (1, 3, H, W), 8 bits. The cloak is made as the job `protect` makes it."""
    target = rounded(transfer(picture, styles.index(style)))
    subject = Subject(picture, None, target, room(picture, None))
    eye, budget = Eye(picture, compute), Budget()

    def show(delta: Tensor) -> Tensor:
        return rounded(picture + delta)

    def cloaked(against: Sequence[Encoder]) -> Tensor:
        found = optimise(subject, against, QUALITIES[quality], budget, seed, lambda _: tick(), compute=compute)
        return show(fit(found, show, eye, budget, tick))

    cloak = cloaked(judges)
    other = cloaked(foreign) if foreign else None

    def control(delta: Tensor) -> Tensor:
        most = float((show(delta) - picture).abs().max())
        return show(fill(delta, most, show, eye, budget, tick))

    signs = torch.randint(0, 2, picture.shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1
    noise, blend = control(NOISE_LEVEL * signs), control(BLEND_SHARE * (target - picture))
    figures = measure.report(judges, eye, cloak, target, tick, compute)
    return Treated(cloak, other, noise, blend, figures)


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

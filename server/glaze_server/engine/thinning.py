"""Only the places where a cloak does most stay in a file that would grow too much with all of it.

What δ does at a place is the slope of the distance to the target there, taken on the way from no cloak to all of it
(integrated gradients: Sundararajan et al., ICML 2017, arXiv 1703.01365), of the picture as it is and as it becomes
online. docs/tried.md has what that keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from glaze_server.engine import grain
from glaze_server.engine.cloak import WHITE, Objective, Subject
from glaze_server.engine.layer import Course, Layer
from glaze_server.engine.picture import Picture
from glaze_server.engine.renditions import usual

GROWTH = 1.6
"""Times as large as it was: what a file stays below."""
POINTS = 2
"""Where the slope is taken on the way from no cloak to all of it."""
TRIALS = 6
"""Files at most that are written to find how much of δ goes into one."""
NEAR = 0.97
"""A file of that share of what it may become is large enough."""


def thinned(course: Course, layer: Layer, growth: Callable[[Picture], float]) -> Layer | None:
    """All of δ, or only where it does most, so that the file stays below GROWTH times its size.

    growth: how many times as large the file becomes with a page. None where hardly any δ would fit.
    """
    large = growth(layer.changed)
    if large < GROWTH:
        return layer
    subject = course.page.subject(course.target, layer.of)
    values = worth(course, subject, layer)

    def best(share: float) -> Layer:
        return replace(layer, small=layer.small * grain.best(values, subject.room, share))

    few, many, small, found = 0.0, 1.0, 1.0, None
    for trial in range(TRIALS):
        # On a straight line between what is known; every other time halfway, since the way is bent.
        between = few + (many - few) * ((GROWTH * NEAR - small) / (large - small) if trial % 2 == 0 else 0.5)
        part = best(between)
        size = growth(part.changed)
        if size >= GROWTH:
            many, large = between, size
        else:
            few, small, found = between, size, part
            if size >= GROWTH * NEAR:
                break
    return found


def worth(course: Course, subject: Subject, layer: Layer) -> Tensor:
    """How much δ does at each pixel, (1, 1, h, w): the fall of the distance to the target that is due to it."""
    there = subject.to(course.compute.home(subject.colour))
    delta = layer.small * layer.share
    delta = (grain.stepped(delta, subject.room, layer.step) if layer.step else delta).to(there.colour)
    objective = Objective(there, course.judges, course.compute)
    slope = torch.zeros_like(delta)
    for rendition in usual(min(delta.shape[-2:])):
        for point in range(POINTS):
            slope += objective.gradient(delta * ((point + 0.5) / POINTS), rendition, WHITE)[1]
    return -(there.together(slope) * delta).sum(1, keepdim=True).cpu()

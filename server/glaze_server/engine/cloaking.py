"""One page of a job from its samples to the cloaked ones: aimed, optimised, fitted into its file and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glaze_plugin.raster import RasterFormat
from glaze_server.engine import aim, fitting, measure, pixels, review
from glaze_server.engine.aim import Aim
from glaze_server.engine.budget import FIT_STEPS, Budget, Eye
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.cloak import optimise
from glaze_server.engine.fitting import Fitted, Work
from glaze_server.engine.layer import Course, Layer
from glaze_server.engine.page import Page
from glaze_server.engine.painters import Painter
from glaze_server.engine.pixels import rounded
from glaze_server.engine.settings import QUALITIES, Settings
from glaze_server.engine.source import Source, seen, within
from glaze_server.engine.survival import resize

PREVIEW_SIDE = 512
"""px of a preview's longer side."""


@dataclass(frozen=True)
class Cloak:
    """One cloaked page. pictures: PNG files of its size, "target" and "difference", as they were wanted."""

    fitted: Fitted
    figures: dict[str, Any]
    aim: Aim
    pictures: dict[str, bytes]


def steps(painter: Painter | None, settings: Settings) -> int:
    """How often one page advances the job's steps, at most."""
    return aim.strokes(painter) + QUALITIES[settings.quality].iterations + FIT_STEPS + measure.STEPS


def cloak(work: Work, source: Source, number: int, page: Page, later: int, checkpoint: Checkpoint) -> Cloak:
    """Cloak one page of the source. later: steps of the pages that follow.

    Raises BadInput where no cloak fits, GlazeError where none can be computed.
    """
    settings, compute, steps = work.settings, work.compute, work.steps
    left = FIT_STEPS + measure.STEPS + later
    aimed = aim.settle(settings, work.painter, page.small, steps, compute, checkpoint.beside("target"))

    course = Course(page, aimed.target, work.judges, compute)
    steps.begin("cloaking", QUALITIES[settings.quality].iterations + left)
    layer = Layer(page, _optimised(work, page, aimed.target, checkpoint), work.grain)

    steps.begin("fitting to the eye", left)
    eye = Eye(page.excerpt(page.seen), compute)
    found = fitting.fitted(work, source, number, layer, course, eye)
    cloaked = rounded(seen(page.excerpt_of(found.kept)))

    steps.begin("measuring", measure.STEPS + later)
    trained = (rounded(page.small), rounded(page.small_of(found.kept))) if page.large else None
    figures = measure.report(work.judges, eye, cloaked, aimed.target, steps.advance, compute, trained)
    pictures = {}
    if settings.want_target:
        pictures["target"] = page.as_png(lambda place: page.enlarged(aimed.target, place))
    if settings.want_review:
        pictures["difference"] = page.as_png(
            lambda place: review.difference(rounded(page.seen(place)), rounded(page.seen_of(found.kept, place)))
        )
        figures["at_opacity"] = measure.at_opacities(work.judges, eye, cloaked, aimed.target, compute, trained)
    return Cloak(found, figures, aimed, pictures)


def _optimised(work: Work, page: Page, target: Tensor, checkpoint: Checkpoint) -> Tensor:
    """δ, (1, C, h, w) at the size of training."""
    settings, subject = work.settings, page.subject(target, work.grain)
    if not settings.strength:
        return torch.zeros_like(subject.colour)

    def step(delta: Tensor) -> None:
        work.steps.advance()
        if work.steps.preview_due():
            shown = within(subject.seen(delta), page.picture)
            small = pixels.to_8bit(resize(shown, min(1.0, PREVIEW_SIDE / max(shown.shape[-2:]))))
            work.steps.preview(RasterFormat(small.shape[1], small.shape[0], "RGB", "u8"), small.tobytes())

    quality, budget = QUALITIES[settings.quality], Budget().scaled(settings.strength)
    return optimise(subject, work.judges, quality, budget, settings.seed, step, checkpoint, work.compute)

"""One page of a job from its samples to the cloaked ones: aimed, optimised, fitted to the eye and measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_plugin.errors import BadInput
from glaze_plugin.raster import RasterFormat
from glaze_server.engine import aim, formats, measure, pixels, review
from glaze_server.engine.aim import Aim
from glaze_server.engine.budget import FIT_STEPS, Budget, Eye, fit
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.looking import Place
from glaze_server.engine.page import Page, as_png, scaled
from glaze_server.engine.painters import Painter
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import rounded
from glaze_server.engine.progress import Steps
from glaze_server.engine.settings import QUALITIES, Settings
from glaze_server.engine.source import Source, seen, within
from glaze_server.engine.survival import resized
from glaze_server.engine.tiles import Window

PREVIEW_SIDE = 512
"""px of a preview's longer side."""
LOSS = 0.1
"""The share of the targeted shift that a file's own compression may take."""
GROWTH = 1.6
"""Times as large as it was: what a file may become to lose less."""
HALF_LEVEL = 0.5 / 255
SPARE_STEPS, SPARED, SPARE_REACH = 12, 0.7, 2
"""How often δ is made smaller around samples that went too far, to which share, and how many px around them."""


@dataclass(frozen=True)
class Work:
    """What the pages of a job share. judges: the encoders. painter: None for the embedded networks."""

    settings: Settings
    judges: Sequence[Encoder]
    painter: Painter | None
    compute: Compute
    steps: Steps


@dataclass(frozen=True)
class Cloak:
    """One cloaked page. level, lost: how fine its compression must be, and the share of the shift that it takes.

    pictures: PNG files of the page's size, "target" and "difference", as they were wanted.
    """

    picture: Picture
    figures: dict[str, Any]
    aim: Aim
    level: int
    lost: float
    pictures: dict[str, bytes]


def steps(page: Page, painter: Painter | None, settings: Settings) -> int:
    """How often one page advances the job's steps, at most."""
    return aim.strokes(painter) + QUALITIES[settings.quality].iterations * len(page.blocks) + FIT_STEPS + measure.STEPS


def cloak(work: Work, source: Source, number: int, page: Page, later: int, checkpoint: Checkpoint) -> Cloak:
    """Cloak one page of the source. later: steps of the pages that follow.

    Raises BadInput where no cloak fits, GlazeError where none can be computed.
    """
    settings, compute, steps = work.settings, work.compute, work.steps
    left = FIT_STEPS + measure.STEPS + later
    aimed = aim.settle(settings, work.painter, page.small, steps, compute, checkpoint.beside("target"))

    def target(place: Place) -> Tensor:
        return scaled(aimed.target, page.size, place)

    steps.begin("cloaking", QUALITIES[settings.quality].iterations * len(page.blocks) + left)
    delta = optimised(work, page, aimed.target, checkpoint)

    steps.begin("fitting to the eye", left)
    looked_at = _Looked(rounded(page.excerpt(page.seen)), page.excerpt(target), work.judges, compute)
    eye = Eye(looked_at.clean, compute)
    stored = _Stored(source, number, page, settings.format)
    if settings.strength:
        stored = _fine_enough(stored, delta, looked_at)
    budget = Budget().scaled(settings.strength)
    share = fit(lambda share: stored.shown(delta * share, budget.max_change), eye, budget, steps.advance)
    delta *= share
    changed, kept = stored.kept(delta, budget.max_change)
    cloaked = stored.seen(kept)
    if settings.strength and torch.equal(cloaked, eye.reference):
        raise BadInput(
            "no_room",
            "No cloak fits into this picture within the visual budget.",
            "Raise the strength, or write PNG or TIFF, which add no noise of their own.",
        )
    lost = 0.0
    if settings.strength and stored.lossy:
        ideal, real = looked_at.shifts(stored.seen(changed), cloaked)
        lost = max(0.0, 1 - real / ideal) if ideal > 0 else 0.0

    steps.begin("measuring", measure.STEPS + later)
    figures = measure.report(work.judges, eye, cloaked, looked_at.target, steps.advance, compute)
    pictures = {}
    if settings.want_target:
        pictures["target"] = as_png(page, target)
    if settings.want_review:
        pictures["difference"] = as_png(
            page, lambda place: review.difference(rounded(page.seen(place)), rounded(page.seen_of(kept, place)))
        )
        figures["at_opacity"] = measure.at_opacities(work.judges, eye, cloaked, looked_at.target, compute)
    return Cloak(changed, figures, aimed, stored.level, lost, pictures)


@dataclass(frozen=True)
class _Looked:
    """What is judged of the page, (1, 3, h, w) each, and by whom."""

    clean: Tensor
    target: Tensor
    judges: Sequence[Encoder]
    compute: Compute

    def shifts(self, *cloaked: Tensor) -> list[float]:
        """The targeted shift of each, mean over the encoders."""
        found = [
            measure.targeted_shift(judge, self.clean, self.target, *cloaked, compute=self.compute)
            for judge in self.judges
        ]
        return [sum(values) / len(found) for values in zip(*found, strict=True)]


def optimised(work: Work, page: Page, target: Tensor, checkpoint: Checkpoint) -> Tensor:
    """δ, (1, C, H, W); of a large page in half precision, put together from its blocks."""
    settings, compute = work.settings, work.compute
    quality, budget = QUALITIES[settings.quality], Budget().scaled(settings.strength)
    preview = _Preview(page, work.steps)

    def of(block: Window, begun: Checkpoint) -> Tensor:
        subject = page.subject(block, target)
        if page.large and not subject.room.any():
            work.steps.advance(quality.iterations)
            return torch.zeros_like(subject.colour)
        step = preview.watching(block, subject)
        return optimise(subject, work.judges, quality, budget, settings.seed, step, begun, compute)

    if not page.large and settings.strength:
        return of(page.blocks[0], checkpoint)
    channels = 1 if page.picture.model == "G" else 3
    whole = torch.zeros(1, channels, *page.size, dtype=torch.float16 if page.large else torch.float32)
    for number, block in enumerate(page.blocks if settings.strength else []):
        begun = checkpoint.beside(f"block{number}")
        done = begun.beside("done")
        if saved := done.load():
            tensors, facts = saved
            compute.resume(facts)
            work.steps.advance(quality.iterations)
            delta = tensors["delta"]
        else:
            delta = (of(block, begun) * page.weight(block)).half()
            done.save({"delta": delta}, compute.facts())
        whole[(..., *block.outer)] += delta
    return whole


class _Preview:
    """The small rendition of a page that the artist watches while it is cloaked."""

    def __init__(self, page: Page, steps: Steps) -> None:
        self._steps = steps
        self._size = page.picture.height, page.picture.width
        self._ratio = min(1.0, PREVIEW_SIDE / max(self._size))
        height, width = (max(1, self._at(side)) for side in self._size)
        self._canvas = resized(page.small, height, width) if page.large else torch.empty(1, 3, height, width)

    def watching(self, block: Window, subject: Subject) -> Callable[[Tensor], None]:
        """The loop's step for a block: tells how far it is, and shows it when that is due."""

        def step(delta: Tensor) -> None:
            self._steps.advance()
            if self._steps.preview_due():
                self._put(block.place, subject.seen(delta)[(..., *block.core)])
                small = pixels.to_8bit(self._canvas)
                self._steps.preview(RasterFormat(small.shape[1], small.shape[0], "RGB", "u8"), small.tobytes())

        return step

    def _put(self, place: Place, part: Tensor) -> None:
        ends = [min(one.stop, side) for one, side in zip(place, self._size, strict=True)]
        part = part[..., : ends[0] - place[0].start, : ends[1] - place[1].start]
        rows, columns = (
            slice(self._at(one.start), max(1, self._at(end))) for one, end in zip(place, ends, strict=True)
        )
        if rows.start < rows.stop and columns.start < columns.stop:
            self._canvas[..., rows, columns] = resized(part, rows.stop - rows.start, columns.stop - columns.start)

    def _at(self, length: int) -> int:
        return round(length * self._ratio)


@dataclass(frozen=True)
class _Stored:
    """How a page comes out of the file that it is written into."""

    source: Source
    number: int
    page: Page
    format: str
    level: int = 0

    @property
    def lossy(self) -> bool:
        return self.source.file is not None and formats.lossy(self.source.file, self.format)

    def shown(self, delta: Tensor, most: float) -> Tensor:
        """What a viewer sees of δ where it is judged, in 8 bits. δ may be changed, as by `kept`."""
        if self.lossy:
            return self.seen(self.kept(delta, most)[1])
        picture = self.page.excerpt_of(self.page.picture)
        return rounded(seen(pixels.add(picture, self.page.excerpt(lambda place: delta[(..., *place)]))))

    def seen(self, picture: Picture) -> Tensor:
        """The same of a whole picture."""
        return rounded(seen(self.page.excerpt_of(picture)))

    def kept(self, delta: Tensor, most: float) -> tuple[Picture, Picture]:
        """The page with δ, and as it comes out of its file.

        Where a lossy one, which moves samples of its own, goes beyond `most`, δ is made smaller around it first.
        """
        changed = self.changed(delta)
        if not self.lossy:
            return changed, changed
        stored, _ = self.filed(changed)
        for _ in range(SPARE_STEPS):
            if not self._spare(delta, stored, most):
                break
            changed = self.changed(delta)
            stored, _ = self.filed(changed)
        return changed, stored

    def changed(self, delta: Tensor) -> Picture:
        return pixels.add(self.page.picture, within(delta, self.page.picture))

    def filed(self, changed: Picture) -> tuple[Picture, int]:
        """As it comes out of its file, and that file's bytes."""
        return self.source.stored(self.number, changed, self.format, self.level)

    def _spare(self, delta: Tensor, stored: Picture, most: float) -> bool:
        """Make δ smaller around samples that have moved by more than `most`; whether there are any."""
        found = False
        for rows, columns in self.page.bands():
            above = min(rows.start, SPARE_REACH)
            around = slice(rows.start - above, rows.stop + SPARE_REACH), columns
            moved = (rounded(self.page.seen_of(stored, around)) - rounded(self.page.seen(around))).abs()
            beyond = (moved > most + HALF_LEVEL).any(1, keepdim=True).float()
            if beyond.any():
                found = True
                wide = F.max_pool2d(beyond, 2 * SPARE_REACH + 1, stride=1, padding=SPARE_REACH)
                delta[..., rows, columns] *= 1 - (1 - SPARED) * wide[..., above : above + rows.stop - rows.start, :]
        return found


def _fine_enough(stored: _Stored, delta: Tensor, looked_at: _Looked) -> _Stored:
    """With the coarsest compression, from the file's own on, that takes no more than LOSS of the cloak."""
    file = stored.source.file
    levels = 1 if file is None else formats.levels(file, stored.format)
    if file is None or levels == 1:
        return stored
    changed = stored.changed(delta)
    best = stored
    for level in range(levels):
        tried = replace(stored, level=level)
        shown, size = tried.filed(changed)
        if level and size > GROWTH * len(file.data):
            break
        best = tried
        ideal, real = looked_at.shifts(stored.seen(changed), stored.seen(shown))
        if real >= (1 - LOSS) * ideal:
            break
    return best

"""How a cloak goes into its file: as much as the eye and the file's compression allow, in a file that stays small.

A lossy file is packed and read again for whatever is judged; docs/architecture.md has the rules, docs/tried.md figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from glaze_plugin.errors import BadInput
from glaze_server.engine import formats, grain, measure, pixels
from glaze_server.engine.budget import Budget, Eye, fit
from glaze_server.engine.cloak import worth
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.formats import Wanted
from glaze_server.engine.grain import FINE, GRAINS, Grain
from glaze_server.engine.looking import Place
from glaze_server.engine.page import Page
from glaze_server.engine.painters import Painter
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import rounded
from glaze_server.engine.progress import Steps
from glaze_server.engine.settings import Settings
from glaze_server.engine.source import Source, seen

LOSS = 0.1
"""The share of the targeted shift that a file's own compression may take."""
GROWTH = 1.6
"""Times as large as it was: what a file may become."""
LEAST_KEPT, THIN_STEPS = 0.4, 4
"""The least share of pixels that keep their δ where a file would grow too much, and in how many steps it is found."""
MOST_GIVEN_UP = 0.5
"""The share of the targeted shift that a small file may cost; where it costs more, the file grows."""
HALF_LEVEL = 0.5 / 255
SPARE_STEPS, SPARED, SPARE_REACH = 12, 0.7, 2
"""How often δ is made smaller around samples that went too far, to which share, and how many px around them."""


@dataclass(frozen=True)
class Work:
    """What the pages of a job share. judges: the encoders. painter: None for the embedded networks. grain: of δ."""

    settings: Settings
    judges: Sequence[Encoder]
    painter: Painter | None
    compute: Compute
    steps: Steps
    grain: Grain


def rehearse(settings: Settings, source: Source, pages: Mapping[int, Page], steps: Steps) -> Grain:
    """The finest grain with which a file that loses nothing becomes GROWTH times as large at most, else the coarsest.

    Told by noise in place of cloaks, which packs a little worse. So every file is written once before any work.
    Raises BadInput where it cannot be written.
    """
    file = source.file
    if file is None or not settings.strength:
        return FINE
    wanted = Wanted(0, settings.metadata, settings.no_mining)
    for of in GRAINS[:-1]:
        steps.begin("writing a trial")
        changed = list(source.pages)
        for number, page in pages.items():
            subject = page.subject(page.small, of)
            layer = Layer(page, grain.noise(subject.room, subject.shared, subject.colour.shape[1]), of)
            changed[number] = page.picture.changed(layer)
        size = len(source.write(changed, settings.format, wanted).data)
        if file.lossy or not file.stays(settings.format) or size <= GROWTH * len(file.data):
            return of
    return GRAINS[-1]


@dataclass(frozen=True)
class Layer:
    """δ of a page at its own size, made where it is looked at.

    small: at the size of training. of: its grain. share: how much of it is laid on. spared: how often it was made
    smaller at each pixel, (1, 1, H, W), None for never.
    """

    page: Page
    small: Tensor
    of: Grain = FINE
    share: float = 1.0
    spared: Tensor | None = None

    def times(self, share: float) -> Layer:
        return replace(self, share=self.share * share)

    def at(self, place: Place) -> Tensor:
        """(1, C, h, w)."""
        step = grain.step(self.share * self.page.strength) if self.of.levels else 0
        delta = self.page.delta(self.small * self.share, place, step)
        return delta if self.spared is None else delta * SPARED ** self.spared[(..., *place)]

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Rows of it, (h, W, C), for `Picture.changed`."""
        part = self.at((rows, slice(0, self.page.size[1])))
        return np.asarray(part[0, :, :, : self.page.picture.width].permute(1, 2, 0).numpy())


@dataclass(frozen=True)
class Fitted:
    """A page with as much of δ as its file takes. picture: its samples. kept: as they come out of the file.

    level: how fine its compression must be. lost, given_up: the share of the targeted shift that it takes, and the one
    that was left out for a small file. moved: the most that saving a lossy file again moves any sample by itself, in
    [0, 1].
    """

    picture: Picture
    kept: Picture
    level: int
    lost: float
    given_up: float
    moved: float


def fitted(work: Work, source: Source, number: int, layer: Layer, target: Tensor, eye: Eye) -> Fitted:
    """The page of that number with as much of δ as goes into its file.

    target: (1, 3, h, w) at the size of training. eye: that knows the page. Raises BadInput where no cloak fits.
    """
    settings, page = work.settings, layer.page
    looked_at = _Looked(page, target, work.judges, work.compute)
    begun = _Stored(source, number, page, settings.format)
    if settings.strength:
        begun = _fine_enough(begun, layer, looked_at)
    for stored in begun.finer:
        budget = Budget().scaled(settings.strength).allowing(stored.moves)
        most = stored.fitted(layer, eye, budget, work.steps.advance)
        changed, kept = stored.kept(most, budget.max_change)
        if not settings.strength or not torch.equal(stored.seen(kept), eye.reference):
            break
    else:
        raise BadInput(
            "no_room",
            "No cloak fits into this picture within the visual budget.",
            "Raise the strength, or write PNG or TIFF, which add no noise of their own.",
        )
    lost = looked_at.taken(changed, kept) if settings.strength and stored.lossy else 0.0
    given_up = 0.0
    sparser = _small_enough(work, stored, most, target)
    if sparser:
        found = stored.kept(stored.fitted(sparser, eye, budget, lambda: None), budget.max_change)
        taken = looked_at.taken(kept, found[1])
        if taken <= MOST_GIVEN_UP:
            changed, kept, given_up = *found, taken
    return Fitted(changed, kept, stored.level, lost, given_up, stored.moves)


class _Looked:
    """A page whose shift is measured at the size of training, and by whom."""

    def __init__(self, page: Page, target: Tensor, judges: Sequence[Encoder], compute: Compute) -> None:
        self._clean = rounded(page.small)
        self._page, self._target, self._judges, self._compute = page, target, judges, compute

    def taken(self, ideal: Picture, real: Picture) -> float:
        """Which share of the ideal's targeted shift the real one lacks, at least 0; 0 where the ideal has none."""
        whole, left = self.shifts(ideal, real)
        return max(0.0, 1 - left / whole) if whole > 0 else 0.0

    def shifts(self, *cloaked: Picture) -> list[float]:
        """The targeted shift of each picture of the page's size, mean over the encoders."""
        shrunk = [rounded(self._page.small_of(picture)) for picture in cloaked]
        found = [
            measure.targeted_shift(judge, self._clean, self._target, *shrunk, compute=self._compute)
            for judge in self._judges
        ]
        return [sum(values) / len(found) for values in zip(*found, strict=True)]


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

    @cached_property
    def moves(self) -> float:
        """The most that a sample moves when its file is saved again, hardly changed, in [0, 1]; 0 without loss."""
        if not self.lossy:
            return 0.0
        again, _ = self.filed(self.page.picture.touched)
        return round(max(float(self._moved(again, place).max()) for place in self.page.bands()) * 255) / 255

    @property
    def finer(self) -> list[_Stored]:
        """This and all finer compressions of the file's own kind, of which the noise leaves more room to a cloak."""
        levels = formats.levels(self.source.file, self.format) if self.source.file else 1
        return [replace(self, level=level) for level in range(self.level, levels)]

    def fitted(self, layer: Layer, eye: Eye, budget: Budget, tick: Callable[[], None]) -> Layer:
        """As much of δ as the budget allows."""
        return layer.times(fit(lambda share: self.shown(layer.times(share), budget.max_change), eye, budget, tick))

    def shown(self, layer: Layer, most: float) -> Tensor:
        """What a viewer sees of δ where it is judged, in 8 bits. most: as for `kept`."""
        if self.lossy:
            return self.seen(self.kept(layer, most)[1])
        if min(self.page.picture.height, self.page.picture.width) < pixels.MIN_SIDE:  # seen with its mirror image
            return self.seen(self.page.picture.changed(layer))
        picture = self.page.excerpt_of(self.page.picture)
        return rounded(seen(pixels.add(picture, self.page.excerpt(layer.at))))

    def seen(self, picture: Picture) -> Tensor:
        """The same of a whole picture."""
        return rounded(seen(self.page.excerpt_of(picture)))

    def kept(self, layer: Layer, most: float) -> tuple[Picture, Picture]:
        """The page with δ, and as it comes out of its file.

        Where a lossy one, which moves samples of its own, goes beyond `most`, δ is made smaller around it first.
        """
        changed = self.page.picture.changed(layer)
        if not self.lossy:
            return changed, changed
        stored, _ = self.filed(changed)
        for _ in range(SPARE_STEPS):
            beyond = self._beyond(stored, most)
            if beyond is None:
                break
            layer = replace(layer, spared=beyond if layer.spared is None else layer.spared + beyond)
            changed = self.page.picture.changed(layer)
            stored, _ = self.filed(changed)
        return changed, stored

    def growth(self, changed: Picture, wanted: Wanted) -> float:
        """How many times as large the file becomes if only this page changes, counted as often as there are pages."""
        pages = self.source.pages
        assert self.source.file is not None
        was = len(self.source.file.data)
        data = self.source.write((*pages[: self.number], changed, *pages[self.number + 1 :]), self.format, wanted).data
        return 1 + (len(data) - was) * len(pages) / was

    def filed(self, changed: Picture) -> tuple[Picture, int]:
        """As it comes out of its file, and that file's bytes."""
        return self.source.stored(self.number, changed, self.format, self.level)

    def _beyond(self, stored: Picture, most: float) -> Tensor | None:
        """1 around samples that have moved by more than `most`, else 0, (1, 1, H, W); None if there are none."""
        whole = torch.zeros(1, 1, *self.page.size, dtype=torch.uint8)
        for rows, columns in self.page.bands():
            above = min(rows.start, SPARE_REACH)
            around = slice(rows.start - above, min(rows.stop + SPARE_REACH, self.page.size[0])), columns
            beyond = (self._moved(stored, around) > most + HALF_LEVEL).any(1, keepdim=True).float()
            wide = F.max_pool2d(beyond, 2 * SPARE_REACH + 1, stride=1, padding=SPARE_REACH)
            whole[..., rows, columns] = wide[..., above : above + rows.stop - rows.start, :]
        return whole if whole.any() else None

    def _moved(self, stored: Picture, place: Place) -> Tensor:
        """How far each sample that a viewer sees there has moved, (1, 3, h, w), in 8 bits."""
        return (rounded(self.page.seen_of(stored, place)) - rounded(self.page.seen(place))).abs()


def _small_enough(work: Work, stored: _Stored, layer: Layer, target: Tensor) -> Layer | None:
    """δ only where it does most, so that the file becomes GROWTH times as large at most.

    None where it does with all of δ, or not even with the least, and of a file that is written in another format.
    """
    page, settings, file = layer.page, work.settings, stored.source.file
    if work.grain is FINE and not (file and file.lossy and file.stays(stored.format)):
        return None
    wanted = Wanted(stored.level, settings.metadata, settings.no_mining)

    def too_large(part: Layer) -> bool:
        work.steps.begin("keeping the file small")
        return stored.growth(page.picture.changed(part), wanted) > GROWTH

    if not too_large(layer):
        return None
    subject = page.subject(target, layer.of)
    values = worth(subject, work.judges, layer.small, work.compute)

    def best(share: float) -> Layer:
        return replace(layer, small=layer.small * grain.best(values, subject.room, share))

    few, many = LEAST_KEPT, 1.0
    if too_large(best(few)):
        return None
    for _ in range(THIN_STEPS):
        between = (few + many) / 2
        few, many = (few, between) if too_large(best(between)) else (between, many)
    return best(few)


def _fine_enough(stored: _Stored, layer: Layer, looked_at: _Looked) -> _Stored:
    """With the coarsest compression, from the file's own on, that takes no more than LOSS of the cloak."""
    file, finer = stored.source.file, stored.finer
    if file is None or len(finer) == 1:
        return stored
    changed = stored.page.picture.changed(layer)
    best = stored
    for tried in finer:
        shown, size = tried.filed(changed)
        if tried.level and size > GROWTH * len(file.data):
            break
        best = tried
        ideal, real = looked_at.shifts(changed, shown)
        if real >= (1 - LOSS) * ideal:
            break
    return best

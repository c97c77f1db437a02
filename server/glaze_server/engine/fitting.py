"""How a cloak goes into its file: as much as the eye and the file's compression allow, in a file that stays small.

A lossy file is packed and read again for whatever is judged; docs/architecture.md has the rules, docs/tried.md figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_plugin.errors import BadInput
from glaze_server.engine import formats, grain, pixels
from glaze_server.engine.budget import Budget, Eye, fit
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.formats import Wanted
from glaze_server.engine.grain import FINE, GRAINS, Grain
from glaze_server.engine.layer import Course, Layer
from glaze_server.engine.looking import Place
from glaze_server.engine.page import Page
from glaze_server.engine.painters import Painter
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import rounded
from glaze_server.engine.progress import Steps
from glaze_server.engine.settings import Settings
from glaze_server.engine.source import Source, seen
from glaze_server.engine.thinning import GROWTH, thinned

LOSS = 0.1
"""The share of the targeted shift that a file's own compression may take."""
NOISY = 2.1
"""Times as large as it was: what a file may become with noise of a coarser grain, for a cloak of which a little is left
out then."""
HOPELESS = 15.0
"""The same with noise of the coarsest grain, from which on hardly any cloak fits, so that none is begun."""
MOST_GIVEN_UP = 0.9
"""The share of the targeted shift that a small file may cost; what is left of more is no cloak."""
HALF_LEVEL = 0.5 / 255
SPARE_STEPS, SPARE_REACH = 12, 2
"""How often δ is made smaller around samples that went too far, and how many px around them."""


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
    """The finest grain with which a file that loses nothing hardly grows too much, else the coarsest.

    Told by noise in place of cloaks, which packs a little worse. So every file is written once before any work.
    Raises BadInput where it cannot be written, or no cloak would fit.
    """
    file = source.file
    if file is None or not settings.strength:
        return FINE
    before = 0
    for of in GRAINS:
        steps.begin("writing a trial")
        changed = {}
        for number, page in pages.items():
            subject = page.subject(page.small, of)
            changed[number] = Layer(page, grain.noise(subject.room, subject.cells, subject.colour.shape[1]), of).changed
        size = _size(source, settings, changed)
        if file.lossy or not _bound(source, settings):
            return of
        before = before or _before(source, settings, pages)
        times = size / before
        if times <= (GROWTH if of is FINE else NOISY):
            return of
    if times > HOPELESS:
        raise _too_large()
    return of


def _too_large() -> BadInput:
    return BadInput(
        "file_size",
        f"This picture packs so well that a cloak makes its file more than {GROWTH} times as large.",
        "Let the file grow as it needs (--any-size), or write another format.",
    )


def _size(source: Source, settings: Settings, changed: Mapping[int, Picture], level: int = 0) -> int:
    """Of the file with those pages changed, in bytes, without a declaration. level: of its compression."""
    pages = [changed.get(number, page) for number, page in enumerate(source.pages)]
    return len(source.write(pages, settings.format, Wanted(level, settings.metadata)).data)


def _before(source: Source, settings: Settings, changed: Iterable[int]) -> int:
    """The same without a cloak. What has a palette or less than 8 bits has 8 bits a channel then, as with a cloak."""
    assert source.file is not None
    if not source.file.narrow:
        return len(source.file.data)
    return _size(source, settings, {number: source.pages[number].touched for number in changed})


def _bound(source: Source, settings: Settings) -> bool:
    """Whether the file may not become more than GROWTH times as large."""
    return source.file is not None and source.file.stays(settings.format) and not settings.any_size


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


def fitted(work: Work, source: Source, number: int, layer: Layer, course: Course, eye: Eye) -> Fitted:
    """The page of that number with as much of δ as goes into its file.

    eye: that knows the page. Raises BadInput where no cloak fits.
    """
    settings = work.settings
    begun = _Stored(source, number, layer.page, settings)
    if settings.strength:
        begun = _fine_enough(begun, layer, course)
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
    lost = course.taken(changed, kept) if settings.strength and stored.lossy else 0.0
    given_up = 0.0
    sparse: Layer | None = most
    if _bound(source, settings) and (stored.lossy or work.grain is not FINE):

        def growth(changed: Picture) -> float:
            work.steps.begin("keeping the file small")
            return stored.growth(changed)

        sparse = thinned(course, most, growth)
    if sparse and sparse is not most:
        whole = kept
        changed, kept = stored.kept(stored.fitted(sparse, eye, budget, lambda: None), budget.max_change)
        given_up = course.taken(whole, kept)
    if not sparse or given_up > MOST_GIVEN_UP:
        raise _too_large()
    return Fitted(changed, kept, stored.level, lost, given_up, stored.moves)


@dataclass(frozen=True)
class _Stored:
    """How a page comes out of the file that it is written into."""

    source: Source
    number: int
    page: Page
    settings: Settings
    level: int = 0

    @property
    def lossy(self) -> bool:
        return self.source.file is not None and formats.lossy(self.source.file, self.settings.format)

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
        levels = formats.levels(self.source.file, self.settings.format) if self.source.file else 1
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
        changed = layer.changed
        if not self.lossy:
            return changed, changed
        stored, _ = self.filed(changed)
        for _ in range(SPARE_STEPS):
            beyond = self._beyond(stored, most)
            if beyond is None:
                break
            layer = replace(layer, spared=beyond if layer.spared is None else layer.spared + beyond)
            changed = layer.changed
            stored, _ = self.filed(changed)
        return changed, stored

    def growth(self, changed: Picture) -> float:
        """How many times as large the file becomes if only this page changes, counted as often as there are pages."""
        size = _size(self.source, self.settings, {self.number: changed}, self.level)
        return 1 + (size - self._before) * len(self.source.pages) / self._before

    @cached_property
    def _before(self) -> int:
        return _before(self.source, self.settings, [self.number])

    def filed(self, changed: Picture) -> tuple[Picture, int]:
        """As it comes out of its file, and that file's bytes."""
        return self.source.stored(self.number, changed, self.settings.format, self.level)

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


def _fine_enough(stored: _Stored, layer: Layer, course: Course) -> _Stored:
    """With the coarsest compression, from the file's own on, that takes no more than LOSS of the cloak."""
    file, finer = stored.source.file, stored.finer
    if file is None or len(finer) == 1:
        return stored
    changed = layer.changed
    best = stored
    for tried in finer:
        shown, size = tried.filed(changed)
        if tried.level and size > GROWTH * len(file.data) and _bound(stored.source, stored.settings):
            break
        best = tried
        ideal, real = course.shifts(changed, shown)
        if real >= (1 - LOSS) * ideal:
            break
    return best

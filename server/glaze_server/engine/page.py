"""A page as the engine comes to see it: at the size at which generators are trained, and in places at its own.

Whatever its size, trainers shrink it; what was made at thousands of px is gone by then. So the loop works on TRAINED px
at most, δ is enlarged where it is wanted, and of a large page nothing lies in memory whole but its samples.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_plugin.errors import BadInput
from glaze_server.engine import grain, jnd, pixels
from glaze_server.engine.cloak import Subject
from glaze_server.engine.formats import vips
from glaze_server.engine.formats.file import check_memory
from glaze_server.engine.grain import Grain
from glaze_server.engine.looking import WINDOW, WINDOWS, Place
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import MIN_SIDE, over
from glaze_server.engine.source import mirrored, seen
from glaze_server.engine.survival import resized

TRAINED = 1024**2
"""px of the largest pictures that generators are trained on: SDXL, SD 3.5 and FLUX at 1024², SD 1.5 at 512²."""
WHOLE = WINDOWS * WINDOW**2
"""px; a page of more is looked at in an excerpt of that area."""
JPEG_GRID = 16
"""px of the squares that JPEG compresses at once where it halves colour."""
BAND = 1 << 20
"""px that are worked on at once where all of a page is."""
ROOM_HALO = 8
"""px around a place by which the room in it is known."""
FLAT_RANGE = 2 / 255
"""A picture whose samples differ by no more has no style to protect."""
LOOP_BYTES = 200
"""The least that a cloak takes for each px that is worked on or looked at: canvases and gradients."""
PAGE_BYTES = 16
"""The same for each px of the page: its samples, the cloaked ones and the file that they are packed into."""

Planes = Callable[[Place], Tensor]


@dataclass(frozen=True)
class Page:
    """picture: what is cloaked. mask: white where; None for everywhere. strength: 0..1.

    Places are those of the picture as encoders see it, `mirrored`.
    """

    picture: Picture
    mask: Picture | None = None
    strength: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in px, as encoders see it."""
        return max(self.picture.height, MIN_SIDE), max(self.picture.width, MIN_SIDE)

    @property
    def trained(self) -> tuple[int, int]:
        """Height and width in px that the loop works at; no side is shorter than MIN_SIDE for that."""
        ratio = min(1.0, max(math.sqrt(TRAINED / math.prod(self.size)), MIN_SIDE / min(self.size)))
        height, width = (round(side * ratio) for side in self.size)
        return height, width

    @property
    def large(self) -> bool:
        """Whether it is shrunk for that."""
        return self.trained != self.size

    def check(self) -> None:
        """Raises BadInput where there is nothing to cloak, or too little memory for it."""
        picture, mask = self.picture, self.mask
        if picture.flat:
            raise _flat()
        area = math.prod(self.size)
        need = LOOP_BYTES * max(math.prod(self.trained), min(area, WHOLE)) + PAGE_BYTES * area
        check_memory(f"Cloaking this picture of {picture.size}", need)
        if mask and (mask.width, mask.height) != (picture.width, picture.height):
            raise BadInput("mask_size", f"The mask is {mask.size}, but the picture is {picture.size}.")
        ranges, masked = [], False
        for place in self.bands():
            visible = self._visible(place)
            colours = self.seen(place)[0][:, visible[0, 0]]
            if colours.numel():
                ranges.append(torch.stack([colours.amin(1), -colours.amax(1)]))
            masked |= bool((self._masked(place) * visible).any())
        if not ranges or float(-torch.stack(ranges).amin(0).sum(0).min()) <= FLAT_RANGE:
            raise _flat()
        if not masked:
            raise BadInput("nothing_to_protect", "The mask is black everywhere it matters: nothing would be cloaked.")

    # At the size of training

    @cached_property
    def subject_planes(self) -> tuple[Tensor, Tensor | None]:
        """Colour, (1, 1 or 3, h, w), and opacity, (1, 1, h, w), None for an opaque page; in [0, 1]."""
        if not self.picture.has_alpha:
            return self._shrunk(lambda place: pixels.colour(_cut(self.picture, place))).clamp(0, 1), None

        def planes(place: Place) -> Tensor:
            part = _cut(self.picture, place)
            colour, opacity = pixels.colour(part), pixels.alpha(part)
            assert opacity is not None
            return torch.cat([colour * opacity if self.large else colour, opacity], 1)

        whole = self._shrunk(planes)
        colour, opacity = whole[:, :-1], whole[:, -1:]
        colour = colour / opacity.clamp_min(1e-3) if self.large else colour
        return colour.clamp(0, 1), opacity.clamp(0, 1)

    @cached_property
    def small(self) -> Tensor:
        """What a viewer sees of it, (1, 3, h, w) in [0, 1], transparency over white."""
        return over(*self.subject_planes)

    def small_of(self, picture: Picture) -> Tensor:
        """The same of another picture of the page's size."""
        return self._shrunk(lambda place: self.seen_of(picture, place)).clamp(0, 1)

    def subject(self, target: Tensor, of: Grain) -> Subject:
        """What the loop works on. target: (1, 3, h, w). of: δ's grain."""
        cells, room = of.cells(self.small), self._small_room
        return Subject(*self.subject_planes, target, cells.least(room) if cells else room, cells)

    @cached_property
    def _small_room(self) -> Tensor:
        room = self.strength * jnd.room(self.small, self.subject_planes[1])
        if self.mask:
            room = room * self._shrunk(self._masked).clamp(0, 1)
        room[..., self.picture.height :, :] = 0  # what is mirrored is not cloaked
        room[..., self.picture.width :] = 0
        return room

    # At its own size

    def seen(self, place: Place) -> Tensor:
        """What a viewer sees there, (1, 3, h, w) in [0, 1], transparency over white."""
        return self.seen_of(self.picture, place)

    @staticmethod
    def seen_of(picture: Picture, place: Place) -> Tensor:
        """The same of another picture of the page's size."""
        return seen(_cut(picture, place))

    def enlarged(self, picture: Tensor, place: Place, smooth: bool = True) -> Tensor:
        """A place of a picture, (1, C, h, w) at the size of training, scaled to the page's.

        smooth: bicubic; else its pixels become squares.
        """
        if not self.large:
            return picture[(..., *place)]
        rows, columns = (
            (2 * torch.arange(part.start, part.stop) + 1) / side - 1
            for part, side in zip(place, self.size, strict=True)
        )
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)[None]
        return F.grid_sample(picture, grid, "bicubic" if smooth else "nearest", "border", align_corners=False)

    def delta(self, small: Tensor, place: Place, step: float = 0) -> Tensor:
        """δ there, (1, C, h, w), within the room of each pixel, from that at the size of training.

        step: of which it takes multiples alone, 0 for whatever it is. With steps it keeps its squares, which pack well.
        """
        delta = self.enlarged(small, place, smooth=not step)
        if not self.large and not step:
            return delta
        room = self._room(place)
        if self.large:
            delta = torch.minimum(torch.maximum(delta, -room), room)
        return grain.stepped(delta, room, step) if step else delta

    def _room(self, place: Place) -> Tensor:
        """The largest |δ| of each pixel there, (1, 1, h, w)."""
        if not self.large:
            return self._small_room[(..., *place)]
        rows, columns = (
            slice(max(0, part.start - ROOM_HALO), min(side, part.stop + ROOM_HALO))
            for part, side in zip(place, self.size, strict=True)
        )
        around = rows, columns
        opacity = pixels.alpha(_cut(self.picture, around))
        room = self.strength * jnd.room(self.seen(around), opacity) * self._masked(around)
        room = room[..., place[0].start - rows.start :, place[1].start - columns.start :]
        return room[..., : place[0].stop - place[0].start, : place[1].stop - place[1].start]

    def as_png(self, at: Planes) -> bytes:
        """A PNG file of the page's size, without what is mirrored, from places of it, (1, 3, h, w) in [0, 1]."""
        samples = np.empty((self.picture.height, self.picture.width, 3), np.uint8)
        for place in self.bands():
            part = samples[place]
            part[...] = pixels.to_8bit(at(place))[: part.shape[0], : part.shape[1]]
        return vips.packed(samples, "png")

    def bands(self, of: int = 1) -> Iterator[Place]:
        """All of it, in pieces whose height is a multiple of `of` px but for the last one's."""
        height, width = self.size
        rows = max(1, BAND // (width * of)) * of if self.large else height
        return ((slice(top, min(top + rows, height)), slice(0, width)) for top in range(0, height, rows))

    # The excerpt

    @cached_property
    def places(self) -> list[Place]:
        """Where the budget is held: all of the page, or of more than WHOLE px as many places of WINDOW px, on JPEG's
        grid, that the cloak may reach, spread over it."""
        if math.prod(self.size) <= WHOLE:
            return [self._whole]
        cells = self._cells()
        reached = [place for place in cells if bool((self._masked(place) * self._visible(place)).any())] or cells
        dice, count = random.Random(0), min(WINDOWS, len(reached))
        bounds = [round(part * len(reached) / count) for part in range(count + 1)]
        return [reached[dice.randrange(low, high)] for low, high in itertools.pairwise(bounds)]

    def excerpt(self, at: Planes) -> Tensor:
        """What `at` has at each place, (…, h, w), side by side."""
        parts = [at(place) for place in self.places]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def excerpt_of(self, picture: Picture) -> Picture:
        """The same of a picture of the page's size."""
        whole = mirrored(picture)
        if self.places == [self._whole]:
            return whole
        return whole.with_samples(np.concatenate([whole.samples[place] for place in self.places], 1))

    def _cells(self) -> list[Place]:
        """The page in squares of WINDOW px, row by row, every other one backwards."""

        def along(side: int) -> list[slice]:
            last = max(0, side - WINDOW) // JPEG_GRID * JPEG_GRID
            return [slice(min(at, last), min(at + WINDOW, last + WINDOW, side)) for at in range(0, side, WINDOW)]

        rows, columns = (along(side) for side in self.size)
        return [(row, column) for turn, row in enumerate(rows) for column in columns[:: -1 if turn % 2 else 1]]

    # Pieces

    @property
    def _whole(self) -> Place:
        return slice(0, self.size[0]), slice(0, self.size[1])

    def _shrunk(self, at: Planes) -> Tensor:
        """Planes of the page at the size of training, as image libraries shrink pictures; band by band."""
        if not self.large:
            return at(self._whole)
        times = max(1, min(side // (2 * less) for side, less in zip(self.size, self.trained, strict=True)))
        parts = [F.avg_pool2d(at(place), times, ceil_mode=True, count_include_pad=False) for place in self.bands(times)]
        return resized(torch.cat(parts, -2), *self.trained)

    def _visible(self, place: Place) -> Tensor:
        """(1, 1, h, w)."""
        opacity = pixels.alpha(_cut(self.picture, place))
        if opacity is not None:
            return opacity > 0
        return torch.ones(1, 1, *(part.stop - part.start for part in place), dtype=torch.bool)

    def _masked(self, place: Place) -> Tensor:
        """How much of the cloak is wanted, 0..1, (1, 1, h, w)."""
        if self.mask is None:
            return torch.ones(1, 1, 1, 1)
        return self.seen_of(self.mask, place).mean(1, keepdim=True)


def _cut(picture: Picture, place: Place) -> Picture:
    whole = mirrored(picture)
    return whole.with_samples(whole.samples[place])


def _flat() -> BadInput:
    return BadInput("nothing_to_protect", "This picture is one flat colour: there is no style in it to protect.")

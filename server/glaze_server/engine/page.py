"""A page as the engine comes to see it, piece by piece, so that memory stays bounded whatever its size.

Of a large page nothing lies in memory whole but its samples and δ in half precision. The loop has one block at a time,
which passes into its neighbours without a seam; the target is painted small, as it always was, and scaled up where it
is wanted; the budget and all figures are of an excerpt at full size.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_plugin.errors import BadInput
from glaze_server.engine import jnd, pixels
from glaze_server.engine.cloak import Subject
from glaze_server.engine.formats import vips
from glaze_server.engine.formats.file import check_memory
from glaze_server.engine.looking import WINDOW, WINDOWS, Place
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import MIN_SIDE, over
from glaze_server.engine.source import mirrored, seen
from glaze_server.engine.tiles import HALO, Window, stretches

BLOCK = 2048
"""px of a block's sides at most; a page that fits into one with its halo is one block."""
GRID = 64
"""px that blocks begin at multiples of, so that JPEG's grid is the page's own, at a quarter of its size too."""
JPEG_GRID = 16
"""px of the squares that JPEG compresses at once where it halves colour."""
BAND = 1 << 20
"""px that are worked on at once where all of a page is."""
SMALL = 2048
"""px of the longer side, at most, of the page by which a style is chosen and its target painted."""
FLAT_RANGE = 2 / 255
"""A picture whose samples differ by no more has no style to protect."""
BLOCK_BYTES = 200
"""The least that a cloak takes for each px of a block: canvases, gradients and what comes of them (bench/tiles.py)."""
PAGE_BYTES = 24
"""The same for each px of a large page: its samples, δ, and the cloaked ones on their way into a file."""


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

    @cached_property
    def blocks(self) -> list[Window]:
        """What the loop has at a time, in px: one for most pages, else of like size."""

        def along(side: int) -> list[tuple[slice, slice, slice]]:
            count = math.ceil(side / BLOCK) if side > BLOCK + 2 * HALO else 1
            return list(stretches(side, math.ceil(side / count / GRID) * GRID, 1))

        height, width = self.size
        return [Window(*zip(rows, columns, strict=True)) for rows in along(height) for columns in along(width)]

    @property
    def large(self) -> bool:
        return len(self.blocks) > 1

    def check(self) -> None:
        """Raises BadInput where there is nothing to cloak, or too little memory for it."""
        picture, mask = self.picture, self.mask
        if picture.flat:
            raise _flat()
        block = max(math.prod(part.stop - part.start for part in block.outer) for block in self.blocks)
        whole = PAGE_BYTES * picture.width * picture.height * self.large
        check_memory(f"Cloaking this picture of {picture.size}", BLOCK_BYTES * block + whole)
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

    # Pieces

    def seen(self, place: Place) -> Tensor:
        """What a viewer sees there, (1, 3, h, w) in [0, 1], transparency over white."""
        return self.seen_of(self.picture, place)

    @staticmethod
    def seen_of(picture: Picture, place: Place) -> Tensor:
        """The same of another picture of the page's size."""
        return seen(_cut(picture, place))

    def subject(self, block: Window, target: Tensor) -> Subject:
        """A block for the loop. target: of the page, of any size."""
        picture = _cut(self.picture, block.outer)
        colour, opacity = pixels.colour(picture), pixels.alpha(picture)
        room = self.strength * jnd.room(over(colour, opacity), opacity) * self._masked(block.outer)
        for axis, end in ((-2, self.picture.height), (-1, self.picture.width)):  # what is mirrored is not cloaked
            kept = min(end - block.outer[axis].start, room.shape[axis])
            room.narrow(axis, kept, room.shape[axis] - kept).zero_()
        return Subject(colour, opacity, scaled(target, self.size, block.outer), room)

    def weight(self, block: Window) -> Tensor:
        """How much δ of a block counts, (1, 1, h, w): what two share passes from one to the other."""

        def along(outer: slice, place: slice, side: int) -> Tensor:
            at = torch.arange(outer.start, outer.stop) + 0.5
            begun = (at - place.start) / (2 * HALO) + 0.5 if place.start else torch.ones_like(at)
            left = (place.stop - at) / (2 * HALO) + 0.5 if place.stop < side else torch.ones_like(at)
            return begun.clamp(0, 1) + left.clamp(0, 1) - 1

        rows, columns = map(along, block.outer, block.place, self.size)
        return (rows[:, None] * columns)[None, None]

    @cached_property
    def small(self) -> Tensor:
        """The page, (1, 3, h, w) in [0, 1], no larger than is of use to who paints its target."""
        if not self.large:
            return self.seen(self._whole)
        shrunk = max(1, min(math.ceil(max(self.size) / SMALL), min(self.size) // MIN_SIDE))
        pool = partial(F.avg_pool2d, kernel_size=shrunk, ceil_mode=True, count_include_pad=False)
        return torch.cat([pool(self.seen(place)) for place in self.bands(shrunk)], -2)

    def bands(self, of: int = 1) -> Iterator[Place]:
        """All of the page from the top down, in pieces whose height is a multiple of `of` px but for the last one's."""
        height, width = self.size
        rows = max(1, BAND // (width * of)) * of if self.large else height
        return ((slice(top, min(top + rows, height)), slice(0, width)) for top in range(0, height, rows))

    # The excerpt

    @cached_property
    def places(self) -> list[Place]:
        """Where the budget is held and figures are taken: all of the page, or of a large one at most WINDOWS places
        that the cloak may reach, spread over it."""
        if not self.large:
            return [self._whole]
        cells = self._cells()
        reached = [place for place in cells if bool((self._masked(place) * self._visible(place)).any())] or cells
        dice, count = random.Random(0), min(WINDOWS, len(reached))
        bounds = [round(part * len(reached) / count) for part in range(count + 1)]
        return [reached[dice.randrange(low, high)] for low, high in itertools.pairwise(bounds)]

    def excerpt(self, at: Callable[[Place], Tensor]) -> Tensor:
        """What `at` has at each place, (…, h, w), side by side."""
        parts = [at(place) for place in self.places]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def excerpt_of(self, picture: Picture) -> Picture:
        """The same of a picture of the page's size."""
        whole = mirrored(picture)
        if not self.large:
            return whole
        return whole.with_samples(np.concatenate([whole.samples[place] for place in self.places], 1))

    def _cells(self) -> list[Place]:
        """The page in squares of WINDOW px on JPEG's grid, row by row, every other one backwards."""

        def along(side: int) -> list[slice]:
            last = max(0, side - WINDOW) // JPEG_GRID * JPEG_GRID
            return [slice(min(at, last), min(at + WINDOW, last + WINDOW, side)) for at in range(0, side, WINDOW)]

        rows, columns = (along(side) for side in self.size)
        return [(row, column) for turn, row in enumerate(rows) for column in columns[:: -1 if turn % 2 else 1]]

    # What there is

    @property
    def _whole(self) -> Place:
        return slice(0, self.size[0]), slice(0, self.size[1])

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


def scaled(picture: Tensor, size: tuple[int, int], place: Place) -> Tensor:
    """A place of the picture (1, 3, h, w) scaled to a size, height and width in px; (1, 3, …) in [0, 1]."""
    if tuple(picture.shape[-2:]) == size:
        return picture[(..., *place)]
    rows, columns = (
        (2 * torch.arange(part.start, part.stop) + 1) / side - 1 for part, side in zip(place, size, strict=True)
    )
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)[None]
    return F.grid_sample(picture, grid, "bicubic", "border", align_corners=False).clamp(0, 1)


def as_png(page: Page, at: Callable[[Place], Tensor]) -> bytes:
    """A PNG file of the page's size, without what is mirrored, from its bands, (1, 3, h, w) in [0, 1]."""
    samples = np.empty((page.picture.height, page.picture.width, 3), np.uint8)
    for place in page.bands():
        part = samples[place]
        part[...] = pixels.to_8bit(at(place))[: part.shape[0], : part.shape[1]]
    return vips.packed(samples, "png")


def _flat() -> BadInput:
    return BadInput("nothing_to_protect", "This picture is one flat colour: there is no style in it to protect.")

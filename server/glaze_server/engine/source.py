"""A job's pictures: from the bytes that came in to what the engine computes with, and back into bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glaze_plugin.raster import Raster, RasterFormat
from glaze_server.engine import formats, pixels
from glaze_server.engine.formats import PictureFile, Wanted
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import MIN_SIDE, over


@dataclass(frozen=True)
class Input:
    """One part of a job: a file's bytes, or raw pixels in the given layout."""

    data: bytes
    layout: RasterFormat | None = None


@dataclass(frozen=True)
class Output:
    data: bytes
    layout: RasterFormat | None = None


@dataclass(frozen=True)
class Source:
    """A decoded input. pages: its pictures; only a TIFF file has several. file: its container, None for raw pixels."""

    pages: tuple[Picture, ...]
    file: PictureFile | None

    @classmethod
    def read(cls, given: Input) -> Source:
        if given.layout:
            return cls((pixels.from_raster(Raster(given.layout, given.data)),), None)
        file = formats.decode(given.data)
        return cls(file.pages, file)

    def write(self, pages: Sequence[Picture], format: str = "", wanted: Wanted | None = None) -> Output:
        """The bytes of changed pages in the source's own kind."""
        if self.file is None:
            raster = pixels.to_raster(pages[0])
            return Output(raster.pixels, raster.format)
        return Output(formats.encode(self.file, pages, format, wanted))

    def stored(self, number: int, picture: Picture, format: str, level: int) -> tuple[Picture, int]:
        """A page as it will be stored, and how many bytes a lossy file then has; 0 for a lossless one."""
        if self.file is None or not formats.lossy(self.file, format):
            return picture, 0
        pages = (*self.pages[:number], picture, *self.pages[number + 1 :])
        data = formats.encode(self.file, pages, format, Wanted(level))
        return formats.decode(data).pages[number], len(data)

    @property
    def seen(self) -> Tensor:
        """What a viewer sees of the first page."""
        return seen(self.pages[0])


def seen(picture: Picture) -> Tensor:
    """What a viewer sees, (1, 3, H, W) in [0, 1], transparency over white; `mirrored`."""
    opacity = pixels.alpha(picture)
    return over(mirrored(pixels.colour(picture)), None if opacity is None else mirrored(opacity))


def mirrored(planes: Tensor) -> Tensor:
    """(…, H, W) with every side at least MIN_SIDE px, continued by its mirror image: encoders see no less."""
    for axis in (-2, -1):
        size = planes.shape[axis]
        if size < MIN_SIDE:
            there = torch.arange(MIN_SIDE) % (2 * size)
            planes = planes.index_select(axis % planes.ndim, torch.minimum(there, 2 * size - 1 - there))
    return planes


def within(planes: Tensor, picture: Picture) -> Tensor:
    """What of mirrored planes belongs to the picture."""
    return planes[..., : picture.height, : picture.width]


def only_within(planes: Tensor, picture: Picture) -> Tensor:
    """Mirrored planes with 0 wherever they do not belong to the picture."""
    kept = torch.zeros_like(planes)
    within(kept, picture)[...] = within(planes, picture)
    return kept

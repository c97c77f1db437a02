"""A job's pictures: from the bytes that came in to what the engine computes with, and back into bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from glaze_plugin.raster import Raster, RasterFormat
from glaze_server.engine import formats, pixels
from glaze_server.engine.formats import PictureFile, Wanted
from glaze_server.engine.metadata import exif
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
    """A decoded input. pages: its pictures as they are shown, turned as EXIF says; only a TIFF file has several.

    file: its container, whose own pages are not turned; None for raw pixels.
    """

    pages: tuple[Picture, ...]
    file: PictureFile | None

    @classmethod
    def read(cls, given: Input) -> Source:
        if given.layout:
            return cls((pixels.from_raster(Raster(given.layout, given.data)),), None)
        file = formats.decode(given.data)
        return cls(_turned(file.pages, exif.orientation(file.about.exif)), file)

    def write(self, pages: Sequence[Picture], format: str = "", wanted: Wanted | None = None) -> Output:
        """The bytes of changed pages in the source's own kind."""
        if self.file is None:
            raster = pixels.to_raster(pages[0])
            return Output(raster.pixels, raster.format)
        orientation = exif.orientation(self.file.about.exif)
        return Output(formats.encode(self.file, _turned(pages, BACK.get(orientation, orientation)), format, wanted))

    def stored(self, number: int, picture: Picture, format: str, level: int) -> tuple[Picture, int]:
        """A page as it will be stored, and how many bytes a lossy file then has; 0 for a lossless one."""
        if self.file is None or not formats.lossy(self.file, format):
            return picture, 0
        pages = (*self.pages[:number], picture, *self.pages[number + 1 :])
        data = self.write(pages, format, Wanted(level)).data
        return Source.read(Input(data)).pages[number], len(data)

    @property
    def seen(self) -> Tensor:
        """What a viewer sees of the first page, mirrored."""
        return seen(mirrored(self.pages[0]))


BACK = {6: 8, 8: 6}
"""Orientation → the one that undoes it, where that is another."""


def _turned(pages: Sequence[Picture], orientation: int) -> tuple[Picture, ...]:
    return tuple(pages) if orientation == 1 else tuple(page.turned(orientation) for page in pages)


def seen(picture: Picture) -> Tensor:
    """What a viewer sees, (1, 3, H, W) in [0, 1], transparency over white."""
    return over(pixels.colour(picture), pixels.alpha(picture))


def mirrored(picture: Picture) -> Picture:
    """With every side at least MIN_SIDE px, continued by its mirror image: encoders see no less."""
    samples = picture.samples
    for axis in (0, 1):
        size = samples.shape[axis]
        if size < MIN_SIDE:
            there = np.arange(MIN_SIDE) % (2 * size)
            samples = samples.take(np.minimum(there, 2 * size - 1 - there), axis)
    return picture if samples is picture.samples else picture.with_samples(samples)


def within(planes: Tensor, picture: Picture) -> Tensor:
    """What of a mirrored picture's planes belongs to the picture."""
    return planes[..., : picture.height, : picture.width]

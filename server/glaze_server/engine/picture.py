"""A picture in its own samples, and δ added to them: what is cloaked is never a conversion.

How the samples become what encoders and viewers see, and how δ finds the way back, is `colour`'s to know. Alpha is
never changed, nor is colour where alpha is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glaze_plugin.errors import BadInput
from glaze_server.engine import colour
from glaze_server.engine.colour import AS_SRGB, Floats, Space

Samples = NDArray[Any]


class Rows(Protocol):
    """What is made, or lies, as (H, W, C) and is asked for in rows."""

    def __getitem__(self, rows: slice, /) -> Floats: ...


BAND = 2**20
"""px that are worked on at once."""
MODELS = ("G", "RGB", "BGR", "CMYK", "Lab")
"""Colour models, by the order of their channels. An A behind them is alpha."""


@dataclass(frozen=True)
class Picture:
    """samples: (H, W, C), uint8, uint16 or floats of any size. channels: one of MODELS, with or without alpha ("A").

    Unsigned samples run from 0 to their type's top, a and b of Lab around its middle. space: how the colours are seen.
    premultiplied: whether they are multiplied by their alpha.
    """

    samples: Samples
    channels: str
    space: Space = field(default=AS_SRGB)
    premultiplied: bool = False

    @property
    def height(self) -> int:
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        return int(self.samples.shape[1])

    @property
    def size(self) -> str:
        return f"{self.width}×{self.height} px"

    @property
    def integers(self) -> bool:
        return self.samples.dtype.kind == "u"

    @property
    def top(self) -> float:
        """The sample that means 1."""
        return float(np.iinfo(self.samples.dtype).max) if self.integers else 1.0

    @property
    def has_alpha(self) -> bool:
        return self.channels.endswith("A")

    @property
    def model(self) -> str:
        """One of MODELS."""
        return self.channels.removesuffix("A")

    @property
    def colours(self) -> int:
        """Channels without alpha."""
        return len(self.model)

    @property
    def flat(self) -> bool:
        """Whether all pixels have the same colour to the bit; takes no memory to speak of."""
        first = self.samples[:1, :1, : self.colours]
        return all(bool((self.samples[rows, :, : self.colours] == first).all()) for rows in self._bands())

    @property
    def touched(self) -> Picture:
        """The same but for the least change of one sample: a file that is written of it is packed anew."""
        samples = self.samples.copy()
        first = samples[0, 0, 0]
        samples[0, 0, 0] = first ^ 1 if self.integers else np.nextafter(first, first + 1)
        return self.with_samples(samples)

    @property
    def alpha(self) -> Floats | None:
        """In [0, 1], (H, W, 1); None for an opaque picture."""
        return self._alpha(slice(None))

    @property
    def seen(self) -> Floats:
        """What encoders and viewers see of the colours, sRGB in [0, 1], (H, W, 1 or 3), RGB order."""
        seen = np.empty((self.height, self.width, 1 if self.model == "G" else 3), np.float32)
        for rows in self._bands():
            seen[rows] = self.space.seen(self._units(rows))
        return seen

    def with_samples(self, samples: Samples) -> Picture:
        return replace(self, samples=samples)

    @property
    def straight(self) -> Picture:
        """The picture with its colours not multiplied by alpha; integers are rounded, colours under alpha 0 stay."""
        if not self.premultiplied:
            return self
        samples = self.samples.copy()
        for rows in self._bands():
            alpha, planes = self._alpha(rows), samples[rows, :, : self.colours]
            if alpha is not None:
                with np.errstate(invalid="ignore", over="ignore"):
                    colours = np.divide(planes, alpha, out=planes.astype(np.float64), where=alpha > 0)
                    planes[...] = np.rint(colours).clip(0, self.top) if self.integers else colours
        return replace(self, samples=samples, premultiplied=False)

    def turned(self, orientation: int) -> Picture:
        """The picture as EXIF's orientation, 1 to 8, says that it is to be shown (EXIF 2.3, section 4.6.4)."""
        samples = self.samples.swapaxes(0, 1) if orientation > 4 else self.samples
        if orientation in (3, 4, 7, 8):
            samples = samples[::-1]
        if orientation in (2, 3, 6, 7):
            samples = samples[:, ::-1]
        return self.with_samples(np.ascontiguousarray(samples))

    def changed(self, delta: Rows) -> Picture:
        """The picture with δ added to its samples; integers are kept in their range.

        delta: (H, W, 1 or 3) in units of what is seen, RGB order. A δ of 0, or one that rounds to 0, leaves the sample
        bit-exact; so does alpha 0.
        """
        samples = self.samples.copy()
        for rows in self._bands():
            units, alpha = self._units(rows), self._alpha(rows)
            change = self.space.change(units, self.space.seen(units), delta[rows])
            if alpha is not None:
                change = change * (alpha if self.premultiplied else alpha > 0)
            if self.model == "BGR":
                change = change[:, :, ::-1]
            planes = samples[rows, :, : self.colours]
            if self.integers:
                planes[...] = np.clip(planes + np.rint(change * self.top).astype(np.int32), 0, self.top)
            else:
                with np.errstate(invalid="ignore", over="ignore"):
                    moved = (planes + change).astype(samples.dtype)
                planes[...] = np.where((change != 0) & np.isfinite(moved), moved, planes)
        return self.with_samples(samples)

    def _bands(self) -> Iterator[slice]:
        """Rows that are worked on at once, so that memory stays bounded."""
        rows = max(1, BAND // self.width)
        return (slice(top, min(top + rows, self.height)) for top in range(0, self.height, rows))

    def _alpha(self, rows: slice) -> Floats | None:
        if not self.has_alpha:
            return None
        planes = self.samples[rows, :, -1:].astype(np.float32) / np.float32(self.top)
        return np.asarray(np.clip(np.nan_to_num(planes), 0, 1), np.float32)

    def _units(self, rows: slice) -> Floats:
        """Straight colours, (H, W, C) in units of `top`, RGB order."""
        planes = self.samples[rows, :, : self.colours]
        if self.model == "BGR":
            planes = planes[:, :, ::-1]
        units = planes.astype(np.float32) / np.float32(self.top)
        alpha = self._alpha(rows)
        if self.premultiplied and alpha is not None:
            np.divide(units, alpha, out=units, where=alpha > 0)
        return units


def interpreted(samples: Samples, channels: str, profile: bytes, linear: bool = False) -> Picture:
    """A file's samples with the space that its profile gives them. linear: whether they say so themselves.

    Raises BadInput where the samples cannot be seen without their profile, and that is none.
    """
    model = channels.removesuffix("A")
    floats = samples.dtype.kind == "f"
    if model not in MODELS or (not floats and samples.dtype not in (np.uint8, np.uint16)):
        raise BadInput("depth", f"Pictures with the channels {channels} of the type {samples.dtype} are not supported.")
    return Picture(samples, channels, colour.space(model, floats, profile, linear))

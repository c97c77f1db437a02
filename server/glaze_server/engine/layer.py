"""A cloak laid on its page, and how far it moves what an encoder sees there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from glaze_server.engine import grain, measure
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.grain import FINE, Grain
from glaze_server.engine.looking import Place
from glaze_server.engine.page import Page
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import rounded

SPARED = 0.7
"""To which share δ is made smaller around samples that went too far."""


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

    @property
    def step(self) -> float:
        """Of which δ takes multiples alone; 0 for whatever it is."""
        return grain.step(self.share * self.page.strength) if self.of.levels else 0

    def times(self, share: float) -> Layer:
        return replace(self, share=self.share * share)

    def at(self, place: Place) -> Tensor:
        """(1, C, h, w)."""
        delta = self.page.delta(self.small * self.share, place, self.step)
        return delta if self.spared is None else delta * SPARED ** self.spared[(..., *place)]

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Rows of it, (h, W, C), for `Picture.changed`."""
        part = self.at((rows, slice(0, self.page.size[1])))
        return np.asarray(part[0, :, :, : self.page.picture.width].permute(1, 2, 0).numpy())

    @property
    def changed(self) -> Picture:
        """The page with it."""
        return self.page.picture.changed(self)


@dataclass(frozen=True)
class Course:
    """A page on its way to a target, and who judges how far it comes. target: (1, 3, h, w) at the size of training."""

    page: Page
    target: Tensor
    judges: Sequence[Encoder]
    compute: Compute

    def taken(self, ideal: Picture, real: Picture) -> float:
        """Which share of the ideal's targeted shift the real one lacks, at least 0; 0 where the ideal has none."""
        whole, left = self.shifts(ideal, real)
        return max(0.0, 1 - left / whole) if whole > 0 else 0.0

    def shifts(self, *cloaked: Picture) -> list[float]:
        """The targeted shift of each picture of the page's size, mean over the encoders."""
        clean = rounded(self.page.small)
        shrunk = [rounded(self.page.small_of(picture)) for picture in cloaked]
        found = [
            measure.targeted_shift(judge, clean, self.target, *shrunk, compute=self.compute) for judge in self.judges
        ]
        return [sum(values) / len(found) for values in zip(*found, strict=True)]

"""How the optimiser sees a picture: the renditions that a cloak is made to survive.

What happens online is a smaller size, another grid and JPEG; every rendition here is differentiable.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine.jpeg import jpeg
from glaze_server.engine.survival import resize

JPEG_QUALITY = 75
HALF = 0.5
"""What most sites and every trainer's loader come to, sooner or later."""
SMALLER = (0.375, 0.25)
"""Smaller sizes, for pictures of which something that a trainer would take is left then."""
LEAST_HALF, LEAST_SMALLER = 32, 256
"""px of a rendition's shorter side; smaller ones are left out."""
SHIFTS = ((0, 0), (3, 5), (6, 2), (5, 7))
"""Rows and columns cut off, so that the cloak does not hang on the encoder's 8 px grid."""


class Kind(NamedTuple):
    """What survives differently."""

    smaller: bool
    compressed: bool


SHARES = {Kind(False, False): 0.35, Kind(False, True): 0.2, Kind(True, False): 0.15, Kind(True, True): 0.3}
"""Of the objective, as long as the cloak does equally well on all."""
HARDER = 8.0
"""By how much the logarithm of a kind's share grows with what is left of its relative distance."""
REACHED = 0.5
"""What may be left of the relative distance of each kind where a cloak has come far enough."""
MEMORY = 0.3
"""The share of the last step in what is remembered of that."""


@dataclass(frozen=True)
class Rendition:
    """scale: of both sides. shift: rows and columns cut off in the end. jpeg: compressed before that.

    So JPEG's grid is the picture's own, as it is of what a site recompresses, wherever the encoder's grid falls.
    """

    scale: float = 1.0
    shift: tuple[int, int] = (0, 0)
    jpeg: bool = False

    def placed(self, x: Tensor) -> Tensor:
        """The picture (1, 3, H, W) at its size and on its grid."""
        return resize(x, self.scale)[..., self.shift[0] :, self.shift[1] :]

    def damaged(self, x: Tensor) -> Tensor:
        """What is done window by window: x, placed, as it will be seen, of the same shape."""
        if not self.jpeg:
            return x
        top, left = self.shift
        return jpeg(F.pad(x, (left, 0, top, 0), mode="replicate"), JPEG_QUALITY)[..., top:, left:]


def usual(shorter: int) -> list[Rendition]:
    """The picture as it is, compressed, and at half its size where that is large enough. shorter: its side, px."""
    return [Rendition(), Rendition(jpeg=True), *([Rendition(HALF)] if shorter * HALF >= LEAST_HALF else [])]


class Deck:
    """What renditions are drawn from for one picture, and how far the cloak has come on each kind of them.

    shorter: the picture's shorter side, px. grids: how many of SHIFTS are drawn from.
    """

    def __init__(self, shorter: int, grids: int = len(SHIFTS)) -> None:
        self._shifts = SHIFTS[:grids]
        halves = [HALF, HALF] if shorter * HALF >= LEAST_HALF else []
        self._smaller = halves + [scale for scale in SMALLER if shorter * scale >= LEAST_SMALLER]
        self._left = {kind: 1.0 for kind in SHARES if self._smaller or not kind.smaller}

    def draw(self, dice: random.Random, step: int) -> list[tuple[Rendition, float]]:
        """What step number `step` sees, and how much each counts: the full size and its JPEG in turns, and always the
        smaller ones, which cost little."""
        pull = {kind: SHARES[kind] * math.exp(HARDER * left) for kind, left in self._left.items()}
        total = sum(pull.values())
        return [
            (self._rendition(kind, dice), pull[kind] / total * (1 if kind.smaller else 2))
            for kind in self._left
            if kind.smaller or kind.compressed == (step % 2 == 1)
        ]

    def _rendition(self, kind: Kind, dice: random.Random) -> Rendition:
        scale = dice.choice(self._smaller) if kind.smaller else 1.0
        return Rendition(scale, dice.choice(self._shifts), kind.compressed)

    def note(self, rendition: Rendition, left: float) -> None:
        """Take in what is left of the relative distance of a rendition that was drawn."""
        kind = Kind(rendition.scale < 1, rendition.jpeg)
        self._left[kind] += MEMORY * (left - self._left[kind])

    @property
    def reached(self) -> bool:
        """Whether the cloak has come far enough on every kind."""
        return all(left <= REACHED for left in self._left.values())

    def facts(self) -> list[float]:
        """Its state, for `load`."""
        return list(self._left.values())

    def load(self, left: Sequence[float]) -> None:
        self._left = dict(zip(self._left, left, strict=True))

"""How the optimiser sees a picture: the renditions that a cloak is made to survive.

What happens online is a smaller size, another grid and JPEG; every rendition here is differentiable.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Rendition:
    """scale: of both sides. shift: rows and columns cut off after it. jpeg: compressed in the end."""

    scale: float = 1.0
    shift: tuple[int, int] = (0, 0)
    jpeg: bool = False

    def placed(self, x: Tensor) -> Tensor:
        """The picture (1, 3, H, W) at its size and on its grid."""
        return resize(x, self.scale)[..., self.shift[0] :, self.shift[1] :]

    def damaged(self, x: Tensor) -> Tensor:
        """What is done window by window: x as it will be seen, of the same shape."""
        return jpeg(x, JPEG_QUALITY) if self.jpeg else x


class Deck:
    """What renditions are drawn from for one picture. shorter: its shorter side, px."""

    def __init__(self, shorter: int) -> None:
        halves = [HALF, HALF] if shorter * HALF >= LEAST_HALF else []
        self._smaller = halves + [scale for scale in SMALLER if shorter * scale >= LEAST_SMALLER]

    def draw(self, dice: random.Random, count: int) -> list[Rendition]:
        """At first the full size, which everything starts from. Two: also a smaller one. More: also a small JPEG,
        which a cloak survives least, and any other."""
        kinds = [FULL, COMPRESSED]
        if self._smaller:
            kinds = [FULL, SMALL] if count == 2 else [FULL, SMALL_COMPRESSED, *dice.sample([SMALL, COMPRESSED], 2)]
        return [
            Rendition(dice.choice(self._smaller) if smaller else 1.0, dice.choice(SHIFTS), compressed)
            for smaller, compressed in kinds[:count]
        ]


FULL, SMALL, COMPRESSED, SMALL_COMPRESSED = (False, False), (True, False), (False, True), (True, True)

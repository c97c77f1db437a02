"""Generated pictures of the corpus: what flat art and gradients are at their purest.

Drawn with whole numbers alone, so that every machine draws the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SIDE = 512
"""px"""

Samples = NDArray[np.uint8]
"""(SIDE, SIDE, 4), straight alpha."""

CELS = (
    (256, 200, 150, (244, 205, 178)),
    (256, 120, 165, (88, 44, 120)),
    (256, 230, 128, (250, 218, 194)),
    (205, 215, 24, (30, 90, 160)),
    (307, 215, 24, (30, 90, 160)),
    (198, 208, 8, (255, 255, 255)),
    (300, 208, 8, (255, 255, 255)),
    (256, 290, 20, (190, 60, 70)),
    (256, 520, 170, (200, 40, 90)),
    (256, 380, 40, (244, 205, 178)),
)
"""Column, row and radius in px, and colour of each disc, from back to front."""


def _grid() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return rows.astype(np.int64), columns.astype(np.int64)


def cels() -> Samples:
    """A figure of single-colour discs with dark outlines on transparency, as cel-shaded art is built."""
    rows, columns = _grid()
    samples = np.zeros((SIDE, SIDE, 4), np.uint8)
    for column, row, radius, colour in CELS:
        square = (rows - row) ** 2 + (columns - column) ** 2
        samples[square <= (radius + 3) ** 2] = (24, 18, 32, 255)
        samples[square <= radius**2] = (*colour, 255)
    return samples


def sky() -> Samples:
    """A vertical gradient with a round glow: the smoothest thing that a painter paints."""
    rows, columns = _grid()
    top, bottom = np.array([28, 60, 130]), np.array([250, 190, 130])
    colour = (top * (SIDE - rows)[..., None] + bottom * rows[..., None]) // SIDE
    square = (rows - 340) ** 2 + (columns - 330) ** 2
    glow = np.clip(200 - 200 * square // 160**2, 0, 200)[..., None]
    colour = colour + (np.array([255, 240, 200]) - colour) * glow // 255
    return np.dstack([colour, np.full((SIDE, SIDE), 255)]).astype(np.uint8)


DRAWINGS: dict[str, Callable[[], Samples]] = {"cels": cels, "sky": sky}

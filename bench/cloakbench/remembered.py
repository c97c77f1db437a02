"""Transforms that remember what they made lately: picture and target are the same for every method."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from torch import Tensor

from glaze_server.engine.survival import Transform

KEPT = 6
"""Pictures: the original, its target, and the cloaked ones of three tracks."""


class Remembered:
    """The transform, for pictures on the CPU; of the same samples it gives the same picture."""

    def __init__(self, transform: Transform) -> None:
        self._transform = transform
        self._lately: OrderedDict[bytes, Tensor] = OrderedDict()

    def __call__(self, x: Tensor) -> Tensor:
        samples = x.contiguous().numpy()
        key = hashlib.sha256(repr(samples.shape).encode() + samples.tobytes()).digest()
        if key not in self._lately:
            self._lately[key] = self._transform(x)
        self._lately.move_to_end(key)
        if len(self._lately) > KEPT:
            self._lately.popitem(last=False)
        return self._lately[key]

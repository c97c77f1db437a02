"""What every method works on: a picture, its target, and how the picture with a δ is seen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from glaze_server.engine.pixels import over, rounded


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of the corpus, in [0, 1]. colour: (1, 1 or 3, H, W). opacity: (1, 1, H, W), None where opaque."""

    name: str
    stratum: str
    colour: Tensor
    opacity: Tensor | None

    @property
    def seen(self) -> Tensor:
        """What a viewer sees of it, over white, (1, 3, H, W)."""
        return over(self.colour, self.opacity)


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and where its cloak is to move it. target: (1, 3, H, W). number: which of the picture's targets."""

    picture: Picture
    number: int
    style: str
    target: Tensor

    def seen(self, delta: Tensor) -> Tensor:
        """The picture with δ, which is shaped like its colour, over white; not rounded, so gradients pass."""
        return over(self.picture.colour + delta, self.picture.opacity)

    def show(self, delta: Tensor) -> Tensor:
        """The picture with δ as an 8-bit file stores it and a viewer shows it, (1, 3, H, W)."""
        return rounded(over(rounded(self.picture.colour + delta), self.picture.opacity))

    def fingerprint(self) -> str:
        """SHA-256 over the pixels of picture and target."""
        planes = [self.picture.colour, self.target]
        if self.picture.opacity is not None:
            planes.append(self.picture.opacity)
        digest = hashlib.sha256()
        for plane in planes:
            digest.update(str(tuple(plane.shape)).encode())
            digest.update((plane * 255).round().to(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

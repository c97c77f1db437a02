"""What a method is given, and how it takes an encoder's gradient: through the engine's own code path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.cloakbench.scene import Scene
from glaze_server.engine import tiles
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder

Step = Callable[[Tensor], None]
"""Called with δ after each iteration; may raise Stop."""
View = Callable[[Tensor], Tensor]
"""δ → what the encoder is shown, (1, 3, H, W), differentiable."""


class Stop(Exception):
    """The method has been given all the time that it gets."""


@dataclass(frozen=True)
class Task:
    """One cloak to make on one encoder. step: see Step."""

    scene: Scene
    encoder: Encoder
    compute: Compute
    step: Step

    def encode(self, picture: Tensor) -> Tensor:
        return tiles.encode(self.encoder, picture, self.compute)

    def pull(self, delta: Tensor, view: View, goal: Tensor) -> Tensor:
        """Gradient of ‖E(view(δ)) − goal‖² with respect to δ, up to a positive factor that depends on `goal` alone.

        goal: a latent, or one that broadcasts to it.
        """
        delta = delta.detach().requires_grad_()
        seen = view(delta)

        def loss(latent: Tensor, window: tiles.Window) -> Tensor:
            return (latent - goal[..., window.place[0], window.place[1]]).square().sum()

        _, part = tiles.gradient(self.encoder, seen.detach(), loss, self.compute)
        (gradient,) = torch.autograd.grad(seen, delta, part)
        return gradient

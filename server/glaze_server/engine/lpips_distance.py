"""LPIPS (Zhang et al., CVPR 2018), by the `lpips` package's own networks."""

from __future__ import annotations

from functools import cache

import lpips
import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine import models
from glaze_server.engine.device import Compute, Device
from glaze_server.engine.looking import WINDOWS, Difference


@cache
def network(net: str) -> lpips.LPIPS:
    return models.lpips_network(net).to(memory_format=torch.channels_last)


class Lpips(Difference):
    """LPIPS to one picture. net: "alex" or "vgg"."""

    NAME = "LPIPS"

    def __init__(
        self,
        reference: Tensor,
        net: str,
        most: int | None = WINDOWS,
        compute: Compute | None = None,
        half: bool = False,
    ) -> None:
        super().__init__(reference, most, compute, half)
        self._network = network(net)

    def _prepare(self, reference: Tensor, device: Device) -> list[Tensor]:
        return self._features(reference, device)

    def _value(self, seen: Tensor, prepared: list[Tensor], device: Device) -> Tensor:
        placed = device.place(self._network)
        return torch.stack(
            [
                F.conv2d((own - other).square(), lin.model[-1].weight.float()).mean()
                for lin, own, other in zip(placed.lins, prepared, self._features(seen, device), strict=True)
            ]
        ).sum()

    def _features(self, picture: Tensor, device: Device) -> list[Tensor]:
        placed = device.place(self._network)
        scaled = placed.scaling_layer((2 * picture - 1).to(device.dtype))
        outputs = placed.net(scaled.contiguous(memory_format=torch.channels_last))
        return [lpips.normalize_tensor(output.float()) for output in outputs]

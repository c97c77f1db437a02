"""LPIPS (Zhang et al., CVPR 2018), by the `lpips` package's own networks."""

from __future__ import annotations

from functools import cache

import lpips
import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine import models
from glaze_server.engine.device import CPU, Compute, Device
from glaze_server.engine.looking import WINDOWS, Difference


@cache
def network(net: str) -> lpips.LPIPS:
    return models.lpips_network(net).to(memory_format=torch.channels_last)


class Lpips(Difference):
    """LPIPS to one picture, whose features are kept where they are few. net: "alex" or "vgg"."""

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
        self._kept: dict[tuple[int, Device], list[Tensor]] = {}

    def _value(self, number: int, seen: Tensor, device: Device) -> Tensor:
        features = self._of_reference(number, device)
        placed = device.place(self._network)
        return torch.stack(
            [
                F.conv2d((own - other).square(), lin.model[-1].weight.float()).mean()
                for lin, own, other in zip(placed.lins, features, self._features(seen, device), strict=True)
            ]
        ).sum()

    @torch.no_grad()
    def _of_reference(self, number: int, device: Device) -> list[Tensor]:
        """Features of one window; the first ones are kept on the CPU, elsewhere memory is dearer than time."""
        if (number, device) in self._kept:
            return self._kept[number, device]
        features = self._features(self._reference_window(number, device), device)
        if device.name == CPU.name and number < WINDOWS:
            self._kept[number, device] = features
        return features

    def _features(self, picture: Tensor, device: Device) -> list[Tensor]:
        placed = device.place(self._network)
        scaled = placed.scaling_layer((2 * picture - 1).to(device.dtype))
        outputs = placed.net(scaled.contiguous(memory_format=torch.channels_last))
        return [lpips.normalize_tensor(output.float()) for output in outputs]

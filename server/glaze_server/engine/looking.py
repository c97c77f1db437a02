"""Where a picture is looked at when it is judged, so that memory stays bounded whatever its size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine.device import CPU, Compute, Device, free_memory

WINDOW = 512
WINDOWS = 16
"""A picture larger than one window is judged on at most this many windows of WINDOW px, spread evenly."""
KEPT = 4
"""Of so many windows the reference's features are kept; of VGG's that takes 140 MB each."""
ROOMY = 4 << 30
"""Bytes that must be free on a graphics card for them to be kept there."""
LEAST = 64
"""px; smaller pictures are continued at their borders up to it, since the judging networks need room."""

Place = tuple[slice, slice]


def windows(height: int, width: int, most: int | None, size: int = WINDOW) -> list[Place]:
    """The whole picture up to twice a window's area, else evenly spread windows of `size` px.

    most: how many at most, None for as many as cover it. Fewer than that lie in the middles of equal parts.
    """
    if height * width <= 2 * size**2:
        return [(slice(0, height), slice(0, width))]

    counts = [-(-side // size) for side in (height, width)]
    while most and counts[0] * counts[1] > most:
        counts[counts.index(max(counts))] -= 1

    def starts(length: int, count: int) -> list[int]:
        if count * size < length:
            return [round((i + 0.5) * length / count - size / 2) for i in range(count)]
        return [round(i * max(0, length - size) / max(1, count - 1)) for i in range(count)]

    return [
        (slice(top, top + size), slice(left, left + size))
        for top in starts(height, counts[0])
        for left in starts(width, counts[1])
    ]


class Difference(ABC):
    """How different pictures look from one reference picture: the mean over windows, and its gradient.

    reference: (1, 3, H, W) in [0, 1]. most: how many windows at most, None for as many as cover it. half: whether
    half precision will do where the device has it. Windows are smaller where the device has come to smaller tiles.
    """

    NAME = "The judgement"

    def __init__(
        self, reference: Tensor, most: int | None = WINDOWS, compute: Compute | None = None, half: bool = False
    ) -> None:
        self._reference = reference
        self._compute = compute or Compute()
        self._half = half
        self._most = most
        self._kept: dict[int, Any] = {}
        self._kept_for: Device | None = None

    @torch.no_grad()
    def distance(self, picture: Tensor) -> float:
        """How far a picture shaped like the reference is from it; 0 for the reference itself."""

        def work(device: Device) -> float:
            return sum(float(value) for value in self._values(picture, device))

        return self._compute.run(work, self.NAME, self._half)

    def gradient(self, picture: Tensor) -> tuple[float, Tensor]:
        """The distance and its gradient, shaped like the picture; window by window."""

        def work(device: Device) -> tuple[float, Tensor]:
            leaf = picture.detach().requires_grad_()
            total = 0.0
            for value in self._values(leaf, device):
                value.backward()
                total += value.item()
            assert leaf.grad is not None
            return total, leaf.grad

        return self._compute.run(work, self.NAME, self._half)

    def _values(self, picture: Tensor, device: Device) -> Iterator[Tensor]:
        """Each window's share of the distance."""
        if device != self._kept_for:
            self._kept, self._kept_for = {}, device
        places = windows(picture.shape[-2], picture.shape[-1], self._most, min(WINDOW, device.core))
        for number, (rows, columns) in enumerate(places):
            seen, reference = (
                _with_room(whole[..., rows, columns]).to(device.name) for whole in (picture, self._reference)
            )
            yield self._value(seen, self._prepared(number, reference, device), device) / len(places)

    @torch.no_grad()
    def _prepared(self, number: int, reference: Tensor, device: Device) -> Any:
        """What `_prepare` makes of one window of the reference; the first ones are kept where memory allows."""
        if number in self._kept:
            return self._kept[number]
        prepared = self._prepare(reference, device)
        if number < KEPT and (device.name == CPU.name or (free_memory(device) or 0) > ROOMY):
            self._kept[number] = prepared
        return prepared

    @abstractmethod
    def _prepare(self, reference: Tensor, device: Device) -> Any:
        """What is needed of a window of the reference, on the device, whatever it is compared with."""

    @abstractmethod
    def _value(self, seen: Tensor, prepared: Any, device: Device) -> Tensor:
        """The distance of one window, `seen` on the device, from what was prepared; without dimensions."""


def _with_room(window: Tensor) -> Tensor:
    height, width = window.shape[-2:]
    if min(height, width) >= LEAST:
        return window
    return F.pad(window, (0, max(0, LEAST - width), 0, max(0, LEAST - height)), mode="replicate")

"""Where a picture is looked at when it is judged, so that memory stays bounded whatever its size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine.device import Compute, Device

WINDOW = 512
WINDOWS = 16
"""A picture larger than one window is judged on at most this many windows of WINDOW px, spread evenly."""
LEAST = 64
"""px; smaller pictures are continued at their borders up to it, since the judging networks need room."""

Place = tuple[slice, slice]


def windows(height: int, width: int, most: int | None) -> list[Place]:
    """The whole picture up to twice the window's area, else evenly spread windows; most None: as many as cover it."""
    if height * width <= 2 * WINDOW**2:
        return [(slice(0, height), slice(0, width))]

    counts = [-(-side // WINDOW) for side in (height, width)]
    while most and counts[0] * counts[1] > most:
        counts[counts.index(max(counts))] -= 1

    def starts(length: int, count: int) -> list[int]:
        return [round(i * max(0, length - WINDOW) / max(1, count - 1)) for i in range(count)]

    return [
        (slice(top, top + WINDOW), slice(left, left + WINDOW))
        for top in starts(height, counts[0])
        for left in starts(width, counts[1])
    ]


class Difference(ABC):
    """How different pictures look from one reference picture: the mean over windows, and its gradient.

    reference: (1, 3, H, W) in [0, 1]. most: how many windows at most, None for as many as cover it. half: whether
    half precision will do where the device has it.
    """

    NAME = "The judgement"

    def __init__(
        self, reference: Tensor, most: int | None = WINDOWS, compute: Compute | None = None, half: bool = False
    ) -> None:
        self._reference = reference
        self._compute = compute or Compute()
        self._half = half
        self._windows = windows(reference.shape[-2], reference.shape[-1], most)

    @torch.no_grad()
    def distance(self, picture: Tensor) -> float:
        """How far a picture shaped like the reference is from it; 0 for the reference itself."""

        def work(device: Device) -> float:
            return sum(float(value) for value in self._values(picture, device)) / len(self._windows)

        return self._compute.run(work, self.NAME, self._half)

    def gradient(self, picture: Tensor) -> tuple[float, Tensor]:
        """The distance and its gradient, shaped like the picture; window by window."""

        def work(device: Device) -> tuple[float, Tensor]:
            leaf = picture.detach().requires_grad_()
            total = 0.0
            for value in self._values(leaf, device):
                (value / len(self._windows)).backward()
                total += value.item()
            assert leaf.grad is not None
            return total / len(self._windows), leaf.grad

        return self._compute.run(work, self.NAME, self._half)

    def _values(self, picture: Tensor, device: Device) -> Iterator[Tensor]:
        for number, (rows, columns) in enumerate(self._windows):
            yield self._value(number, _with_room(picture[..., rows, columns]).to(device.name), device)

    def _reference_window(self, number: int, device: Device) -> Tensor:
        rows, columns = self._windows[number]
        return _with_room(self._reference[..., rows, columns]).to(device.name)

    @abstractmethod
    def _value(self, number: int, seen: Tensor, device: Device) -> Tensor:
        """The distance of one window, `seen` on the device, from that of the reference; without dimensions."""


def _with_room(window: Tensor) -> Tensor:
    height, width = window.shape[-2:]
    if min(height, width) >= LEAST:
        return window
    return F.pad(window, (0, max(0, LEAST - width), 0, max(0, LEAST - height)), mode="replicate")

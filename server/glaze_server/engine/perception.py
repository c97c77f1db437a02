"""What the eye sees of a cloak: LPIPS, a just-noticeable-difference map, and the visual budget that δ is held to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import lpips
import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine import models
from glaze_server.engine.device import CPU, Compute, Device
from glaze_server.engine.pixels import rounded

LPIPS_WINDOW = 512
LPIPS_WINDOWS = 16
"""A picture larger than one window is judged on at most this many windows of LPIPS_WINDOW px, spread evenly."""
LPIPS_MIN = 64
"""px; smaller pictures are mirrored up to it, since AlexNet's layers need room."""

EPSILON = 0.06
"""The largest |δ| where the eye forgives most, in [0, 1]; just under 16/255."""

TOLERANCE = 1e-12
"""For limits that are met exactly; what is shown never exceeds the budget by more."""

FLAT = 2 / 255
"""Local contrast below which an area counts as flat, where the eye sees noise first."""


@cache
def network(net: str) -> lpips.LPIPS:
    return models.lpips_network(net)


class Lpips:
    """LPIPS (Zhang et al., CVPR 2018) to one reference picture, whose features are kept where they are few.

    reference: (1, 3, H, W) in [0, 1]. net: "alex" or "vgg". most: a picture larger than one window is judged on at
    most this many windows, spread evenly; None for as many as cover it. Always in full precision.
    """

    def __init__(
        self, reference: Tensor, net: str, most: int | None = LPIPS_WINDOWS, compute: Compute | None = None
    ) -> None:
        self._network = network(net)
        self._compute = compute or Compute()
        height, width = reference.shape[-2:]
        self._windows = _windows(height, width, most)
        self._reference = reference
        self._kept: dict[int, list[Tensor]] = {}

    @torch.no_grad()
    def distance(self, picture: Tensor) -> float:
        """The distance of a picture shaped like the reference."""

        def work(device: Device) -> float:
            return sum(float(value) for value in self._distances(picture, device)) / len(self._windows)

        return self._compute.run(work, "LPIPS")

    def gradient(self, picture: Tensor) -> tuple[float, Tensor]:
        """The distance and its gradient, shaped like the picture; window by window, in bounded memory."""

        def work(device: Device) -> tuple[float, Tensor]:
            leaf = picture.detach().requires_grad_()
            total = 0.0
            for value in self._distances(leaf, device):
                (value / len(self._windows)).backward()
                total += value.item()
            assert leaf.grad is not None
            return total / len(self._windows), leaf.grad

        return self._compute.run(work, "LPIPS")

    def _distances(self, picture: Tensor, device: Device) -> Iterator[Tensor]:
        if device != CPU:
            self._kept.clear()
        lins = device.place(self._network).lins
        for number, window in enumerate(self._windows):
            features = self._of_reference(number, device)
            others = self._normalised(picture[..., window[0], window[1]], device)
            yield torch.stack(
                [lin((own - other) ** 2).mean() for lin, own, other in zip(lins, features, others, strict=True)]
            ).sum()

    @torch.no_grad()
    def _of_reference(self, number: int, device: Device) -> list[Tensor]:
        """Features of one window; the first ones are kept on the CPU, elsewhere memory is dearer than time."""
        if number in self._kept:
            return self._kept[number]
        rows, columns = self._windows[number]
        features = self._normalised(self._reference[..., rows, columns], device)
        if device == CPU and number < LPIPS_WINDOWS:
            self._kept[number] = features
        return features

    def _normalised(self, picture: Tensor, device: Device) -> list[Tensor]:
        height, width = picture.shape[-2:]
        if min(height, width) < LPIPS_MIN:
            picture = F.pad(picture, (0, max(0, LPIPS_MIN - width), 0, max(0, LPIPS_MIN - height)), mode="replicate")
        placed = device.place(self._network)
        outputs = placed.net(placed.scaling_layer(2 * picture.to(device.name) - 1))
        return [lpips.normalize_tensor(output) for output in outputs]


def _windows(height: int, width: int, most: int | None) -> list[tuple[slice, slice]]:
    """Where LPIPS looks: the whole picture up to twice the window's area, else evenly spread windows."""
    if height * width <= 2 * LPIPS_WINDOW**2:
        return [(slice(0, height), slice(0, width))]

    counts = [-(-side // LPIPS_WINDOW) for side in (height, width)]
    while most and counts[0] * counts[1] > most:
        counts[counts.index(max(counts))] -= 1

    def starts(length: int, count: int) -> list[int]:
        return [round(i * max(0, length - LPIPS_WINDOW) / max(1, count - 1)) for i in range(count)]

    return [
        (slice(top, top + LPIPS_WINDOW), slice(left, left + LPIPS_WINDOW))
        for top in starts(height, counts[0])
        for left in starts(width, counts[1])
    ]


def _blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (1, C, H, W) with mirrored borders."""
    radius = min(round(3 * sigma), min(x.shape[-2:]) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    padded = F.pad(x, (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel[:, :, None, :], groups=x.shape[1])
    return F.conv2d(rows, kernel[:, :, :, None], groups=x.shape[1])


def local_contrast(x: Tensor) -> Tensor:
    """Standard deviation of luma around each pixel (Gaussian, sigma 2 px), (1, 1, H, W); x (1, 3, H, W)."""
    luma = (x * x.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
    mean = _blur(luma, 2)
    return (_blur(luma**2, 2) - mean**2).clamp_min(0).sqrt()


def jnd_map(x: Tensor) -> Tensor:
    """How much of the largest change each pixel may take, 0.25..1, (1, 1, H, W): flat areas little, texture much."""
    return 0.25 + 0.75 * (local_contrast(x) / 0.06).clamp_max(1)


@dataclass(frozen=True)
class Visibility:
    """How visible a change is, measured after rounding to 8 bits.

    max_change, and flat_rms (root mean square over flat areas, 0 where there are none), in units of [0, 1]. psnr: dB.
    """

    lpips_alex: float
    lpips_vgg: float
    max_change: float
    flat_rms: float
    psnr: float


@dataclass(frozen=True)
class Budget:
    """The most that may be seen: all limits hold at once, since any single one gets gamed."""

    lpips_alex: float = 0.05
    lpips_vgg: float = 0.20
    max_change: float = 16 / 255
    flat_rms: float = 4 / 255

    def scaled(self, strength: float) -> Budget:
        return Budget(*(strength * limit for limit in vars(self).values()))

    def holds(self, seen: Visibility) -> bool:
        return all(getattr(seen, name) <= limit + TOLERANCE for name, limit in vars(self).items())

    def headroom(self, seen: Visibility, other: Visibility | None = None, ratio: float = 1.0) -> float:
        """The factor for δ at which the tightest limit would just hold: LPIPS grows as δ², the others as δ.

        other, ratio: what was seen of another share of δ, and how many times `seen`'s that was. Then each figure is
        taken to grow as it did between the two, since LPIPS saturates and a lossy file moves samples of its own.
        """
        factors = [1e9]
        for name, limit in vars(self).items():
            value, power = getattr(seen, name), 2.0 if name.startswith("lpips") else 1.0
            if other and value > 0 and getattr(other, name) > 0:
                power = min(max(math.log(getattr(other, name) / value) / math.log(ratio), SLOWEST), power)
            if value > 0:
                factors.append((limit / value) ** (1 / power))
        return min(factors)


class Eye:
    """Judges changes of one picture. reference: what a viewer sees of the original, (1, 3, H, W) in [0, 1]."""

    def __init__(self, reference: Tensor, compute: Compute | None = None) -> None:
        self.reference = rounded(reference)
        self._flat = (local_contrast(self.reference) < FLAT).expand_as(self.reference)
        self.alex = Lpips(self.reference, "alex", compute=compute)
        self.vgg = Lpips(self.reference, "vgg", compute=compute)

    @torch.no_grad()
    def judge(self, picture: Tensor) -> Visibility:
        """picture: (1, 3, H, W) in [0, 1]."""
        seen = rounded(picture)
        change = seen - self.reference
        mean_square = float(change.square().mean())
        flat = change[self._flat]
        return Visibility(
            lpips_alex=self.alex.distance(seen),
            lpips_vgg=self.vgg.distance(seen),
            max_change=round(float(change.abs().max()) * 255) / 255,
            flat_rms=float(flat.square().mean().sqrt()) if flat.numel() else 0.0,
            psnr=-10 * math.log10(mean_square) if mean_square else math.inf,
        )


SLOWEST = 0.5
"""A figure that grows slower than this power of δ between two trials counts as growing so fast."""
FIT_STEPS = 6
FIT_LEAP = 0.8
"""As long as nothing held, each trial is at most this share of the one before."""
FIT_MARGIN = 0.985
"""How far below its estimate each trial is aimed; it costs 1.5 % of δ and saves trials."""


@torch.no_grad()
def fit(delta: Tensor, show: Callable[[Tensor], Tensor], eye: Eye, budget: Budget, tick: Callable[[], None]) -> Tensor:
    """δ scaled by the largest factor found, at most 1, at which the budget holds for the picture as it will be seen.

    show: δ → the picture with it, (1, 3, H, W), as it will be stored. tick: called after each of at most
    FIT_STEPS trials.
    """
    best, share, ceiling = torch.zeros_like(delta), 1.0, 1.0
    best_share, before, before_share = 0.0, None, 1.0
    for _ in range(FIT_STEPS):
        seen = eye.judge(show(delta * share))
        tick()
        if budget.holds(seen):
            best, best_share = delta * share, share
            if share == ceiling:
                break
        else:
            ceiling = share
        estimate = share * budget.headroom(seen, before, before_share / share) * FIT_MARGIN
        before, before_share = seen, share
        if not best_share:
            estimate = min(estimate, FIT_LEAP * ceiling)
        share = estimate if best_share < estimate < ceiling else (best_share + ceiling) / 2
        if best_share and share < best_share * 1.01:
            break
    return best

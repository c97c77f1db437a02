"""Every figure that is ever shown to a person is computed here.

Targeted shift of an encoder E, for picture x, cloaked c and target T: 1 − ‖E(c) − E(T)‖ / ‖E(x) − E(T)‖. 0 means that
the encoder sees the picture where it was, 1 that it sees the target. Survival is the same after a transform of all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glaze_plugin.errors import GlazeError
from glaze_server.engine import tiles
from glaze_server.engine.budget import Eye
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.lpips_distance import Lpips
from glaze_server.engine.pixels import rounded
from glaze_server.engine.survival import TRANSFORMS, Transform, unchanged

STEPS = len(TRANSFORMS) + 2
"""How often `report` ticks."""

FIVE = ("none", "half", "jpeg75", "half_jpeg75", "crop")
"""What S is the mean over: the picture as it is, and what a scraper does to it."""

Shifts = dict[str, float]
"""Transform → targeted shift."""

OPACITIES = (25, 50, 75, 100)
"""% of a cloaked layer that lies over its picture."""
NOISE_SEED = 20_230_803
NOISE_LIMIT = 64 / 255
NOISE_STEPS = 8


def targeted_shift(
    encoder: Encoder, clean: Tensor, target: Tensor, *cloaked: Tensor, compute: Compute | None = None
) -> list[float]:
    """The shift of each of `cloaked`, all (1, 3, H, W) in [0, 1]. Raises GlazeError where an encoder has no answer."""
    goal = tiles.encode(encoder, target, compute)
    before, *after = ((tiles.encode(encoder, picture, compute) - goal).norm() for picture in (clean, *cloaked))
    if before == 0:
        raise GlazeError("no_distance", f"To the encoder {encoder.name} the picture already looks like its target.")
    return [float(1 - value / before) for value in after]


def score(shifts: Mapping[str, float]) -> float:
    """S, the mean targeted shift over FIVE. shifts: transform → targeted shift."""
    return sum(shifts[name] for name in FIVE) / len(FIVE)


def worst(shifts: Mapping[str, float]) -> float:
    """The least of FIVE."""
    return min(shifts[name] for name in FIVE)


def shifts_after(
    transforms: Mapping[str, Transform],
    encoder: Encoder,
    clean: Tensor,
    target: Tensor,
    cloaked: Sequence[Tensor],
    compute: Compute | None = None,
) -> list[Shifts]:
    """For each of `cloaked`, its targeted shift after each transform of all pictures; (1, 3, H, W), 8-bit, each."""
    found: list[Shifts] = [{} for _ in cloaked]
    for name, transform in transforms.items():
        seen = [transform(picture) for picture in (clean, target, *cloaked)]
        for shifts, value in zip(found, targeted_shift(encoder, *seen, compute=compute), strict=True):
            shifts[name] = value
    return found


def flip(clean: Tensor, cloaked: Tensor) -> float:
    """FLIP (Andersson et al., HPG 2020): the mean difference that one sees when flipping between the two, 0..1.

    At 67 pixels per degree, the authors' own default. clean, cloaked: (1, 3, H, W) in [0, 1]. Only the benchmark asks
    for it, whose requirements bring `flip-evaluator`; nothing is optimised for it.
    """
    import flip_evaluator

    def plane(picture: Tensor) -> NDArray[np.float32]:
        return np.ascontiguousarray(picture[0].permute(1, 2, 0).numpy(), np.float32)

    _, mean, _ = flip_evaluator.evaluate(plane(clean), plane(cloaked), "LDR", applyMagma=False)
    return float(mean)


@torch.no_grad()
def noise_like(clean: Tensor, distance: float, compute: Compute | None = None) -> Tensor:
    """The control: the picture with random ±a noise whose LPIPS (alex) is `distance`, a at most NOISE_LIMIT."""
    lpips = Lpips(clean, "alex", compute=compute)
    signs = torch.randint(0, 2, clean.shape, generator=torch.Generator().manual_seed(NOISE_SEED)) * 2.0 - 1
    low, high = 0.0, NOISE_LIMIT
    for _ in range(NOISE_STEPS):
        middle = (low + high) / 2
        if lpips.distance(rounded(clean + middle * signs)) <= distance:
            low = middle
        else:
            high = middle
    return rounded(clean + low * signs)


def report(
    encoders: Sequence[Encoder],
    eye: Eye,
    cloaked: Tensor,
    target: Tensor | None,
    tick: Callable[[], None],
    compute: Compute | None = None,
    trained: tuple[Tensor, Tensor] | None = None,
) -> dict[str, Any]:
    """All figures of one cloaked picture, beside those of random noise of the same LPIPS.

    eye: holds the clean picture. cloaked, target: (1, 3, H, W) in [0, 1]; without a target only visibility is reported.
    trained: the clean and the cloaked picture at the target's size, by which the shift is measured where it is another;
    then the figure `trained` is that size, [width, height].
    max_change and flat_rms are in units of [0, 1]: 1/255 is one level of an 8-bit picture.
    """
    clean, cloaked = eye.reference, rounded(cloaked)
    seen = eye.judge(cloaked)
    tick()
    figures: dict[str, Any] = {
        "lpips": {"alex": seen.lpips_alex, "vgg": seen.lpips_vgg},
        "max_change": seen.max_change,
        "flat_rms": seen.flat_rms,
        "jod": seen.jod,
        "psnr": seen.psnr if math.isfinite(seen.psnr) else None,
    }
    if target is None:
        return figures
    target, distance = rounded(target), seen.lpips_alex
    figures["trained"] = [*target.shape[:1:-1]] if trained else None
    if trained:
        clean, cloaked = trained
        distance = Lpips(clean, "alex", compute=compute).distance(cloaked)
    noise = noise_like(clean, distance, compute)
    tick()
    names = ["targeted_shift", *TRANSFORMS]
    shifts: dict[str, dict[str, float]] = {name: {} for name in names}
    controls: dict[str, dict[str, float]] = {name: {} for name in names}
    for name in names:
        transform = TRANSFORMS.get(name, unchanged)
        pictures = [transform(picture) for picture in (clean, target, cloaked, noise)]
        for encoder in encoders:
            both = targeted_shift(encoder, *pictures, compute=compute)
            shifts[name][encoder.name], controls[name][encoder.name] = both
        if name in TRANSFORMS:
            tick()
    return figures | {
        "targeted_shift": shifts.pop("targeted_shift"),
        "survival": shifts,
        "noise_control": {"targeted_shift": controls.pop("targeted_shift"), "survival": controls},
    }


def at_opacities(
    encoders: Sequence[Encoder],
    eye: Eye,
    cloaked: Tensor,
    target: Tensor,
    compute: Compute | None = None,
    trained: tuple[Tensor, Tensor] | None = None,
) -> dict[str, dict[str, float]]:
    """Shift (mean over the encoders), LPIPS (alex) and largest change of the cloak over the picture at OPACITIES.

    Arguments: as those of `report`.
    """
    target, clean = rounded(target), eye.reference

    def shown(clean: Tensor, cloaked: Tensor) -> list[Tensor]:
        return [rounded(clean + percent / 100 * (cloaked - clean)) for percent in OPACITIES]

    before, after = trained or (clean, cloaked)
    found = [targeted_shift(encoder, before, target, *shown(before, after), compute=compute) for encoder in encoders]
    return {
        str(percent): {
            "targeted_shift": sum(column) / len(encoders),
            "lpips": eye.alex.distance(picture),
            "max_change": round(float((picture - clean).abs().max()) * 255) / 255,
        }
        for percent, picture, column in zip(OPACITIES, shown(clean, cloaked), zip(*found, strict=True), strict=True)
    }

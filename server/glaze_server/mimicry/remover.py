"""A network that takes cloaks off, learned from pictures with and without one: after LightShed.

Foerster et al., *LightShed: Defeating Perturbation-based Image Copyright Protections*, USENIX Security 2025, train on
pairs made with the public tool and subtract what their network sees. Ours is a residual U-Net that predicts the cloak.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.engine.pixels import rounded
from glaze_server.mimicry.countermeasures import Countermeasure, RoundTrip

REMOVER = "remover"
"""Its name as a countermeasure."""
STRIDE = 4
UNIT = 4 / 255
"""What an output of 1 stands for, in units of [0, 1]."""
CROP = 96
"""px of a training crop's side, at most."""
BATCH, CLEAN = 16, 4
"""Crops of a step, and how many of them have no cloak."""
RATE, WARM = 1e-3, 1 / 20
"""AdamW's rate, and the share of the steps over which it rises to that; it falls to 0 along a cosine."""


class Beside(nn.Sequential):
    """x + what the layers make of x."""

    def forward(self, x: Tensor) -> Tensor:
        made = x
        for layer in self:
            made = layer(made)
        return x + made


def _block(width: int) -> nn.Sequential:
    def layers() -> list[nn.Module]:
        return [nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)]

    return Beside(*layers(), *layers())


def _halved(width: int, wider: int, *inner: nn.Module) -> nn.Sequential:
    """`inner` at half the size, beside what is there at full size."""
    down, up = nn.Conv2d(width, wider, 3, stride=2, padding=1), nn.Conv2d(wider, width, 3, padding=1)
    return Beside(down, *inner, nn.Upsample(scale_factor=2), up)


def network() -> nn.Sequential:
    """Pictures (N, 3, H, W) in [0, 1], sides multiples of STRIDE → cloaks in UNITs, at first 0. 1.26 M parameters."""
    last = nn.Conv2d(32, 3, 3, padding=1)
    for value in last.parameters():
        nn.init.zeros_(value)
    deepest = _halved(64, 128, _block(128), _block(128), _block(128))
    middle = _halved(32, 64, _block(64), deepest, _block(64))
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), _block(32), middle, _block(32), nn.GroupNorm(8, 32), nn.SiLU(), last
    )


def train(
    clean: Tensor, cloaked: Tensor, steps: int, seed: int, device: str, tick: Callable[[], None] = lambda: None
) -> nn.Sequential:
    """A network that learned from pairs, (N, 3, H, W) in [0, 1] each, sides of at least STRIDE px; it lies on the CPU.

    device: as torch names it. tick: called once a step, may raise to stop. All dice are thrown on the CPU: the same
    arguments give the same network on the same device, a card's if torch's algorithms are set to be deterministic.
    What is lowered is the mean square between the cloak, none for clean pictures, and what is predicted.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learner = network()
    learner.to(device)
    adam, dice = torch.optim.AdamW(learner.parameters(), RATE), torch.Generator().manual_seed(seed)
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / (WARM * steps)) * (1 + math.cos(math.pi * step / steps)) / 2
        before, seen = (one.to(device) for one in _batch(clean, cloaked, dice))
        error = (learner(seen) - (seen - before) / UNIT).square().mean()
        adam.zero_grad(set_to_none=True)
        error.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        adam.step()
        tick()
    return learner.cpu().eval().requires_grad_(False)


def _batch(clean: Tensor, cloaked: Tensor, dice: torch.Generator) -> tuple[Tensor, Tensor]:
    """BATCH crops without and with their cloaks, where CLEAN have none; turned and mirrored at random."""
    height, width = clean.shape[-2:]
    side = min(CROP, height, width) // STRIDE * STRIDE

    def drawn(most: int) -> int:
        return int(torch.randint(most, (), generator=dice))

    crops = []
    for number in range(BATCH):
        chosen, top, left = drawn(len(clean)), drawn(height - side + 1), drawn(width - side + 1)
        pair = torch.stack([clean[chosen], (clean if number < CLEAN else cloaked)[chosen]])
        crop = pair[..., top : top + side, left : left + side].rot90(drawn(4), (-2, -1))
        crops.append(crop.flip(-1) if drawn(2) else crop)
    before, seen = torch.stack(crops, 1)
    return before, seen


@torch.no_grad()
def cleaned(remover: nn.Module, picture: Tensor) -> Tensor:
    """A picture (1, 3, H, W) in [0, 1] without the cloak that the network sees, on the CPU, rounded to 8 bits."""
    height, width = picture.shape[-2:]
    padded = F.pad(picture, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
    seen = remover(padded.to(next(remover.parameters()).device)).cpu()
    return rounded(picture - UNIT * seen[..., :height, :width])


def countermeasure(remover: nn.Module) -> Countermeasure:
    """Taking off what that network sees; it computes where the network lies."""

    def remove(pictures: Tensor, seed: int, trip: RoundTrip) -> Tensor:
        return torch.cat([cleaned(remover, picture[None]) for picture in pictures])

    return remove


def save(path: Path, remover: nn.Module) -> None:
    """Write it as safetensors, whole or not at all."""
    with places.whole(path) as beside:
        save_file({name: value.contiguous() for name, value in remover.state_dict().items()}, beside)


def load(path: Path) -> nn.Sequential:
    """The network, on the CPU. Raises GlazeError where that file holds none."""
    with torch.random.fork_rng(devices=[]):
        remover = network()
    try:
        remover.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise GlazeError(
            "no_remover",
            f"There is no trained remover in {path}.",
            "`python -m bench.remover` trains one.",
        ) from error
    return remover.eval().requires_grad_(False)

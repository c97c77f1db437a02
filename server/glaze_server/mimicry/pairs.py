"""Pairs that a remover learns from: pictures as they are and as this tool cloaks them, each towards a style of its own.

They are kept on disk, so that the making can be interrupted and goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glaze_server.engine import styles
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.mimicry import cloaks
from glaze_server.mimicry.kept import Kept

STYLE = "style"


@dataclass(frozen=True)
class Pairs:
    """clean, cloaked: (N, 3, side, side), 8 bits. styles: the target's of each."""

    clean: Tensor
    cloaked: Tensor
    styles: tuple[str, ...]

    def some(self, numbers: Sequence[int]) -> Pairs:
        return Pairs(self.clean[numbers], self.cloaked[numbers], tuple(self.styles[number] for number in numbers))


def pairs(
    pictures: Tensor,
    judges: Sequence[Encoder],
    compute: Compute,
    tick: Callable[[], None],
    kept: Kept,
    quality: str = "standard",
    more: Callable[[int], bool] = lambda made: True,
) -> Pairs:
    """Cloak pictures, (N, 3, side, side) in 8 bits, in turn as long as `more` says so of the number that there are.

    judges, quality: of the cloak. A picture's style and its cloak's seed follow from its number alone. What `kept`
    holds must come from the same pictures and settings. tick: called often.
    """
    clean, cloaked, named = [], [], []
    for number, picture in enumerate(pictures):
        name = f"{number:05}"
        if not kept.has(name):
            if not more(number):
                break
            style = random.Random(f"pair {number}").choice(styles.STYLES)
            cloak = cloaks.Work(picture[None], style, quality, number, compute, tick).cloak(judges)
            kept.text(f"{name}/{STYLE}", style)
            kept.pictures(name, torch.cat([picture[None], cloak]))
        before, after = kept.load(name)
        clean.append(before)
        cloaked.append(after)
        named.append((kept.folder / name / STYLE).read_text(encoding="utf-8"))
    nothing = torch.empty(0, *pictures.shape[1:])
    return Pairs(torch.stack(clean) if clean else nothing, torch.stack(cloaked) if cloaked else nothing, tuple(named))

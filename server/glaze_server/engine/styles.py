"""The target styles and how one is chosen: 50–75 % away from the artist's own style, as in the paper (section 5.2)."""

from __future__ import annotations

import csv
import difflib
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from glaze_plugin.errors import BadInput
from glaze_server.engine.survival import resize
from glaze_server.engine.transfer import style_vector, transfer


@dataclass(frozen=True)
class Style:
    """A target style. network: its index in the embedded network. prompt: what it looks like, for a diffusion model."""

    network: int
    name: str
    prompt: str


def _read(path: Path) -> tuple[Style, ...]:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t")
        return tuple(Style(int(row["network"]), row["name"], row["prompt"]) for row in rows)


CATALOGUE = _read(Path(__file__).with_suffix(".tsv"))
STYLES = tuple(style.name for style in CATALOGUE)
"""Names of the styles, in the order of the network's indices; each says what its pictures look like."""

NEAR, FAR = 0.50, 0.75
"""Between these percentiles of the distance from the artist's own style the target is drawn."""
LOOK = 128
"""px of the longer side at which styles are compared."""


def index(name: str) -> int:
    """The network's index of a style. Raises BadInput for an unknown name."""
    return find(name).network


def find(name: str) -> Style:
    """The style of that name. Raises BadInput for an unknown one, with the names that are like it."""
    for style in CATALOGUE:
        if style.name == name:
            return style
    like = difflib.get_close_matches(name, STYLES, 3, 0.5)
    hint = f"Did you mean {' or '.join(like)}? " if like else ""
    raise BadInput("unknown_style", f"There is no style {name!r}.", f"{hint}Known styles: {', '.join(STYLES)}.")


def distances(x: Tensor, tick: Callable[[], None]) -> list[float]:
    """How far each embedded style would move the picture's style, in the transfer network's own style space.

    x: (1, 3, H, W) in [0, 1]. Content stays the same, so what is compared is style alone.
    """
    ratio = min(1.0, max(LOOK / max(x.shape[-2:]), 32 / min(x.shape[-2:])))
    small = resize(x, ratio).clamp(0, 1)
    own = style_vector(small)
    far = []
    for style in range(len(STYLES)):
        far.append(float(np.linalg.norm(style_vector(transfer(small, style)) - own)))
        tick()
    return far


def choose(far: list[float], seed: int) -> str:
    """A style drawn at random from those whose distance lies between the NEAR and FAR percentiles."""
    low, high = np.quantile(far, [NEAR, FAR])
    candidates = [name for name, distance in zip(STYLES, far, strict=True) if low <= distance <= high]
    return random.Random(seed).choice(candidates)

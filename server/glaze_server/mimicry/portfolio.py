"""An artist's pictures as a study takes them: squares of one size, some to train on, some held out, some cloaked."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine.pixels import rounded
from glaze_server.engine.source import Input, Source
from glaze_server.engine.survival import resize, resized

LEAST = 4
"""Pictures that a study needs: two to learn from, two to compare with."""
HELD_OUT = 4
"""One picture of so many is held out, at least two."""
SHARES = (100, 75, 50, 25)
"""% of an artist's pictures that are cloaked."""


@dataclass(frozen=True)
class Portfolio:
    """training, held_out: (N, 3, side, side) in [0, 1], rounded to 8 bits."""

    training: Tensor
    held_out: Tensor


def read(paths: Sequence[Path], side: int, tick: Callable[[], None]) -> Tensor:
    """The pictures in those files, (N, 3, side, side), 8 bits. tick: called after each.

    Raises BadInput, with the file's name, for one that cannot be read.
    """
    squares = []
    for path in paths:
        try:
            seen = Source.read(Input(path.read_bytes())).seen
        except OSError as error:
            raise BadInput("unreadable", f"{path} cannot be read: {error.strerror}.") from error
        except GlazeError as error:
            remedy = error.remedy or "Take it out of the folder, or export it again."
            raise BadInput(error.code, f"{error.sentence[:-1]}: {path.name}.", remedy) from error
        squares.append(square(seen, side))
        tick()
    return torch.cat(squares) if squares else torch.empty(0, 3, side, side)


def square(picture: Tensor, side: int) -> Tensor:
    """The middle of a picture (1, 3, H, W) as a square of `side` px, 8 bits; one that is smaller is enlarged."""
    height, width = picture.shape[-2:]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    middle = picture[..., top : top + edge, left : left + edge]
    small = resize(middle, side / edge)
    if small.shape[-1] != side:
        small = resized(small, side, side)
    return rounded(small)


def split(pictures: Tensor, seed: int, works: Sequence[str] = ()) -> Portfolio:
    """Some to learn from, and some held out, drawn by seed. Raises BadInput for fewer than LEAST.

    works: of which work each picture is a part. All parts of one are on the same side, if there are LEAST works.
    """
    count = len(pictures)
    if count < LEAST:
        raise BadInput(
            "few_pictures",
            f"A study needs at least {LEAST} pictures of the artist; there {'is' if count == 1 else 'are'} {count}.",
        )
    parts = works if len(set(works)) >= LEAST else [str(number) for number in range(count)]
    order = sorted(set(parts))
    random.Random(seed).shuffle(order)
    held: set[int] = set()
    for work in order[: len(order) - 1]:
        if len(held) >= max(2, count // HELD_OUT):
            break
        held |= {number for number, part in enumerate(parts) if part == work}
    trained = [number for number in range(count) if number not in held]
    return Portfolio(pictures[trained], pictures[sorted(held)])


def work(path: Path) -> str:
    """The work that a file holds a part or a version of: its name without a number after the last hyphen."""
    return re.sub(r"-\d+$", "", path.stem)


def cloaked(count: int, share: int, seed: int) -> list[int]:
    """Which of `count` pictures are cloaked where `share` % are, at least one; a larger share holds smaller ones."""
    order = list(range(count))
    random.Random(f"share {seed}").shuffle(order)
    return sorted(order[: many(count, share)])


def many(count: int, share: int) -> int:
    """How many of `count` pictures are cloaked where `share` % are."""
    return max(1, round(count * share / 100))


def distinct(shares: Sequence[int], count: int) -> tuple[int, ...]:
    """Of shares in % that cloak as many of `count` pictures the largest alone."""
    return tuple({many(count, share): share for share in sorted(shares)}.values())

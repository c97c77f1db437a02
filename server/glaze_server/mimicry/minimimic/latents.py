"""What MiniMimic learns from: latents of crops of pictures from Debian's archive, labelled by where they come from."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from glaze_plugin import places
from glaze_plugin.errors import BadInput
from glaze_server.engine.pixels import from_8bit, png
from glaze_server.engine.training.pictures import Pixels, fetch_packages, originals
from glaze_server.mimicry.minimimic.autoencoder import Taef2

SIDE = 128
"""px of a picture."""
CROPS = 2
"""Of each picture."""
LEAST = 16
"""Pictures of a package that is worth a label."""
MOST = 200
"""Pictures of a package that are taken."""
BATCH = 32
SHOWN = 24
"""Crops of each label, one a picture, that are kept as pictures too."""


@dataclass(frozen=True)
class Data:
    """latents: (N, C, h, w), raw. labels: (N,). names: of the labels."""

    latents: Tensor
    labels: Tensor
    names: tuple[str, ...]


def crops(pixels: Pixels, count: int, side: int, dice: random.Random) -> list[Tensor]:
    """Squares of a picture, (1, 3, side, side): its shorter side is brought to between one and two times `side`."""
    height, width, _ = pixels.shape
    found = []
    for _ in range(count):
        ratio = min(1.0, side * dice.uniform(1, 2) / min(height, width))
        size = max(side, round(width * ratio)), max(side, round(height * ratio))
        small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
        left, top = dice.randint(0, size[0] - side), dice.randint(0, size[1] - side)
        part = small.crop((left, top, left + side, top + side))
        found.append(from_8bit(np.asarray(part)))
    return found


def cut(work: Path, count: int, side: int, dice: random.Random) -> Iterator[tuple[str, list[Tensor]]]:
    """Of each picture its package and `count` crops, as `crops` makes them; MOST pictures of a package.

    work: folder where the packages are kept, to which missing ones are fetched.
    """
    taken: Counter[str] = Counter()
    for package, pixels, _ in originals(fetch_packages(work)):
        if taken[package] < MOST:
            taken[package] += 1
            yield package, crops(pixels, count, side, dice)


def others(work: Path) -> Path:
    """The folder where `gathered` keeps some pictures of each label, a folder each."""
    return work / "others"


@torch.no_grad()
def gathered(work: Path) -> Data:
    """Fetch the packages, cut, encode; what is there already below `work` is read. Raises BadInput without pictures.

    Some crops of each label are kept below `others(work)`.
    """
    file = work / "latents.safetensors"
    if not file.exists():
        _gather(work, file)
    with safe_open(file, "pt") as kept:
        return Data(kept.get_tensor("latents"), kept.get_tensor("labels"), tuple(json.loads(kept.metadata()["names"])))


def _gather(work: Path, file: Path) -> None:
    encoder, dice = Taef2().encoder, random.Random(0)
    taken: Counter[str] = Counter()
    waiting: list[Tensor] = []
    latents: list[Tensor] = []
    packages: list[str] = []
    shown: dict[str, list[Tensor]] = {}

    def encode() -> None:
        if waiting:
            latents.append(encoder(torch.cat(waiting)).half())
            waiting.clear()

    for package, found in cut(work, CROPS, SIDE, dice):
        taken[package] += 1
        if taken[package] <= SHOWN:
            shown.setdefault(package, []).append(found[0])
        waiting.extend(found)
        packages += [package] * CROPS
        if len(waiting) >= BATCH:
            encode()
    encode()
    names = sorted(name for name, count in taken.items() if count >= LEAST)
    if not names:
        raise BadInput("no_pictures", "There are no pictures to learn from.")
    chosen = torch.tensor([name in names for name in packages])
    labels = torch.tensor([names.index(name) for name in packages if name in names])
    for name in names:
        folder = others(work) / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(shown[name]):
            (folder / f"{number:03}.png").write_bytes(png(picture))
    with places.whole(file) as beside:
        save_file(
            {"latents": torch.cat(latents)[chosen].contiguous(), "labels": labels}, beside, {"names": json.dumps(names)}
        )

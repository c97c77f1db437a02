"""Training crops from the picture bank: random place, scale, flip and the mild damage that pictures meet on the web."""

import io
import random

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from glaze_server.engine.training.pictures import PictureBank, Pixels

CROP_PX = 160
SMALLEST_SCALE, LARGEST_SCALE = 0.25, 1.5
DULL_STD = 4.0
"""A crop whose values spread less than this (of 255) is drawn again, once."""


class CropSampler:
    """Endless random crops of one split, (N, 3, CROP_PX, CROP_PX) in [0, 1]."""

    def __init__(self, bank: PictureBank, split: str, seed: int) -> None:
        self._bank = bank
        self._all = bank.indices(split)
        self._styled = bank.indices(split, styled=True)
        self._dice = random.Random(seed)
        self._noise = np.random.default_rng(seed)

    def clean(self, count: int) -> Tensor:
        """`count` crops of pictures drawn evenly, each damaged with some probability."""
        return as_batch([self._damage(self._crop(self._bank[self._dice.choice(self._all)])) for _ in range(count)])

    def pairs(self, count: int) -> tuple[Tensor, Tensor]:
        """`count` crops and as many targets: the same place of a style transfer or, every second time, another crop."""
        crops, targets = [], []
        for _ in range(count):
            if self._styled and self._dice.random() < 0.5:
                index = self._dice.choice(self._styled)
                source = self._bank.entries[index].styled_from
                assert source is not None
                styled = self._bank[index]
                original = resized(self._bank[source], styled.shape[1], styled.shape[0])
                crop, target = np.split(self._crop(np.concatenate([original, styled], axis=2)), 2, axis=2)
            else:
                crop, target = (self._crop(self._bank[self._dice.choice(self._all)]) for _ in range(2))
            crops.append(crop)
            targets.append(target)
        return as_batch(crops), as_batch(targets)

    def _crop(self, picture: Pixels) -> Pixels:
        crop = self._crop_once(picture)
        return self._crop_once(picture) if crop.std() < DULL_STD else crop

    def _crop_once(self, picture: Pixels) -> Pixels:
        """A square of the picture at a scale drawn evenly in its logarithm; (CROP_PX, CROP_PX, C)."""
        dice = self._dice
        height, width, _ = picture.shape
        scale = 1.0 if dice.random() < 0.3 else SMALLEST_SCALE * (LARGEST_SCALE / SMALLEST_SCALE) ** dice.random()
        side = min(round(CROP_PX / scale), height, width)
        top, left = dice.randint(0, height - side), dice.randint(0, width - side)
        square = picture[top : top + side, left : left + side]
        if dice.random() < 0.5:
            square = square[:, ::-1]
        if dice.random() < 0.1:
            square = square[::-1]
        return resized(square, CROP_PX, CROP_PX)

    def _damage(self, crop: Pixels) -> Pixels:
        dice = self._dice
        if dice.random() < 0.2:
            gain = np.array([dice.uniform(0.8, 1.2) for _ in range(3)])
            crop = as_uint8((crop - 127.5) * gain * dice.uniform(0.8, 1.2) + 127.5 + dice.uniform(-25, 25))
        if dice.random() < 0.1:
            crop = as_uint8(crop + self._noise.normal(0, dice.uniform(2, 12), crop.shape))
        if dice.random() < 0.1:
            file = io.BytesIO()
            Image.fromarray(crop).save(file, "JPEG", quality=dice.randint(50, 95))
            crop = np.asarray(Image.open(file))
        return crop


def as_uint8(values: np.ndarray) -> Pixels:
    """Rounded and cut to 0..255."""
    return values.round().clip(0, 255).astype(np.uint8)


def resized(picture: Pixels, width: int, height: int) -> Pixels:
    """The picture (H, W, 3·k) at another size, by bicubic resampling with antialiasing."""
    if picture.shape[:2] == (height, width):
        return np.ascontiguousarray(picture)
    parts = [
        np.asarray(Image.fromarray(np.ascontiguousarray(picture[..., first : first + 3])).resize((width, height)))
        for first in range(0, picture.shape[2], 3)
    ]
    return np.concatenate(parts, axis=2)


def as_batch(pictures: list[Pixels]) -> Tensor:
    """Equal-sized pictures as (N, 3, H, W) in [0, 1], channels last in memory."""
    values = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return values.to(torch.float32).div_(255)

"""How near generated pictures are to an artist's style, by the features of VGG16 that LPIPS brings along.

Gram matrices describe style as Gatys et al. (CVPR 2016) do; means and deviations of channels, as AdaIN takes them
(Huang and Belongie, ICCV 2017), are the shorter description that the classifier and KID work on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from glaze_server.engine.device import Device
from glaze_server.engine.lpips_distance import network

RIDGE = 1e-4
"""Weight of the classifier's squared coefficients."""
ROUNDS = 60
"""Steps of L-BFGS, at most, in which the classifier is found."""
SPREAD_LEAST = 1e-6


@dataclass(frozen=True)
class Style:
    """One picture's. grams: for each of VGG16's five stages (C, C). numbers: (D,), means and deviations of channels."""

    grams: tuple[Tensor, ...]
    numbers: Tensor


@torch.no_grad()
def style(picture: Tensor, device: Device) -> Style:
    """picture: (1, 3, H, W) in [0, 1]; it is looked at in full precision, whatever the device's.

    Raises GlazeError where the weights of LPIPS are not on this computer.
    """
    placed = replace(device, half="").place(network("vgg"))
    scaled = placed.scaling_layer(2 * picture.to(device.name) - 1)
    grams, numbers = [], []
    for stage in placed.net(scaled):
        planes = stage[0].flatten(1).float()
        grams.append((planes @ planes.T / planes.shape[1]).cpu())
        numbers += [planes.mean(1).cpu(), planes.std(1, correction=0).cpu()]
    return Style(tuple(grams), torch.cat(numbers))


def styles(pictures: Tensor, device: Device, tick: Callable[[], None] = lambda: None) -> list[Style]:
    """Of each picture (N, 3, H, W). tick: called after each."""
    found = []
    for picture in pictures:
        found.append(style(picture[None], device))
        tick()
    return found


class Reference:
    """The artist's style, by pictures that no generator has seen."""

    def __init__(self, held_out: Sequence[Style]) -> None:
        self.numbers = torch.stack([one.numbers for one in held_out])
        self._grams = [torch.stack(stage).mean(0) for stage in zip(*(one.grams for one in held_out), strict=True)]

    def distance(self, of: Style) -> float:
        """Mean over the stages of ‖G − G₀‖ / ‖G₀‖, G₀ the artist's mean Gram matrix. 0: the same."""
        parts = [
            float((gram - own).norm() / own.norm().clamp_min(SPREAD_LEAST))
            for gram, own in zip(of.grams, self._grams, strict=True)
        ]
        return sum(parts) / len(parts)


class Classifier:
    """Which of several artists or styles a picture is in: multinomial logistic regression on the numbers of styles.

    known: name → pictures in that style, at least one each; every style counts alike, however many it has.
    """

    def __init__(self, known: Mapping[str, Sequence[Style]]) -> None:
        self.names = tuple(known)
        numbers = torch.stack([one.numbers for found in known.values() for one in found])
        self._middle = numbers.mean(0)
        self._spread = numbers.std(0).clamp_min(SPREAD_LEAST)
        told = torch.cat([torch.full((len(found),), place) for place, found in enumerate(known.values())])
        fair = torch.cat([torch.full((len(found),), 1 / len(found)) for found in known.values()]) / len(known)
        self._weights = torch.zeros(numbers.shape[1], len(known), requires_grad=True)
        self._bias = torch.zeros(len(known), requires_grad=True)
        optimiser = torch.optim.LBFGS([self._weights, self._bias], max_iter=ROUNDS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            wrong = (fair * cross_entropy(self._logits(numbers), told, reduction="none")).sum()
            total = wrong + RIDGE * self._weights.square().sum()
            total.backward()  # type: ignore[no-untyped-call]
            return total

        with torch.enable_grad():
            optimiser.step(loss)  # type: ignore[no-untyped-call]

    def _logits(self, numbers: Tensor) -> Tensor:
        scaled = (numbers - self._middle) / self._spread / numbers.shape[-1] ** 0.5
        logits: Tensor = scaled @ self._weights + self._bias
        return logits

    @torch.no_grad()
    def taken_for(self, of: Sequence[Style]) -> dict[str, float]:
        """The share of pictures, at least one, that it takes for each of its styles; those of none are left out."""
        places = self._logits(torch.stack([one.numbers for one in of])).argmax(1).tolist()
        return {name: places.count(place) / len(places) for place, name in enumerate(self.names) if place in places}


def closer(distances: Sequence[float], control: Sequence[float]) -> float:
    """How often, in [0, 1], a picture is nearer to the artist than the control's of the same prompt and seed.

    distances, control: of each picture, in the same order, at least one. Ties count half; 0.5 means no protection.
    Raises ValueError where they are not as many.
    """
    pairs = zip(distances, control, strict=True)
    wins = [1.0 if one < other else 0.5 if one == other else 0.0 for one, other in pairs]
    return sum(wins) / len(wins)


def kid(first: Tensor, second: Tensor) -> float:
    """Kernel distance (Bińkowski et al., ICLR 2018): the unbiased MMD² with the kernel (x·y / D + 1)³.

    first, second: (N, D), (M, D), at least two each; both are divided by the root mean square of `second`, so that the
    kernel is of order one. Below 0 by chance where both are alike.
    """
    unit = second.double().square().mean().sqrt().clamp_min(SPREAD_LEAST)
    x, y = first.double() / unit, second.double() / unit

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one @ other.T / one.shape[1] + 1) ** 3

    def within(one: Tensor) -> Tensor:
        values = kernel(one, one)
        return (values.sum() - values.diagonal().sum()) / (len(one) * (len(one) - 1))

    return float(within(x) + within(y) - 2 * kernel(x, y).mean())

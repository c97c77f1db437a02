"""Judgements look at all of a small picture and at every part of a large one, in bounded memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from glaze_plugin.errors import GlazeError
from glaze_server.engine import looking
from glaze_server.engine.device import CPU, Compute, Device
from glaze_server.engine.looking import LEAST, WINDOW, Difference
from tests.engine.conftest import refusal, waves

SIZES = [(700, 800), (20_000, 40), (40, 20_000), (8192, 8192), (6000, 4000), (1025, 513)]


def seen(height: int, width: int, most: int | None) -> Tensor:
    """How many windows see each 8×8 px of a picture; each must lie inside it."""
    counts = torch.zeros(-(-height // 8), -(-width // 8), dtype=torch.int)
    for window in looking.windows(height, width, most):
        rows, columns = (range(side)[place] for side, place in zip((height, width), window, strict=True))
        assert len(rows) == min(WINDOW, height)
        assert len(columns) == min(WINDOW, width)
        counts[rows[0] // 8 : rows[-1] // 8 + 1, columns[0] // 8 : columns[-1] // 8 + 1] += 1
    return counts


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_windows_cover_everything_when_there_is_no_limit(height: int, width: int) -> None:
    assert (seen(height, width, None) > 0).all()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_at_most_16_windows_look_at_every_part_of_a_large_picture(height: int, width: int) -> None:
    assert 1 < len(looking.windows(height, width, looking.WINDOWS)) <= looking.WINDOWS == 16
    for half in seen(height, width, 16).tensor_split(2, 0):
        assert all(quarter.any() for quarter in half.tensor_split(2, 1))


def test_few_windows_are_spread_over_the_picture_and_not_its_corners() -> None:
    middles = [tuple((side.start + side.stop) / 2 for side in place) for place in looking.windows(2048, 3072, 4)]
    assert middles == [(y, x) for y in (512, 1536) for x in (768, 2304)]


def test_a_picture_of_up_to_two_windows_is_one() -> None:
    assert len(looking.windows(700, 700, 16)) == 1


class MeanSquare(Difference):
    """The simplest difference, which remembers what it was shown."""

    NAME = "The mean square"

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.sizes: list[tuple[int, ...]] = []
        self.devices: list[Device] = []

        self.prepared: list[Device] = []

    def _prepare(self, reference: Tensor, device: Device) -> Tensor:
        self.prepared.append(device)
        return reference

    def _value(self, seen: Tensor, prepared: Tensor, device: Device) -> Tensor:
        self.sizes.append(tuple(seen.shape))
        self.devices.append(device)
        difference: Tensor = seen - prepared
        return difference.square().mean()


def test_the_distance_is_the_mean_over_the_windows_and_the_gradient_its_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "WINDOW", 64)
    x, y = waves(128, 192), waves(128, 192, 0.7)
    difference = MeanSquare(x)
    expected = y.clone().requires_grad_()
    (expected - x).square().mean().backward()
    distance, gradient = difference.gradient(y)
    assert difference.sizes == [(1, 3, 64, 64)] * 6
    assert distance == difference.distance(y) == pytest.approx(float((y - x).square().mean()), rel=1e-5)
    torch.testing.assert_close(gradient, expected.grad)


def test_windows_become_smaller_with_the_devices_tiles_and_what_was_kept_for_larger_ones_goes() -> None:
    x, compute = waves(300, 400), Compute(Device(core=768))
    difference = MeanSquare(x, None, compute)
    whole = difference.distance(1 - x)
    compute.device = Device(core=192)
    assert difference.distance(1 - x) == pytest.approx(whole, rel=0.05)
    assert difference.sizes == [(1, 3, 300, 400)] + [(1, 3, 192, 192)] * 6
    compute.device = Device(core=768)
    assert difference.distance(1 - x) == whole
    assert [device.core for device in difference.prepared] == [768, *[192] * 6, 768]


def test_only_so_many_windows_of_the_reference_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "WINDOW", 64)
    difference = MeanSquare(waves(128, 192))
    for _ in range(2):
        difference.distance(waves(128, 192))
    assert len(difference.prepared) == 6 + (6 - looking.KEPT)


@pytest.mark.parametrize("size", [(8, 100), (33, 33), (100, 8)])
def test_a_small_picture_is_continued_at_its_borders(size: tuple[int, int]) -> None:
    difference = MeanSquare(waves(*size))
    distance, gradient = difference.gradient(waves(*size) + 0.1)
    assert difference.sizes == [(1, 3, *(max(side, LEAST) for side in size))]
    assert distance == pytest.approx(0.01)
    assert gradient.shape == (1, 3, *size)
    assert gradient.all()


def test_half_precision_is_offered_only_where_it_will_do() -> None:
    half = Device(half="bfloat16")
    for will_do, offered in ((False, CPU), (True, half)):
        difference = MeanSquare(waves(64, 64), compute=Compute(half), half=will_do)
        difference.distance(waves(64, 64))
        assert difference.devices == [offered]


def test_a_judgement_without_numbers_is_named() -> None:
    difference = MeanSquare(waves(64, 64))
    for judge in (difference.distance, difference.gradient):
        with refusal("not_finite", GlazeError) as caught:
            judge(waves(64, 64) * torch.nan)
        assert caught.value.sentence.startswith("The mean square gave")

"""Each restraint pulls harder while its limit is exceeded, and lets go while it is not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from glaze_server.engine.budget import Budget
from glaze_server.engine.device import Compute, Device
from glaze_server.engine.jnd import EPSILON
from glaze_server.engine.looking import Difference
from glaze_server.engine.restraint import COLOUR_LIMIT, START, Restraint, Restraints
from tests.engine.conftest import signs, waves


class Mean(Difference):
    """The mean of a picture, which counts how often it was looked at."""

    looks = 0

    def _prepare(self, reference: Tensor, device: Device) -> None:
        pass

    def _value(self, seen: Tensor, prepared: None, device: Device) -> Tensor:
        self.looks += 1
        return seen.mean()


def restrained(limit: float = 0.5, every: int = 1) -> Restraint:
    return Restraint(Mean(waves(64, 64)), limit, every, 0)


def at(distance: float) -> Tensor:
    """A picture that is `distance` far in the mean."""
    return torch.full((1, 3, 64, 64), distance)


def test_a_multiplier_grows_while_its_limit_is_exceeded_and_falls_while_it_is_not() -> None:
    one = restrained()
    for seen, sign in ((0.75, 1), (0.75, 1), (0.25, -1), (0.25, -1)):
        before = one.multiplier
        one.pull(at(seen))
        assert math.copysign(1, one.multiplier - before) == sign
    assert one.multiplier == pytest.approx(START)
    one.pull(at(0.5))
    assert one.multiplier == pytest.approx(START)


def test_a_pull_is_the_slope_and_stronger_the_farther_the_limit_is_exceeded() -> None:
    pulls = [restrained().pull(at(seen)) for seen in (0.25, 0.5, 0.75, 1.0)]
    slope = 1 / pulls[0].numel()
    for pull in pulls:
        assert pull.shape == (1, 3, 64, 64)
        assert float(pull.std()) == pytest.approx(0, abs=1e-9)
    sizes = [float(pull.mean()) for pull in pulls]
    assert sizes[1] == pytest.approx(START * slope / 0.5, rel=1e-4)
    assert sizes == sorted(sizes)
    assert sizes[-1] > 10 * sizes[1]


def test_a_wild_excess_counts_no_more_than_a_large_one() -> None:
    large, wild = restrained(0.01), restrained(0.01)
    pulls = [float(large.pull(at(0.025)).mean()), float(wild.pull(at(1.0)).mean())]
    assert pulls[0] == pytest.approx(pulls[1], rel=1e-4)
    assert large.multiplier == pytest.approx(wild.multiplier)
    assert math.isfinite(wild.multiplier)


def test_a_look_counts_for_all_the_iterations_until_the_next() -> None:
    once, thrice = restrained(every=1), restrained(every=3)
    single = float(once.pull(at(0.75)).mean())
    assert float(thrice.pull(at(0.75)).mean()) == pytest.approx(3 * single)
    once.pull(at(0.75))
    once.pull(at(0.75))
    assert thrice.multiplier == pytest.approx(once.multiplier)


# All of them


def restraints(looks: int = 4, budget: Budget | None = None) -> Restraints:
    return Restraints(waves(64, 64), budget or Budget(), looks, Compute())


def watched(looks: int) -> tuple[Restraints, list[Mean]]:
    """All restraints, with differences that count their looks in place of their own."""
    all_of_them = restraints(looks)
    means = []
    for one in all_of_them._all:
        one.difference = Mean(waves(64, 64))
        means.append(one.difference)
    return all_of_them, means


def show(delta: Tensor) -> Tensor:
    return waves(64, 64) + delta


@pytest.mark.parametrize(
    ("looks", "expected"), [(1, [8, 8, 8, 8]), (2, [4, 4, 4, 4]), (4, [4, 4, 2, 2]), (8, [4, 4, 1, 1])]
)
def test_the_dear_ones_are_looked_at_less_often_and_none_is_forgotten(looks: int, expected: list[int]) -> None:
    all_of_them, means = watched(looks)
    for iteration in range(8):
        all_of_them.gradient(torch.zeros(1, 3, 64, 64), show, iteration)
    assert [mean.looks for mean in means] == expected


def test_the_two_dearest_never_come_together() -> None:
    all_of_them, means = watched(4)
    for iteration in range(8):
        before = [mean.looks for mean in means]
        all_of_them.gradient(torch.zeros(1, 3, 64, 64), show, iteration)
        assert [mean.looks for mean in means][2:] != [looks + 1 for looks in before][2:]


def test_nothing_pulls_on_an_unchanged_picture_and_all_pull_a_changed_one_back() -> None:
    """Along δ the sum of pulls is positive, so a step against it makes δ smaller."""
    delta = 0.06 * signs(torch.Size((1, 3, 64, 64)))
    for number in range(4):
        all_of_them = restraints(looks=1)
        one = all_of_them._all[number]
        all_of_them._all = [one]
        assert not all_of_them.gradient(0 * delta, show, 0).abs().max() > 1e-4
        one.multiplier = START
        pull = all_of_them.gradient(delta, show, 0)
        assert pull.shape == delta.shape
        assert float((pull * delta).sum()) > 0
        assert one.multiplier > START


def test_the_gradient_is_with_respect_to_delta_where_delta_is_gray_or_hidden() -> None:
    gray = 0.05 * signs(torch.Size((1, 1, 64, 64)))

    def half_hidden(delta: Tensor) -> Tensor:
        shown = delta.clone()
        shown[..., :32] = 0
        return waves(64, 64) + shown.expand(-1, 3, -1, -1)

    pull = restraints(looks=1).gradient(gray, half_hidden, 0)
    assert pull.shape == gray.shape
    assert not pull[..., :32].any()
    assert pull[..., 32:].any()


def test_the_limits_follow_the_strength() -> None:
    strong, weak = Budget(), Budget().scaled(0.5)
    for budget, strength in ((strong, 1.0), (weak, 0.5)):
        limits = [one.limit for one in restraints(budget=budget)._all]
        assert budget.max_change == pytest.approx(strength * EPSILON)
        assert limits == [budget.lpips_alex, strength * COLOUR_LIMIT, budget.lpips_vgg, budget.jod_loss]


def test_what_was_learnt_is_taken_up_again_to_the_bit() -> None:
    delta = 0.04 * signs(torch.Size((1, 3, 64, 64)))
    first, second = restraints(looks=2), restraints(looks=2)
    for iteration in range(3):
        first.gradient(delta, show, iteration)
    assert first.facts() != second.facts() == [(START, math.inf)] * 4
    second.load(first.facts())
    assert second.facts() == first.facts()
    assert torch.equal(first.gradient(delta, show, 3), second.gradient(delta, show, 3))
    with pytest.raises(ValueError):
        second.load(first.facts()[:2])

"""Every peer keeps to its own published settings, and every method's δ fits into the budget."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.cloakbench import own, peers
from bench.cloakbench.methods import METHODS, QUICK, STANDARD, pick
from bench.cloakbench.rounds import to_budget
from bench.cloakbench.task import Stop, Task
from glaze_server.engine import measure
from glaze_server.engine.budget import Budget, Eye
from glaze_server.engine.encoders import Encoder
from tests.bench.conftest import scene, task
from tests.engine.conftest import refusal

KINDS = ("colour", "gray", "alpha")
ROUNDING = 1e-6


def first_deltas(run: Callable[[Task], Tensor], encoder: Encoder, kind: str, count: int) -> list[Tensor]:
    """δ after each of the first `count` iterations."""
    deltas: list[Tensor] = []

    def step(delta: Tensor) -> None:
        deltas.append(delta.clone())
        if len(deltas) == count:
            raise Stop

    with pytest.raises(Stop):
        run(task(encoder, kind, step))
    return deltas


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("run", "epsilon", "in_gamut"),
    [
        (peers.app, peers.APP_EPSILON, False),
        (peers.app_native, peers.APP_EPSILON, False),
        (peers.mist, peers.MIST_EPSILON, True),
        (peers.photoguard, peers.PHOTOGUARD_EPSILON, True),
    ],
)
def test_a_signed_peer_stays_in_its_box(
    run: Callable[[Task], Tensor], epsilon: float, in_gamut: bool, kind: str, embedded: Encoder
) -> None:
    for delta in first_deltas(run, embedded, kind, 2):
        assert delta.shape == scene(kind).picture.colour.shape
        assert 0 < float(delta.abs().max()) <= epsilon + ROUNDING
        if in_gamut:
            cloaked = scene(kind).picture.colour + delta
            assert float(cloaked.min()) >= 0 and float(cloaked.max()) <= 1


def test_mist_steps_by_one_level(embedded: Encoder) -> None:
    one, two = first_deltas(peers.mist, embedded, "colour", 2)
    for step in (one, two - one):
        torch.testing.assert_close(step.abs().max(), torch.tensor(peers.LEVEL), rtol=0, atol=ROUNDING)


def test_the_app_begins_with_half_its_box(embedded: Encoder) -> None:
    (one,) = first_deltas(peers.app_native, embedded, "colour", 1)
    assert float(one.abs().max()) == pytest.approx(peers.APP_EPSILON / 2)


def test_photoguard_begins_anywhere_in_its_box_and_steps_by_a_third(embedded: Encoder) -> None:
    one, two = first_deltas(peers.photoguard, embedded, "colour", 2)
    assert float(one.abs().mean()) > peers.PHOTOGUARD_EPSILON / 4
    assert float((two - one).abs().max()) <= peers.PHOTOGUARD_EPSILON / 3 + ROUNDING


def test_the_paper_steps_by_adams_rate_from_noise_within_half_its_budget(embedded: Encoder) -> None:
    one, two = first_deltas(peers.paper, embedded, "colour", 2)
    assert float(one.abs().max()) <= peers.PAPER_BUDGET / 2 + peers.PAPER_RATE + ROUNDING
    assert 0.9 * peers.PAPER_RATE < float((two - one).abs().max()) < 1.1 * peers.PAPER_RATE


@pytest.mark.parametrize(("name", "least"), [("app_native", 0.1), (STANDARD, 0.1), ("preview", 0.01)])
def test_what_aims_at_the_target_comes_nearer_to_it(name: str, least: float, embedded: Encoder) -> None:
    one = scene()
    delta = METHODS[name].run(task(embedded))
    (shift,) = measure.targeted_shift(embedded, one.picture.seen, one.target, one.show(delta))
    assert shift > least


def test_the_paper_comes_nearer_too(embedded: Encoder) -> None:
    one = scene()
    deltas = first_deltas(peers.paper, embedded, "colour", 30)
    shifts = measure.targeted_shift(embedded, one.picture.seen, one.target, one.show(deltas[0]), one.show(deltas[-1]))
    assert shifts[1] > shifts[0] + 0.05


def test_the_controls_are_what_they_are_called(embedded: Encoder) -> None:
    one = scene()
    assert not peers.identity(task(embedded)).any()
    assert peers.noise(task(embedded)).abs().unique().tolist() == pytest.approx([peers.NOISE])
    blended = one.picture.colour + peers.blend(task(embedded))
    torch.testing.assert_close(blended, (1 - peers.BLEND) * one.picture.colour + peers.BLEND * one.target)
    for kind in KINDS:
        assert peers.blend(task(embedded, kind)).shape == scene(kind).picture.colour.shape


def test_mists_pattern_is_black_and_white_in_equal_parts() -> None:
    pattern = peers.pattern(2 * peers.MIST_PERIOD, peers.MIST_PERIOD)
    assert pattern.unique().tolist() == [0, 1]
    assert float(pattern.mean()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [0.05, 1.0, 20.0])
def test_any_delta_is_scaled_to_the_budget_up_or_down(kind: str, strength: float, embedded: Encoder) -> None:
    one = scene(kind)
    eye, budget = Eye(one.picture.seen), Budget()
    for delta in (peers.noise(task(embedded, kind)), peers.blend(task(embedded, kind))):
        seen = eye.judge(one.show(to_budget(strength * delta, one, eye)))
        assert budget.holds(seen)
        assert budget.headroom(seen) < 1.4  # noise grows by whole levels


@pytest.mark.parametrize("name", METHODS)
def test_every_methods_first_steps_fit_into_the_budget(name: str, embedded: Encoder) -> None:
    one = scene()
    eye = Eye(one.picture.seen)
    kept: list[Tensor] = []

    def step(delta: Tensor) -> None:
        kept.append(delta.clone())
        if len(kept) == 3:
            raise Stop

    try:
        delta = METHODS[name].run(task(embedded, step=step))
    except Stop:
        delta = kept[-1]
    assert Budget().holds(eye.judge(one.show(to_budget(delta, one, eye))))


def test_a_delta_of_nothing_stays_nothing() -> None:
    one = scene()
    delta = torch.zeros_like(one.picture.colour)
    assert to_budget(delta, one, Eye(one.picture.seen)) is delta


def test_this_engine_leaves_transparent_pixels_alone(embedded: Encoder) -> None:
    opacity = scene("alpha").picture.opacity
    assert opacity is not None
    delta = own.preview(task(embedded, "alpha"))
    assert delta.any() and not (delta * (1 - opacity)).any()


def test_methods_are_picked_by_name_with_the_standard_first() -> None:
    assert [method.name for method in pick(["noise", "preview"])] == [STANDARD, "preview", "noise"]
    assert pick(list(QUICK))
    with refusal("unknown_method") as caught:
        pick(["nightshade"])
    assert "nightshade" in caught.value.sentence

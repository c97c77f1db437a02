"""The cloak moves what the encoder sees, within its room, and the same way every time."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from glaze_plugin.errors import Cancelled, GlazeError
from glaze_server.engine import measure, perception
from glaze_server.engine.cloak import MIN_SCALED, Objective, Subject, optimise
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.perception import EPSILON, Budget, Eye, jnd_map
from glaze_server.engine.pixels import rounded
from glaze_server.engine.settings import QUALITIES, Quality
from glaze_server.engine.transfer import transfer
from tests.engine.conftest import nothing, refusal

QUICK = Quality(iterations=3, scales=2)

Scene = Callable[[int, int], Tensor]


def subject_of(x: Tensor, opacity: Tensor | None = None) -> Subject:
    """A subject with all the room that the eye leaves it; x (1, 1 or 3, H, W)."""
    room = EPSILON * jnd_map(x.expand(-1, 3, -1, -1))
    if opacity is not None:
        room = room * (opacity > 0)
    return Subject(x, opacity, transfer(x.expand(-1, 3, -1, -1), 3), room)


@pytest.fixture(scope="module")
def subject(scene: Scene) -> Subject:
    return subject_of(scene(72, 80))


def cloak(subject: Subject, encoder: Encoder, seed: int = 0) -> Tensor:
    return optimise(subject, [encoder], QUICK, Budget(), seed, nothing)


def test_delta_stays_inside_its_room(subject: Subject, embedded: Encoder) -> None:
    room = subject.room.clone()
    room[..., :40] = 0
    masked = Subject(subject.colour, None, subject.target, room)
    delta = optimise(masked, [embedded], Quality(iterations=12, scales=1), Budget(), 0, nothing)
    assert delta.shape == subject.colour.shape
    assert (delta.abs() <= room + 1e-6).all()
    assert not delta[..., :40].any()
    assert (delta.abs() > 0.99 * room)[..., 40:].any(), "the room is never used up: nothing was held back"


def test_the_cloaked_picture_stays_in_range(embedded: Encoder, scene: Scene) -> None:
    subject = subject_of((scene(72, 80) * 3 - 1).clamp(0, 1))
    cloaked = subject.colour + cloak(subject, embedded)
    assert 0 <= float(cloaked.min()) < float(cloaked.max()) <= 1


def test_the_same_seed_gives_the_same_delta_and_another_seed_another(subject: Subject, embedded: Encoder) -> None:
    first = cloak(subject, embedded, 1)
    assert torch.equal(cloak(subject, embedded, 1), first)
    assert not torch.equal(cloak(subject, embedded, 2), first)


def test_the_cloak_moves_the_encoder_far_more_than_noise_as_visible(embedded: Encoder, scene: Scene) -> None:
    subject = subject_of(scene(128, 144))
    eye = Eye(subject.colour)

    def show(delta: Tensor) -> Tensor:
        return rounded(subject.seen(delta))

    delta = optimise(subject, [embedded], QUALITIES["preview"], Budget(), 0, nothing)
    cloaked = show(perception.fit(delta, show, eye, Budget(), nothing))
    noise = measure.noise_like(eye.reference, eye.alex.distance(cloaked))
    shift, by_noise = measure.targeted_shift(embedded, eye.reference, subject.target, cloaked, noise)
    assert shift > 0.05
    assert shift > 4 * by_noise


def test_every_encoder_is_moved(subject: Subject, embedded: Encoder, pooled: Encoder) -> None:
    delta = optimise(subject, [embedded, pooled], QUICK, Budget(), 0, nothing)
    for encoder in (embedded, pooled):
        (shift,) = measure.targeted_shift(encoder, subject.colour, subject.target, subject.seen(delta))
        assert shift > 0


def test_a_gray_picture_gets_a_gray_delta(embedded: Encoder, scene: Scene) -> None:
    subject = subject_of(scene(72, 80).mean(1, keepdim=True))
    delta = cloak(subject, embedded)
    assert delta.shape == (1, 1, 72, 80)
    (shift,) = measure.targeted_shift(embedded, subject.seen(delta * 0), subject.target, subject.seen(delta))
    assert shift > 0


def test_nothing_changes_where_nothing_is_seen(embedded: Encoder, scene: Scene) -> None:
    opacity = torch.ones(1, 1, 72, 80)
    opacity[..., 36:, :] = 0
    delta = cloak(subject_of(scene(72, 80), opacity), embedded)
    assert not delta[..., 36:, :].any()
    assert delta[..., :36, :].any()


def test_step_is_called_after_each_iteration_and_may_stop_it(subject: Subject, embedded: Encoder) -> None:
    calls: list[Tensor] = []

    def step(delta: Tensor) -> None:
        calls.append(delta)
        if len(calls) == 2:
            raise Cancelled("cancelled", "The job was cancelled.")

    with pytest.raises(Cancelled):
        optimise(subject, [embedded], QUICK, Budget(), 0, step)
    assert len(calls) == 2
    calls = [subject.colour, subject.colour]
    optimise(subject, [embedded], QUICK, Budget(), 0, step)
    assert len(calls) == 2 + QUICK.iterations


def test_small_renditions_are_left_out_and_the_full_size_never(embedded: Encoder, scene: Scene) -> None:
    objective = Objective(subject_of(scene(72, 80)), [embedded], Compute())
    assert objective.scales == [1.0, 0.5]
    assert all(72 * scale >= MIN_SCALED for scale in objective.scales)
    assert all(objective.draw_scales(random.Random(seed), 3)[0] == 1.0 for seed in range(5))


def test_the_gradient_is_the_slope_of_the_relative_distance(subject: Subject, pooled: Encoder) -> None:
    objective = Objective(subject, [pooled], Compute())
    delta = torch.zeros_like(subject.colour)
    gradient = objective.gradient(delta, 1.0, (0, 0), 1.0)
    goal, clean = pooled(subject.target), pooled(subject.colour)

    def distance(change: Tensor) -> float:
        return float((pooled(subject.colour + change) - goal).square().sum() / (clean - goal).square().sum())

    direction = gradient / gradient.norm()
    slope = (distance(0.1 * direction) - distance(-0.1 * direction)) / 0.2
    assert slope == pytest.approx(float(gradient.norm()), rel=1e-2)


def test_a_target_that_the_encoder_cannot_tell_from_the_picture_is_said(subject: Subject) -> None:
    same = Subject(subject.colour, None, subject.colour, subject.room)
    with refusal("no_distance", GlazeError) as caught:
        cloak(same, Encoder("dull", nn.AvgPool2d(8)))
    assert "dull" in caught.value.sentence

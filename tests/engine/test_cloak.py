"""The cloak moves what the encoder sees, within its room, and the same way every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from glaze_plugin.errors import Cancelled, GlazeError
from glaze_server.engine import measure, tiles
from glaze_server.engine.budget import Budget, Eye, fit
from glaze_server.engine.cloak import WHITE, Objective, Subject, optimise
from glaze_server.engine.device import Compute, Device
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.jnd import EPSILON, jnd_map
from glaze_server.engine.pixels import rounded
from glaze_server.engine.renditions import Rendition
from glaze_server.engine.settings import QUALITIES, Quality
from glaze_server.engine.transfer import transfer
from tests.engine.conftest import nothing, refusal, signs, waves

QUICK = Quality(iterations=3, looks=2)

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
    delta = optimise(masked, [embedded], Quality(iterations=12, looks=4), Budget(), 0, nothing)
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
    cloaked = show(delta * fit(lambda share: show(delta * share), eye, Budget(), nothing))
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


def test_it_stops_where_it_comes_far_enough_within_the_budget(pooled: Encoder) -> None:
    picture = waves(72, 80)
    near = Subject(picture, None, picture + 2 / 255, torch.full((1, 1, 72, 80), EPSILON))
    far = replace(near, target=transfer(picture, 3))
    quality = Quality(iterations=60, looks=0)
    taken = []
    for subject in (near, far):
        steps: list[Tensor] = []
        delta = optimise(subject, [pooled], quality, Budget(), 0, steps.append)
        taken.append(len(steps))
        assert torch.equal(delta, steps[-1])
        if subject is near:
            (shift,) = measure.targeted_shift(pooled, picture, subject.target, subject.seen(delta))
            assert shift > 0.5
            assert Eye(picture).judge(subject.seen(delta)).lpips_alex < Budget().lpips_alex
    assert taken[0] < taken[1] == quality.iterations


def test_the_strength_of_the_budget_holds_the_cloak_back(subject: Subject, embedded: Encoder) -> None:
    """In the same room, a cloak that may be seen less is seen less."""
    quality, eye = Quality(iterations=16, looks=2), Eye(subject.colour)
    ample, strict = (
        eye.judge(subject.seen(optimise(subject, [embedded], quality, budget, 0, nothing)))
        for budget in (Budget(), Budget().scaled(0.5))
    )
    assert strict.lpips_vgg < 0.9 * ample.lpips_vgg
    assert strict.jod_loss < 0.9 * ample.jod_loss


# The objective


def distance_of(encoder: Encoder, subject: Subject, rendition: Rendition, delta: Tensor) -> float:
    """The relative distance by its definition."""
    view, target, clean = (
        encoder(rendition.damaged(rendition.placed(picture)))
        for picture in (subject.colour + delta, subject.target, subject.colour)
    )
    return float((view - target).norm() / (clean - target).norm())


def slope_along(gradient: Tensor, distance: Callable[[Tensor], float], step: float = 0.1) -> float:
    direction = gradient / gradient.norm()
    return (distance(step * direction) - distance(-step * direction)) / (2 * step)


@pytest.mark.parametrize(
    "rendition", [Rendition(), Rendition(0.5), Rendition(1.0, (3, 5)), Rendition(0.5, (5, 7))], ids=str
)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_gradient_is_the_slope_of_the_relative_distance(
    subject: Subject, pooled: Encoder, rendition: Rendition, share: float
) -> None:
    """At the picture itself and half-way to its target, where the distance is less and its slope the same."""
    here = share * (subject.target - subject.colour)
    distance, gradient = Objective(subject, [pooled], Compute()).gradient(here, rendition, WHITE)
    assert gradient.shape == subject.colour.shape
    assert distance == pytest.approx(distance_of(pooled, subject, rendition, here), rel=1e-5)
    assert distance == pytest.approx(1 - share, abs=0.05)
    slope = slope_along(gradient, lambda change: distance_of(pooled, subject, rendition, here + change))
    assert slope == pytest.approx(float(gradient.norm()), rel=1e-2)


def test_the_gradient_of_a_compressed_rendition_points_towards_its_target(subject: Subject, pooled: Encoder) -> None:
    rendition = Rendition(1.0, (3, 5), jpeg=True)
    _, gradient = Objective(subject, [pooled], Compute()).gradient(torch.zeros(()), rendition, WHITE)
    slope = slope_along(gradient, lambda change: distance_of(pooled, subject, rendition, change), 0.5)
    assert slope > 0.3 * float(gradient.norm())


def test_distance_and_gradient_are_the_mean_over_the_encoders(
    subject: Subject, embedded: Encoder, pooled: Encoder
) -> None:
    zero, rendition = torch.zeros_like(subject.colour), Rendition()
    both, *each = (
        Objective(subject, encoders, Compute()).gradient(zero, rendition, WHITE)
        for encoders in ([embedded, pooled], [embedded], [pooled])
    )
    torch.testing.assert_close(both[1], (each[0][1] + each[1][1]) / 2)
    assert both[0] == pytest.approx((each[0][0] + each[1][0]) / 2)


def test_the_relative_distance_does_not_depend_on_an_encoders_units(subject: Subject) -> None:
    """Nor does its gradient."""
    gradients = []
    for gain in (1.0, 1e-4, 1e4):
        network = nn.Conv2d(3, 3, 8, 8, groups=3, bias=False)
        nn.init.constant_(network.weight, gain / 64)
        encoder = Encoder("loud", network)
        gradients.append(Objective(subject, [encoder], Compute()).gradient(torch.zeros(()), Rendition(), WHITE)[1])
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-3, atol=1e-8)


def test_the_target_is_encoded_once_for_each_rendition_that_is_drawn(
    subject: Subject, pooled: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[Tensor] = []
    real = tiles.encode

    def encode(encoder: Encoder, x: Tensor, *others: object) -> Tensor:
        encoded.append(x)
        return real(encoder, x, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(tiles, "encode", encode)
    objective = Objective(subject, [pooled], Compute())
    for rendition in (Rendition(), Rendition(0.5), Rendition(), Rendition(0.5)):
        objective.gradient(torch.zeros_like(subject.colour), rendition, WHITE)
    assert len(encoded) == 4


# What gives no cloak


class Deaf(nn.Module):
    """An encoder's network that ignores its input."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ones(x.shape[0], 4, x.shape[2] // 8, x.shape[3] // 8, dtype=x.dtype)


class Blind(nn.Module):
    """An encoder's network that has gone wrong."""

    def forward(self, x: Tensor) -> Tensor:
        return x[..., ::8, ::8] * torch.nan


class Snared(nn.Module):
    """An encoder's network whose latents are numbers and whose slopes are not."""

    def forward(self, x: Tensor) -> Tensor:
        return x[..., ::8, ::8] + (x[..., ::8, ::8] * 0).sqrt()


DEVICES = [Device(), Device(half="float16"), Device(half="bfloat16")]


@pytest.mark.parametrize("device", DEVICES, ids=["full", "float16", "bfloat16"])
@pytest.mark.parametrize(
    ("network", "code"),
    [(Deaf, "no_distance"), (Blind, "not_finite"), (Snared, "not_finite")],
)
def test_an_encoder_that_leads_nowhere_is_named(
    subject: Subject, device: Device, network: type[nn.Module], code: str
) -> None:
    steps: list[Tensor] = []
    encoder = Encoder("odd", network())
    with refusal(code, GlazeError) as caught:
        optimise(subject, [encoder], QUICK, Budget(), 0, steps.append, None, Compute(device))
    assert "odd" in caught.value.sentence
    assert steps == []


def test_a_target_that_the_encoder_cannot_tell_from_the_picture_is_said(subject: Subject) -> None:
    same = Subject(subject.colour, None, subject.colour, subject.room)
    with refusal("no_distance", GlazeError) as caught:
        cloak(same, Encoder("dull", nn.AvgPool2d(8)))
    assert "dull" in caught.value.sentence


def test_a_target_without_numbers_is_an_error_and_never_a_cloak(subject: Subject, embedded: Encoder) -> None:
    with refusal("not_finite", GlazeError):
        cloak(Subject(subject.colour, None, subject.target * torch.nan, subject.room), embedded)


def test_without_any_room_nothing_changes(subject: Subject, embedded: Encoder) -> None:
    assert not cloak(Subject(subject.colour, None, subject.target, 0 * subject.room), embedded).any()


def test_a_cloak_that_has_reached_its_target_stays_a_cloak(pooled: Encoder) -> None:
    """The slope of the distance is not defined there."""
    x = waves(64, 64)
    near = Subject(x, None, (x + 0.02 * signs(x.shape)).clamp(0, 1), torch.full((1, 1, 64, 64), 0.06))
    _, gradient = Objective(near, [pooled], Compute()).gradient(near.target - x, Rendition(), WHITE)
    assert gradient.isfinite().all()
    delta = optimise(near, [pooled], Quality(8, 4), Budget(), 0, nothing)
    assert delta.isfinite().all()
    assert (delta.abs() <= 0.06 + 1e-6).all()

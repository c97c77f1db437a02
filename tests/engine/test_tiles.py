"""A tiled picture gives the latent and the gradient of the whole one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine import tiles
from glaze_server.engine.device import CORE, Compute, Device
from glaze_server.engine.encoders import STRIDE, Encoder

SIZES = [(1000, 2100), (1, 1), (33, 4097), (768 + 128, 768 + 129), (1537, 2305)]
SMALL = Device(core=64)


def latents(length: int) -> int:
    return -(-length // STRIDE)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_latent_counts_exactly_once(height: int, width: int) -> None:
    counts = torch.zeros(latents(height), latents(width), dtype=torch.int)
    for window in tiles.windows(height, width):
        counts[window.place] += 1
    assert (counts == 1).all()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_window_keeps_the_encoders_grid_and_its_core_lies_inside(height: int, width: int) -> None:
    for window in tiles.windows(height, width):
        for outer, core, place, length in zip(window.outer, window.core, window.place, (height, width), strict=True):
            assert 0 <= outer.start < outer.stop <= length
            assert outer.start % STRIDE == 0
            assert outer.start // STRIDE + core.start == place.start
            assert core.stop - core.start == place.stop - place.start
            assert core.stop <= latents(outer.stop - outer.start)


def test_memory_is_bounded_whatever_the_size() -> None:
    longest = CORE + 2 * tiles.HALO
    for window in tiles.windows(65_000, 20_000):
        assert all(side.stop - side.start <= longest for side in window.outer)


def test_a_picture_that_fits_is_one_window() -> None:
    side = CORE + 2 * tiles.HALO
    assert len(tiles.windows(side, side)) == 1
    assert len(tiles.windows(side, side + 1)) > 1


def squared(goal: Tensor) -> Callable[[Tensor, tiles.Window], Tensor]:
    return lambda latent, window: (latent - goal[..., window.place[0], window.place[1]]).square().sum()


def test_the_tiled_latent_is_that_of_the_whole_picture(
    embedded: Encoder, scene: Callable[[int, int], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = scene(201, 267)
    whole = tiles.encode(embedded, x)
    monkeypatch.setattr(tiles, "HALO", 96)  # more than the 84 px that the embedded encoder's layers reach
    assert len(tiles.windows(201, 267, SMALL.core)) > 1
    torch.testing.assert_close(
        tiles.encode(embedded, x, Compute(SMALL)), whole, rtol=1e-3, atol=1e-3 * float(whole.abs().max())
    )


def test_the_tiled_gradient_points_where_that_of_the_whole_picture_does(
    embedded: Encoder, scene: Callable[[int, int], Tensor]
) -> None:
    x = scene(201, 267)
    loss = squared(tiles.encode(embedded, 1 - x))
    distance, whole = tiles.gradient(embedded, x, loss)
    assert len(tiles.windows(201, 267, SMALL.core)) > 1
    by_tiles, tiled = tiles.gradient(embedded, x, loss, Compute(SMALL))
    assert by_tiles == pytest.approx(distance, rel=0.01)
    assert F.cosine_similarity(tiled.flatten(), whole.flatten(), dim=0) > 0.99


def test_the_loss_comes_with_its_slope(pooled: Encoder, scene: Callable[[int, int], Tensor]) -> None:
    x = scene(72, 80)
    goal = tiles.encode(pooled, 1 - x)
    value, gradient = tiles.gradient(pooled, x, squared(goal))
    assert value == pytest.approx(float((tiles.encode(pooled, x) - goal).square().sum()), rel=1e-5)
    assert gradient.shape == x.shape
    direction = gradient / gradient.norm()
    above, below = (tiles.gradient(pooled, x + step * direction, squared(goal))[0] for step in (0.1, -0.1))
    assert (above - below) / 0.2 == pytest.approx(float(gradient.norm()), rel=1e-3)


def test_each_window_is_damaged_before_it_is_encoded(pooled: Encoder, scene: Callable[[int, int], Tensor]) -> None:
    x = scene(201, 267)
    sizes: list[tuple[int, ...]] = []

    def darkened(window: Tensor) -> Tensor:
        sizes.append(tuple(window.shape[-2:]))
        return 0.5 * window

    expected = tiles.encode(pooled, 0.5 * x)
    torch.testing.assert_close(tiles.encode(pooled, x, Compute(SMALL), darkened), expected)
    assert len(sizes) == len(tiles.windows(201, 267, SMALL.core))
    assert max(max(size) for size in sizes) <= SMALL.core + 2 * tiles.HALO
    value, gradient = tiles.gradient(pooled, x, squared(1 - expected), Compute(SMALL), darkened)
    exact, slope = tiles.gradient(pooled, 0.5 * x, squared(1 - expected))
    assert value == pytest.approx(exact, rel=1e-5)
    torch.testing.assert_close(gradient, 0.5 * slope)

"""Samples come back exactly as they came, but for what δ changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from glaze_plugin.raster import CHANNEL_ORDERS, Raster, RasterFormat
from glaze_server.engine import pixels
from glaze_server.engine.picture import Picture

DEPTHS: dict[str, type[np.uint8 | np.uint16]] = {"u8": np.uint8, "u16": np.uint16}
LAYOUTS = [(channels, depth) for channels in CHANNEL_ORDERS for depth in DEPTHS]
every_layout = pytest.mark.parametrize(("channels", "depth"), LAYOUTS)


def picture(channels: str, depth: str, height: int = 5, width: int = 7) -> Picture:
    """Random samples with both ends of the range among them."""
    dtype = DEPTHS[depth]
    top = np.iinfo(dtype).max
    samples: NDArray[Any] = np.random.default_rng(3).integers(0, top, (height, width, len(channels)), dtype, True)
    samples[0, 0], samples[-1, -1] = 0, top
    if channels.endswith("A"):
        samples[:, :, -1] |= 1
    return Picture(samples, channels)


def change(source: Picture, value: float) -> Tensor:
    """The same δ everywhere."""
    return torch.full((1, source.colours, source.height, source.width), value)


@every_layout
def test_a_raster_comes_back_byte_for_byte(channels: str, depth: str) -> None:
    layout = RasterFormat(7, 5, channels, depth)
    raster = Raster(layout, np.random.default_rng(1).bytes(layout.size))
    assert pixels.to_raster(pixels.from_raster(raster)) == raster


def test_16_bit_samples_are_little_endian() -> None:
    raster = Raster(RasterFormat(1, 1, "G", "u16"), bytes([0x34, 0x12]))
    assert pixels.from_raster(raster).samples.item() == 0x1234


@every_layout
def test_no_change_leaves_every_sample_as_it_is(channels: str, depth: str) -> None:
    source = picture(channels, depth)
    for unseen in (0.0, 0.49 / source.top, -0.49 / source.top):
        np.testing.assert_array_equal(pixels.add(source, change(source, unseen)).samples, source.samples)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f2", "f4", "f8"])
@pytest.mark.parametrize("value", [0, 1])
def test_a_touched_picture_differs_in_the_least_way(dtype: str, value: int) -> None:
    top = np.iinfo(dtype).max if dtype[0] == "u" else 1
    samples = np.full((2, 3, 3), value * top, dtype)
    touched = Picture(samples, "RGB").touched.samples
    assert touched.dtype == samples.dtype and (samples == value * top).all()
    assert (touched != samples).sum() == 1
    np.testing.assert_allclose(
        touched.astype(float), samples.astype(float), rtol=0, atol=1 if dtype[0] == "u" else 1e-3
    )


@every_layout
def test_a_change_of_one_level_is_one_level(channels: str, depth: str) -> None:
    source = picture(channels, depth)
    colours = source.colours
    changed = pixels.add(source, change(source, 1 / source.top)).samples[:, :, :colours]
    expected = np.minimum(source.samples[:, :, :colours].astype(int) + 1, source.top)
    np.testing.assert_array_equal(changed, expected)


@every_layout
def test_samples_are_clipped_at_both_ends_and_alpha_is_left_alone(channels: str, depth: str) -> None:
    source = picture(channels, depth)
    for value, end in ((2.0, source.top), (-2.0, 0)):
        changed = pixels.add(source, change(source, value)).samples
        assert (changed[:, :, : source.colours] == end).all()
        np.testing.assert_array_equal(changed[:, :, source.colours :], source.samples[:, :, source.colours :])


def test_colour_under_transparency_stays() -> None:
    source = picture("RGBA", "u8")
    source.samples[2:, :, 3] = 0
    delta = change(source, 0.1)
    changed = pixels.add(source, delta).samples
    np.testing.assert_array_equal(changed[2:], source.samples[2:])
    assert (changed[:2, :, :3] != source.samples[:2, :, :3]).any()


@pytest.mark.parametrize(("channels", "red"), [("RGB", 0), ("RGBA", 0), ("BGRA", 2)])
def test_red_goes_to_the_red_sample(channels: str, red: int) -> None:
    source = Picture(np.full((2, 2, len(channels)), 100, np.uint8), channels)
    delta = change(source, 0.0)
    delta[:, 0] = 10 / 255
    changed = pixels.add(source, delta).samples
    assert (changed[:, :, red] == 110).all()
    assert (np.delete(changed, red, axis=2) == 100).all()


@pytest.mark.parametrize(("channels", "red"), [("RGB", 0), ("RGBA", 0), ("BGRA", 2)])
def test_colour_is_read_in_rgb_order(channels: str, red: int) -> None:
    source = picture(channels, "u16")
    expected = source.samples[:, :, red] / np.float32(65535)
    torch.testing.assert_close(pixels.colour(source)[0, 0], torch.from_numpy(expected))


def test_alpha_is_the_last_channel_or_none() -> None:
    source = picture("GA", "u8")
    opacity = pixels.alpha(source)
    assert opacity is not None
    torch.testing.assert_close(opacity[0, 0] * 255, torch.from_numpy(source.samples[:, :, 1]).float())
    assert pixels.alpha(picture("RGB", "u8")) is None


def test_a_viewer_sees_the_background_through_transparency() -> None:
    unit, opacity = torch.full((1, 1, 1, 3), 0.2), torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
    seen = pixels.over(unit, opacity, background=1.0)
    torch.testing.assert_close(seen, torch.tensor([1.0, 0.6, 0.2]).expand(1, 3, 1, 3))


def test_a_checker_has_squares_of_8_px_from_the_top_left() -> None:
    found = pixels.checker(torch.zeros(1, 1, 19, 21), 1.0, 0.8)
    assert isinstance(found, Tensor) and found.shape == (1, 1, 19, 21)
    expected = torch.tensor([[1.0, 0.8, 1.0], [0.8, 1.0, 0.8], [1.0, 0.8, 1.0]])
    torch.testing.assert_close(found[0, 0, ::8, ::8], expected)
    torch.testing.assert_close(found[0, 0, 7::8, 7::8], expected[:2, :2])
    clear = pixels.over(torch.zeros(1, 3, 19, 21), torch.zeros(1, 1, 19, 21), found)
    torch.testing.assert_close(clear, found.expand(-1, 3, -1, -1))


def test_rounding_to_8_bits_and_back_loses_no_level() -> None:
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    unit = pixels.from_8bit(levels)
    np.testing.assert_array_equal(pixels.to_8bit(unit), levels)
    torch.testing.assert_close(pixels.rounded(unit), unit, rtol=0, atol=1e-7)


def test_rounding_goes_to_the_nearest_level_within_the_range() -> None:
    unit = torch.tensor([-0.3, 0.4 / 255, 0.6 / 255, 1.2]).reshape(1, 1, 2, 2)
    torch.testing.assert_close(pixels.rounded(unit).flatten(), torch.tensor([0.0, 0.0, 1 / 255, 1.0]))
    np.testing.assert_array_equal(pixels.to_8bit(unit).ravel(), [0, 0, 1, 255])

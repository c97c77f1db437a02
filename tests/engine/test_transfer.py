"""The style-transferred target has the picture's own shape, whatever that is."""

from __future__ import annotations

import pytest
import torch

from glaze_server.engine.survival import resize
from glaze_server.engine.transfer import style_vector, transfer
from tests.engine.conftest import waves


@pytest.mark.parametrize(("height", "width", "largest"), [(33, 65, 1024), (97, 40, 1024), (65, 130, 64), (200, 32, 64)])
def test_the_target_has_the_pictures_shape_and_range(height: int, width: int, largest: int) -> None:
    x = waves(height, width)
    target = transfer(x, 3, largest)
    assert target.shape == x.shape
    assert target.dtype == x.dtype
    assert 0 <= float(target.min()) < float(target.max()) <= 1


def test_the_target_is_the_same_every_time_and_another_for_another_style() -> None:
    x = waves(48, 64)
    torch.testing.assert_close(transfer(x, 3), transfer(x, 3), rtol=0, atol=0)
    assert (transfer(x, 3) - transfer(x, 4)).abs().mean() > 0.02
    assert (transfer(x, 3) - x).abs().mean() > 0.02


def test_the_target_of_a_larger_picture_is_scaled_up_from_a_smaller_one() -> None:
    x = waves(96, 128)
    scaled = transfer(x, 3, largest=64)
    torch.testing.assert_close(resize(scaled, 0.5), transfer(x, 3, largest=64)[..., ::2, ::2], rtol=0, atol=0.3)
    fine = (scaled - resize(resize(scaled, 0.5), 2)).abs().mean()
    assert fine < (transfer(x, 3) - resize(resize(transfer(x, 3), 0.5), 2)).abs().mean()


def test_a_style_vector_tells_styles_apart_and_the_same_picture_not() -> None:
    x = waves(48, 64)
    own = style_vector(x)
    assert own.shape == (100,)
    assert (style_vector(x) == own).all()
    assert abs(style_vector(transfer(x, 3)) - own).max() > 0.01

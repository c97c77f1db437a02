"""A raster's claims are checked before memory is taken."""

from __future__ import annotations

import pytest

from glaze_plugin.errors import BadInput
from glaze_plugin.raster import Raster, RasterFormat


@pytest.mark.parametrize(
    ("layout", "code"),
    [
        (RasterFormat(10, 10, "XYZ", "u8"), "channels"),
        (RasterFormat(10, 10, "RGB", "u9"), "depth"),
        (RasterFormat(0, 10, "RGB", "u8"), "size"),
        (RasterFormat(10, 70_000, "RGB", "u8"), "size"),
        (RasterFormat(60_000, 60_000, "RGB", "u8"), "size"),
    ],
)
def test_an_unusable_layout_is_named(layout: RasterFormat, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        layout.check()
    assert caught.value.code == code


def test_pixels_must_fill_the_layout() -> None:
    with pytest.raises(BadInput, match="needs 24 bytes of pixels but 23 came"):
        Raster(RasterFormat(2, 2, "RGB", "u16"), bytes(23))


def test_bands_are_whole_rows_and_never_empty() -> None:
    layout = RasterFormat(100, 50, "RGBA", "u8")
    assert layout.band_rows(1000) == 2
    assert layout.band_rows(1) == 1

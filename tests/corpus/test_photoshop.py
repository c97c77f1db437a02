"""Transparency of Photoshop documents, wherever it is told, comes out straight; psd-tools reads them beside."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
from psd_tools import PSDImage

from glaze_server.engine import formats
from tests.corpus import cases, readers
from tests.corpus.cases import Samples

MODES = {"GA": 1, "RGBA": 3, "CMYKA": 4}
MODELS = {2: "GA", 4: "RGBA", 5: "CMYKA"}
DEPTHS = {8: ">u1", 16: ">u2", 32: ">f4"}
LAYER_BLOCKS = {8: b"Layr", 16: b"Lr16", 32: b"Lr32"}
MERGED_BLOCKS = {8: b"Mtrn", 16: b"Mt16", 32: b"Mt32"}


def soft(model: str) -> Samples:
    """Straight colours from 0 to 1, (H, W, C), opaque at the right and clear at the left, softly between."""
    planes = cases.painted(model, "u2").astype(float) / 65535
    planes[..., -1] = np.linspace(-0.25, 1.25, cases.WIDTH).clip(0, 1)
    return planes


def document(straight: Samples, depth: int, told: str, large: bool = False) -> bytes:
    """A document of one empty layer, its merged picture blended with white, as Photoshop does.

    straight: as `soft` gives it, inks being 1 where there is most. told: where transparency is told, "count" of the
    layers, "count-in-block", "block" alone, or "nowhere".
    """
    height, width, channels = straight.shape
    alpha, inks = straight[..., -1:], channels == 5
    colours = 1 - straight[..., :-1] if inks else straight[..., :-1]
    planes = np.concatenate([colours * alpha + 1 - alpha, alpha], 2).transpose(2, 0, 1)
    top = 1 if depth == 32 else 2**depth - 1
    packed = (planes if depth == 32 else np.rint(planes * top)).astype(DEPTHS[depth])
    long = ">Q" if large else ">I"
    numbers = [-1, *range(channels - 1)]
    record = struct.pack(">4iH", 0, 0, 0, 0, channels) + b"".join(
        struct.pack(">h", number) + struct.pack(long, 2) for number in numbers
    )
    record += b"8BIMnorm" + bytes([255, 0, 0, 0]) + struct.pack(">III", 12, 0, 0) + b"\1L\0\0"
    count = struct.pack(">h", -1 if told.startswith("count") else 1)
    layers = count + record + b"\0\0" * channels
    layers += bytes(-len(layers) % 4)
    first = b"" if told == "count-in-block" else layers
    section = struct.pack(long, len(first)) + first + struct.pack(">I", 14) + bytes(14)
    section += b"8BIMPatt" + struct.pack(">I", 3) + b"xyz\0"
    if told == "count-in-block":
        section += b"8BIM" + LAYER_BLOCKS[depth] + struct.pack(long, len(layers)) + layers
    if told == "block":
        section += b"8BIM" + MERGED_BLOCKS[depth] + struct.pack(long, 0)
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1 + large, channels, height, width, depth, MODES[MODELS[channels]])
    return b"".join((head, bytes(8), struct.pack(long, len(section)), section, bytes(2), packed.tobytes()))


@pytest.mark.parametrize("large", [False, True], ids=["psd", "psb"])
@pytest.mark.parametrize("told", ["count", "count-in-block", "block"])
@pytest.mark.parametrize(
    ("model", "depth"), [both for both in itertools.product(MODES, DEPTHS) if both != ("CMYKA", 32)], ids=str
)
def test_transparency_comes_out_straight(model: str, depth: int, told: str, large: bool) -> None:
    straight = soft(model)
    data = document(straight, depth, told, large)
    file = formats.decode(data)
    page = file.pages[0]
    assert page.channels == model
    top = page.top
    wanted, alpha = straight * top, straight[..., -1]
    found = page.samples.astype(float)
    np.testing.assert_allclose(found[..., -1], wanted[..., -1], atol=1e-6 if depth == 32 else 0.5)
    clear = page.samples[..., -1] == 0
    error = np.abs(found - wanted)[..., :-1].max(-1)[~clear]  # of what is blended half a level is gone, and of alpha
    assert (error <= (1e-4 if depth == 32 else 0.5 + 2 / alpha[~clear])).all()
    paper = 0 if model == "CMYKA" else top
    assert (found[clear][:, :-1] == paper).all()


@pytest.mark.parametrize("told", ["count", "count-in-block", "block"])
@pytest.mark.parametrize("depth", [8, 16])
def test_another_reader_sees_the_same(depth: int, told: str) -> None:
    data = document(soft("RGBA"), depth, told)
    image = PSDImage.open(io.BytesIO(data)).topil()
    assert image is not None and image.mode == "RGBA"
    file = formats.decode(data)
    written = readers.png(formats.encode(file, file.pages, "png")).astype(float) / (2**depth - 1)
    seen = np.asarray(image).astype(float) / 255
    np.testing.assert_allclose(written[..., -1], seen[..., -1], atol=1 / 255)
    alpha = seen[..., -1:]
    assert (np.abs(written - seen)[..., :-1] * alpha).max() < 1.6 / 255


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_channel_that_is_not_transparency_changes_nothing(depth: int) -> None:
    file = formats.decode(document(soft("RGBA"), depth, "nowhere"))
    assert file.pages[0].channels == "RGB"

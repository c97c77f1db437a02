"""Pictures that EXIF says are to be turned: all is done as they are shown, and they come back as they lay."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from glaze_server.engine import formats, tasks
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.source import Input
from glaze_server.engine.tasks import Result
from tests.conftest import file_bytes
from tests.engine.conftest import Piece, Recorder

ASIDE = {3: Image.Transpose.ROTATE_180, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90}
"""EXIF's orientation → how a picture that is to be shown upright lies in such a file."""
pytestmark = pytest.mark.usefixtures("embedded")


@pytest.fixture(scope="module")
def upright(piece: Piece) -> Image.Image:
    return piece(72, 48)


def laid(picture: Image.Image, orientation: int, format: str = "PNG", **options: Any) -> bytes:
    """A file that shows the picture by its orientation."""
    exif = Image.Exif()
    exif[274] = orientation
    return file_bytes(picture.transpose(ASIDE[orientation]), format, exif=exif, **options)


def shown(data: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)


def run(kind: str, parts: dict[str, bytes], **settings: Any) -> Result:
    inputs = {name: Input(data) for name, data in parts.items()}
    return tasks.run(kind, inputs, {"quality": "preview", "style": "dusk", **settings}, Recorder())


@pytest.fixture(scope="module")
def parts(upright: Image.Image) -> dict[str, bytes]:
    """The upright picture, of which the upper half is cloaked."""
    mask = Image.new("L", upright.size)
    mask.paste(255, (0, 0, upright.width, upright.height // 2))
    return {"picture": file_bytes(upright), "mask": file_bytes(mask)}


@pytest.fixture(scope="module")
def cloaked(parts: dict[str, bytes], embedded: Encoder) -> NDArray[Any]:
    result = shown(run("protect", parts).parts["result"].data)
    changed = result != shown(parts["picture"])
    assert changed[:24].any() and not changed[24:].any()
    return result


@pytest.mark.parametrize("orientation", ASIDE)
def test_it_is_cloaked_as_it_is_shown(
    upright: Image.Image, parts: dict[str, bytes], cloaked: NDArray[Any], orientation: int
) -> None:
    result = run("protect", {**parts, "picture": laid(upright, orientation)}, want_target=True)
    with Image.open(io.BytesIO(result.parts["result"].data)) as image:
        assert image.size == upright.transpose(ASIDE[orientation]).size
    np.testing.assert_array_equal(shown(result.parts["result"].data), cloaked)
    assert result.report["size"] == list(upright.size)
    with Image.open(io.BytesIO(result.parts["target"].data)) as target:
        assert target.size == upright.size


@pytest.mark.parametrize("orientation", ASIDE)
@pytest.mark.parametrize("format", ["", "avif"])
def test_the_report_is_of_the_lossy_file_that_was_written(upright: Image.Image, orientation: int, format: str) -> None:
    data = laid(upright, orientation, "JPEG", quality=92)
    result = run("protect", {"picture": data}, format=format)
    before, after = (formats.decode(one) for one in (data, result.parts["result"].data))
    change = np.abs(shown(data) - (shown(result.parts["result"].data) if not format else after.pages[0].samples))
    assert round(255 * result.report["max_change"]) == change.max() <= 16
    assert result.report["targeted_shift"]["embedded"] > 0.05
    assert before.pages[0].samples.shape[:2] == upright.transpose(ASIDE[orientation]).size[::-1]


@pytest.mark.parametrize("orientation", ASIDE)
def test_pairs_are_compared_as_they_are_shown(upright: Image.Image, orientation: int) -> None:
    file = formats.decode(laid(upright, orientation))
    pair = {"clean": file.data, "cloaked": formats.encode(file, file.pages, "jxl")}
    report = run("measure", pair).report
    assert (report["max_change"], report["lpips"]["alex"]) == (0, pytest.approx(0, abs=1e-6))
    sheet = run("review", pair).parts["sheet"].data
    assert sheet == run("review", {name: file_bytes(upright) for name in pair}).parts["sheet"].data

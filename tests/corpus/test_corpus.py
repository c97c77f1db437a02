"""Every file comes back as it was, only cloaked."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from glaze_server.engine import formats, jnd, pixels
from glaze_server.engine.formats import Wanted
from glaze_server.engine.thinning import GROWTH
from tests.conftest import file_bytes
from tests.corpus import cases, readers
from tests.corpus.cases import Case, Samples
from tests.corpus.matrix import all_cases, read_only_cases
from tests.engine.conftest import refusal

CASES = all_cases()
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
CAP = 16 / 255
GROWING: list[tuple[str, dict[str, Any]]] = [
    ("PNG", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("JPEG", {"quality": 92, "subsampling": 0}),
    ("JPEG", {"quality": 75}),
    ("WEBP", {"quality": 90}),
]


CUT = [
    "exr-RGBA-f2",
    "avif-10-p3",
    "tiff-tiled-u2",
    "jpeg-ycck-444",
    "jxl-RGBA-u2-p3",
    "jxl-G-lossy",
    "jxl-of-jpeg-G-1",
]


def moved(case: Case) -> tuple[bytes, np.ndarray]:
    """The case's file with a δ in its left half, in patches of 8 px, and that δ (H, W, 1 or 3)."""
    file = formats.decode(case.data)
    picture = file.pages[0]
    shape = picture.seen.shape
    patches = np.random.default_rng(2).choice([-CAP, CAP], (-(-shape[0] // 8), -(-shape[1] // 8), shape[2]))
    delta = patches.repeat(8, 0).repeat(8, 1)[: shape[0], : shape[1]].astype(np.float32)
    delta[:, shape[1] // 2 :] = 0
    return formats.encode(file, [picture.changed(delta)]), delta


def test_the_matrix_is_large() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@every_case
def test_unchanged_samples_come_back_to_the_bit(case: Case) -> None:
    np.testing.assert_array_equal(case.read(case.data), case.samples)
    file = formats.decode(case.data)
    written = formats.encode(file, file.pages)
    back = case.read(written)
    assert back.dtype == case.samples.dtype
    np.testing.assert_array_equal(back, case.samples)
    assert case.keeps(written) == case.keeps(case.data)
    assert readers.profile(written) == case.profile


@every_case
def test_a_cloak_changes_only_what_it_reaches(case: Case) -> None:
    written, _ = moved(case)
    back = case.read(written)
    assert back.shape == case.samples.shape
    assert back.dtype == case.samples.dtype
    before, after = case.samples, back
    half = before.shape[1] // 2
    untouched = half + (16 if not case.lossless else 0)  # of a JPEG the blocks that the edge runs through
    if case.lossless or "jpeg" in case.name:
        np.testing.assert_array_equal(after[:, untouched:], before[:, untouched:])
    if case.model.endswith("A"):
        np.testing.assert_array_equal(after[..., -1], before[..., -1])
        clear = before[..., -1] == 0
        if case.lossless:
            np.testing.assert_array_equal(after[clear], before[clear])
    assert (after[:, :half] != before[:, :half]).any()
    if not case.widened:
        assert case.keeps(written) == case.keeps(case.data)


@every_case
def test_a_cloak_is_seen_as_it_was_meant(case: Case) -> None:
    """Converted there and back, δ is what it was, but for gamut, rounding and lossy compression."""
    written, delta = moved(case)
    before, after = (formats.decode(data).pages[0] for data in (case.data, written))
    wanted = np.clip(before.seen + delta, 0, 1) - before.seen
    if after.alpha is not None:
        wanted = wanted * (before.alpha > 0)  # type: ignore[operator]
    real = after.seen - before.seen
    share = float((real * wanted).sum() / (wanted * wanted).sum())
    assert (0.5 if case.lossless else 0.35) < share < 1.25


@pytest.mark.parametrize("case", [case for case in CASES if case.name.startswith("jpeg-")], ids=lambda case: case.name)
def test_finer_tables_keep_more_of_a_cloak_and_leave_the_rest_to_the_bit(case: Case) -> None:
    file = formats.decode(case.data)
    samples = case.samples.copy()
    noise = np.random.default_rng(4).integers(-6, 7, samples[:, :24].shape)
    samples[:, :24, :3] = np.clip(samples[:, :24, :3] + noise[..., :3], 0, 255)  # black stays
    errors = []
    for level in range(formats.levels(file, "")):
        back = case.read(formats.encode(file, [file.pages[0].with_samples(samples)], "", Wanted(level)))
        np.testing.assert_array_equal(back[:, 40:], case.samples[:, 40:])
        errors.append(np.square(back[:, :24].astype(float) - samples[:, :24]).mean())
    if "ycck" in case.name:  # which jpeglib writes with its own tables alone
        assert len(set(errors)) == 1
    else:
        assert errors[-1] < errors[0]
        assert max(errors) in errors[:3]


@pytest.mark.parametrize("case", list(cases.dct_cases()), ids=lambda case: case.name)
def test_a_tiff_with_jpeg_inside_keeps_its_colours(case: Case) -> None:
    """Where the cloak does not reach, two readers find what was there, within JPEG's own loss."""
    written, _ = moved(case)
    for read in (case.read, readers.pillow):
        change = read(written)[:, 32:].astype(float) - read(case.data)[:, 32:]
        assert np.abs(change.mean((0, 1))).max() < 0.5
        assert np.sqrt(np.square(change).mean()) < 4.5


MIXED: dict[str, dict[str, Any]] = {
    "dct-ycc": {"compression": "jpeg", "rowsperstrip": 16},
    "dct-ycc-tiled": {"compression": "jpeg", "tile": (16, 32), "subsampling": (2, 1)},
    "lzw": {"compression": "lzw", "predictor": 2, "rowsperstrip": 7},
    "raw": {"compression": None},
}


@pytest.mark.parametrize("shape", [{}, {"byteorder": ">"}, {"bigtiff": True}], ids=["", "big-endian", "big"])
@pytest.mark.parametrize("changed", range(len(MIXED)))
def test_a_page_that_is_not_changed_comes_back_to_the_bit(changed: int, shape: dict[str, Any]) -> None:
    data = io.BytesIO()
    smooth = cases.painted("RGB", "u1") // 2 + 60
    with tifffile.TiffWriter(data, **shape) as writer:
        for options in MIXED.values():
            writer.write(smooth, photometric="rgb", metadata=None, resolution=(300, 300), **options)
    file = formats.decode(data.getvalue())
    pages = list(file.pages)
    pages[changed] = pages[changed].changed(np.full(smooth.shape, 6 / 255, np.float32))
    written = formats.encode(file, pages)
    for number in range(len(MIXED)):
        before, after = (readers.tiff(one, number) for one in (data.getvalue(), written))
        if number == changed:
            np.testing.assert_allclose((after.astype(float) - before).mean((0, 1)), 6, atol=0.5)
        else:
            np.testing.assert_array_equal(after, before)
    layouts = [tifffile.TiffFile(io.BytesIO(one)).pages for one in (data.getvalue(), written)]
    for before, after in zip(*layouts, strict=True):
        for tag in (*readers.LAYOUT, 530):
            assert after.tags.valueof(tag) == before.tags.valueof(tag), tag


@pytest.mark.parametrize(("container", "options"), GROWING)
def test_a_file_of_the_same_format_grows_little(meadow: Image.Image, container: str, options: dict[str, Any]) -> None:
    """With noise where the engine's limit of each pixel is, which packs worse than a cloak."""
    data = file_bytes(meadow.crop((160, 220, 416, 420)), container, **options)
    file = formats.decode(data)
    limit = jnd.room(pixels.colour(file.pages[0]), None)[0, 0].numpy()[..., None]
    signs = np.random.default_rng(1).choice([-0.5, 0.5], file.pages[0].seen.shape).astype(np.float32)
    written = formats.encode(file, [file.pages[0].changed(limit * signs)])
    assert len(written) < GROWTH * len(data)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("name", CUT)
def test_a_file_cut_short_is_refused(name: str, share: float) -> None:
    data = next(case.data for case in CASES if case.name == name)
    with refusal("damaged"):
        formats.decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(("name", "data", "samples", "format"), read_only_cases(), ids=lambda value: str(value)[:20])
def test_what_is_only_read_is_cloaked_into_a_file_of_another_kind(
    name: str, data: bytes, samples: Samples, format: str
) -> None:
    file = formats.decode(data)
    np.testing.assert_array_equal(file.pages[0].samples, samples)
    read = readers.png if format == "png" else readers.inks
    np.testing.assert_array_equal(read(formats.encode(file, file.pages, format)), samples)
    with refusal("format") as caught:
        formats.encode(file, file.pages)
    assert "name a PNG or TIFF file" in caught.value.sentence

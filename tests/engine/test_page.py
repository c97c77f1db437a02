"""Pages in pieces: blocks for the loop, an excerpt for the eye, and large pages through whole jobs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from glaze_server.engine import cloaking, measure, page, progress, tasks
from glaze_server.engine.budget import Budget, Eye
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.looking import WINDOWS
from glaze_server.engine.page import GRID, JPEG_GRID, Page, scaled
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import from_8bit
from glaze_server.engine.progress import Paused
from glaze_server.engine.settings import QUALITIES
from glaze_server.engine.source import Input, seen
from glaze_server.engine.tasks import Result
from glaze_server.engine.tiles import HALO
from tests.conftest import file_bytes
from tests.engine.conftest import Piece, Recorder, refusal, waves

SIDE = 64
"""px of a block in these tests; with its halo and a little more it is a picture."""
LARGE = (SIDE + 2 * HALO + 40, 80)
"""Height and width of a page of four blocks, one above the other."""


def blank(height: int, width: int, channels: str = "RGB") -> Picture:
    """Takes no memory, whatever its size."""
    return Picture(np.broadcast_to(np.uint8(9), (height, width, len(channels))), channels)


def slices(parts: list[slice]) -> list[tuple[int, int]]:
    return sorted({(part.start, part.stop) for part in parts})


@pytest.mark.parametrize(
    ("height", "width", "blocks"),
    [(1, 1, 1), (2048, 2176, 1), (2177, 2176, 2), (4097, 300, 3), (8000, 6000, 12), (16384, 16384, 64), (9, 65535, 32)],
)
def test_blocks_are_of_like_size_on_jpegs_grid_and_cover_the_page_once(height: int, width: int, blocks: int) -> None:
    found = Page(blank(height, width)).blocks
    assert len(found) == blocks
    for axis, side in ((0, max(height, 32)), (1, max(width, 32))):
        places = slices([block.place[axis] for block in found])
        assert [start for start, _ in places] == [0, *(stop for _, stop in places[:-1])]
        assert places[-1][1] == side
        assert all(start % GRID == 0 for start, _ in places)
        assert min(stop - start for start, stop in places) > 0.8 * max(stop - start for start, stop in places)
    for block in found:
        for outer, core, place in zip(block.outer, block.core, block.place, strict=True):
            assert (outer.start + core.start, outer.start + core.stop) == (place.start, place.stop)
            assert outer.stop - outer.start <= page.BLOCK + 2 * HALO


@pytest.mark.parametrize("size", [(30, 40), (2100, 2177), (4700, 2300)])
def test_the_weights_of_blocks_make_one_everywhere(size: tuple[int, int]) -> None:
    found = Page(blank(*size))
    total = torch.zeros(1, 1, *found.size)
    for block in found.blocks:
        total[(..., *block.outer)] += found.weight(block)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_a_target_scaled_piece_by_piece_is_that_scaled_whole() -> None:
    small = waves(20, 31)
    whole = F.interpolate(small, (75, 98), mode="bicubic", align_corners=False).clamp(0, 1)
    for place in ((slice(0, 75), slice(0, 98)), (slice(11, 60), slice(40, 41))):
        torch.testing.assert_close(scaled(small, (75, 98), place), whole[(..., *place)], rtol=0, atol=1e-5)
    assert torch.equal(scaled(small, (20, 31), (slice(3, 9), slice(4, 8))), small[..., 3:9, 4:8])


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages become large early."""
    monkeypatch.setattr(page, "BLOCK", SIDE)
    monkeypatch.setattr(page, "WINDOW", SIDE)
    monkeypatch.setattr(page, "BAND", 40 * 80)


def ramp(height: int, width: int) -> Picture:
    samples = np.arange(height * width * 3, dtype=np.uint32).reshape(height, width, 3) * 40503 % 65536
    return Picture(samples.astype(np.uint16), "RGB")


@pytest.mark.usefixtures("small_blocks")
def test_an_excerpt_lies_where_the_cloak_may_reach_on_jpegs_grid() -> None:
    picture = ramp(900, 1300)
    mask = np.zeros((900, 1300, 1), np.uint8)
    mask[700:800, 100:400] = 255
    found = Page(picture, Picture(mask, "G"))
    assert 1 < len(found.places) <= WINDOWS
    for rows, columns in found.places:
        assert mask[rows, columns].any()
        assert rows.start % JPEG_GRID == columns.start % JPEG_GRID == 0
        assert (rows.stop - rows.start, columns.stop - columns.start) == (SIDE, SIDE)
    everywhere = Page(picture).places
    assert len(everywhere) == len({(rows.start, columns.start) for rows, columns in everywhere}) == WINDOWS
    assert len({rows.start for rows, _ in everywhere}) > 6 and len({columns.start for _, columns in everywhere}) > 6


@pytest.mark.usefixtures("small_blocks")
def test_the_excerpt_of_a_picture_shows_what_that_of_its_planes_does() -> None:
    found = Page(ramp(300, 500))
    planes = found.excerpt(found.seen)
    assert planes.shape == (1, 3, SIDE, SIDE * len(found.places))
    assert torch.equal(planes, seen(found.excerpt_of(found.picture)))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("size", [(400, 410), (40, 3000)])
def test_a_large_page_is_shrunk_to_what_its_target_needs(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "SMALL", 100)
    found = Page(ramp(*size))
    times = min(-(-max(size) // 100), size[0] // 32)
    whole = found.seen((slice(0, size[0]), slice(0, size[1])))
    expected = F.avg_pool2d(whole, times, ceil_mode=True, count_include_pad=False)
    torch.testing.assert_close(found.small, expected)


# Whole jobs


def protect(data: bytes, reporter: Recorder | None = None, at: Path | None = None, **settings: Any) -> Result:
    mask = settings.pop("mask", None)
    inputs = {"picture": Input(data)} | ({"mask": Input(mask)} if mask else {})
    return tasks.run("protect", inputs, {"quality": "preview", "style": "dusk", **settings}, reporter or Recorder(), at)


def samples(data: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).astype(int)


@pytest.fixture
def picture(piece: Piece) -> Image.Image:
    return piece(LARGE[1], LARGE[0])


def shift(before: Image.Image, after: NDArray[Any], target: bytes, encoder: Encoder) -> float:
    clean, cloaked, goal = (from_8bit(np.asarray(one, np.uint8)) for one in (before, after, samples(target)))
    return measure.targeted_shift(encoder, clean, goal, cloaked)[0]


def test_a_large_page_is_cloaked_nearly_as_well_as_a_small_one_within_the_budget(
    picture: Image.Image, embedded: Encoder, request: pytest.FixtureRequest
) -> None:
    data = file_bytes(picture)
    results = [protect(data, want_target=True)]
    request.getfixturevalue("small_blocks")
    assert Page(Picture(np.asarray(picture), "RGB")).large
    reporter = Recorder()
    results.append(protect(data, reporter, want_target=True, want_review=True))
    small, large = (samples(result.parts["result"].data) for result in results)
    target = results[0].parts["target"].data
    assert np.abs(samples(results[1].parts["target"].data) - samples(target)).mean() < 2
    shifts = [shift(picture, after, target, embedded) for after in (small, large)]
    assert shifts[1] > 0.8 * shifts[0] > 0.05
    visible = Eye(from_8bit(np.asarray(picture))).judge(from_8bit(large.astype(np.uint8)))
    assert visible.max_change <= Budget().max_change + 1e-6 and visible.jod > 9.65 and visible.lpips_alex < 0.06
    change = np.abs(large - np.asarray(picture))
    assert all((change[top : top + 16] > 0).mean() > 0.3 for top in range(0, LARGE[0] - 16, 16)), "a block was left out"
    assert reporter.steps == sorted(reporter.steps) and reporter.steps[-1] == reporter.totals[0]
    difference = samples(results[1].parts["difference"].data)
    np.testing.assert_allclose(difference, np.clip(127.5 + 8 * (large - np.asarray(picture)), 0, 255), atol=0.51)


@pytest.mark.usefixtures("small_blocks")
def test_a_large_job_shows_all_of_the_page_on_its_way(picture: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr(cloaking, "PREVIEW_SIDE", LARGE[0])
    reporter = Recorder()
    after = samples(protect(file_bytes(picture), reporter).parts["result"].data)
    assert len(reporter.previews) == QUALITIES["preview"].iterations * 4
    (first, _), *_, (layout, last) = [(layout, pixels) for layout, pixels in reporter.previews]
    assert (layout.width, layout.height) == (first.width, first.height) == (LARGE[1], LARGE[0])
    shown = np.frombuffer(last, np.uint8).reshape(*LARGE, 3).astype(int)
    assert np.abs(shown - after).mean() < 4


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("call", [4, 19])
def test_a_large_job_that_was_paused_or_killed_gives_the_same_bytes(
    picture: Image.Image, call: int, tmp_path: Path
) -> None:
    data = file_bytes(picture)
    expected = protect(data).parts["result"].data
    with pytest.raises(Paused):
        protect(data, Recorder(stop_at=call, reason=Paused()), tmp_path / "checkpoint")
    reporter = Recorder()
    assert protect(data, reporter, tmp_path / "checkpoint").parts["result"].data == expected
    assert reporter.steps == sorted(reporter.steps) and reporter.steps[-1] == reporter.totals[0]


@pytest.mark.usefixtures("small_blocks")
def test_a_large_lossy_file_keeps_within_the_largest_change_everywhere(picture: Image.Image) -> None:
    data = file_bytes(picture, "JPEG", quality=85)
    result = protect(data)
    change = np.abs(samples(result.parts["result"].data) - samples(data))
    assert 0 < change.max() <= 16
    assert result.report["targeted_shift"]["embedded"] > 0.05


@pytest.mark.usefixtures("small_blocks")
def test_16_bits_transparency_and_a_mask_keep_what_they_must_on_a_large_page(picture: Image.Image) -> None:
    height, width = LARGE
    before = np.dstack([np.asarray(picture).astype(np.uint16) * 257, np.full(LARGE, 65535, np.uint16)])
    before[:50, :, 3] = 0
    before[50:, :9, 3] = 30000
    data = io.BytesIO()
    tifffile.imwrite(data, before, photometric="rgb", extrasamples=["unassalpha"])
    mask = Image.new("L", (width, height), 255)
    mask.paste(0, (0, 150, width, height))
    result = protect(data.getvalue(), mask=file_bytes(mask))
    after = tifffile.imread(io.BytesIO(result.parts["result"].data))
    np.testing.assert_array_equal(after[..., 3], before[..., 3])
    np.testing.assert_array_equal(after[:50], before[:50])
    np.testing.assert_array_equal(after[150:], before[150:])
    assert (after[60:140] != before[60:140]).mean() > 0.3
    assert result.report["targeted_shift"]["embedded"] > 0.02


@pytest.mark.usefixtures("small_blocks")
def test_a_large_page_that_cannot_be_cloaked_is_refused(picture: Image.Image) -> None:
    with refusal("nothing_to_protect"):
        protect(file_bytes(Image.new("RGB", (LARGE[1], LARGE[0]), "teal")))
    almost = Image.new("RGB", (LARGE[1], LARGE[0]), (90, 90, 90))
    almost.paste((91, 91, 91), (0, LARGE[0] - 2, 9, LARGE[0]))
    with refusal("nothing_to_protect"):
        protect(file_bytes(almost))
    with refusal("nothing_to_protect"):
        protect(file_bytes(picture), mask=file_bytes(Image.new("L", (LARGE[1], LARGE[0]), 0)))


@pytest.mark.usefixtures("small_blocks")
def test_large_pictures_are_measured_by_an_excerpt(picture: Image.Image) -> None:
    result = protect(file_bytes(picture), want_target=True)
    parts = {
        "clean": file_bytes(picture),
        "cloaked": result.parts["result"].data,
        "target": result.parts["target"].data,
    }
    report = tasks.run("measure", {name: Input(data) for name, data in parts.items()}, {}, Recorder()).report
    assert report["max_change"] == result.report["max_change"]
    assert report["targeted_shift"] == pytest.approx(result.report["targeted_shift"], abs=0.02)
    assert tasks.run("review", {name: Input(data) for name, data in parts.items()}, {}, Recorder()).parts["sheet"].data

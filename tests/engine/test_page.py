"""Pages at the size of training, in places and in excerpts, and large ones through whole jobs."""

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

from glaze_server.engine import cloaking, jnd, measure, page, progress, tasks
from glaze_server.engine.budget import Budget, Eye
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.looking import WINDOWS
from glaze_server.engine.page import JPEG_GRID, Page
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import from_8bit, rounded
from glaze_server.engine.progress import Paused
from glaze_server.engine.settings import QUALITIES
from glaze_server.engine.source import Input, seen
from glaze_server.engine.tasks import Result
from tests.conftest import file_bytes
from tests.engine.conftest import Piece, Recorder, refusal, waves

SIDE = 64
"""px of a window of the excerpt in these tests."""
LARGE = (232, 120)
"""Height and width of a page that is worked on at less than half its size."""


@pytest.mark.parametrize(
    ("size", "trained"),
    [
        ((1, 1), (32, 32)),
        ((832, 1216), (832, 1216)),
        ((1024, 1024), (1024, 1024)),
        ((2048, 2048), (1024, 1024)),
        ((6000, 8000), (887, 1182)),
        ((16384, 16384), (1024, 1024)),
        ((9, 65535), (32, 65535)),
        ((40, 65535), (32, 52428)),
    ],
)
def test_the_loop_works_on_no_more_than_generators_are_trained_on(
    size: tuple[int, int], trained: tuple[int, int]
) -> None:
    found = Page(Picture(np.broadcast_to(np.uint8(9), (*size, 3)), "RGB"))
    assert found.trained == trained
    assert found.large == (trained != found.size)


@pytest.fixture
def soon_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages become large early, are looked at in bands of some rows, and in small windows."""
    monkeypatch.setattr(page, "TRAINED", 100 * 52)
    monkeypatch.setattr(page, "WINDOW", SIDE)
    monkeypatch.setattr(page, "WHOLE", 4 * SIDE**2)
    monkeypatch.setattr(page, "BAND", 30 * LARGE[1])


def ramp(height: int, width: int) -> Picture:
    samples = np.arange(height * width * 3, dtype=np.uint32).reshape(height, width, 3) * 40503 % 65536
    return Picture(samples.astype(np.uint16), "RGB")


@pytest.mark.usefixtures("soon_large")
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


@pytest.mark.usefixtures("soon_large")
def test_the_excerpt_of_a_picture_shows_what_that_of_its_planes_does() -> None:
    found = Page(ramp(300, 500))
    planes = found.excerpt(found.seen)
    assert planes.shape == (1, 3, SIDE, SIDE * len(found.places))
    assert torch.equal(planes, seen(found.excerpt_of(found.picture)))


@pytest.mark.usefixtures("soon_large")
@pytest.mark.parametrize("size", [(100, 99), (300, 221), (40, 1000)])
def test_a_page_shrunk_band_by_band_is_nearly_that_shrunk_whole(size: tuple[int, int], piece: Piece) -> None:
    found = Page(Picture(np.asarray(piece(192, 160).resize(size[::-1])), "RGB"))
    assert found.large
    whole = found.seen((slice(0, size[0]), slice(0, size[1])))
    expected = F.interpolate(whole, found.trained, mode="bicubic", antialias=True, align_corners=False)
    assert found.small.shape == expected.shape
    assert float((found.small - expected).abs().mean()) < 0.01


@pytest.mark.usefixtures("soon_large")
def test_a_picture_enlarged_piece_by_piece_is_that_enlarged_whole() -> None:
    found = Page(ramp(200, 180))
    small = waves(*found.trained)
    whole = F.interpolate(small, (200, 180), mode="bicubic", align_corners=False)
    for place in ((slice(0, 200), slice(0, 180)), (slice(11, 60), slice(40, 41))):
        torch.testing.assert_close(found.enlarged(small, place), whole[(..., *place)], rtol=0, atol=1e-5)


@pytest.mark.usefixtures("soon_large")
def test_the_delta_of_a_large_page_keeps_within_the_room_of_each_pixel_wherever_it_is_made(piece: Piece) -> None:
    samples = np.dstack([np.asarray(piece(180, 200)), np.full((200, 180), 255, np.uint8)])
    samples[:60, :, 3] = 0
    mask = np.full((200, 180, 1), 255, np.uint8)
    mask[:, 120:] = 0
    found = Page(Picture(samples, "RGBA"), Picture(mask, "G"), 0.5)
    delta = found.delta(torch.ones(1, 3, *found.trained), (slice(0, 200), slice(0, 180)))
    room = 0.5 * jnd.room(found.seen((slice(0, 200), slice(0, 180))), torch.ones(1, 1, 200, 180))
    torch.testing.assert_close(delta[..., 60:, :120], room[..., 60:, :120].expand(-1, 3, -1, -1))
    assert not delta[..., :60, :].any() and not delta[..., 120:].any()
    place = (slice(90, 131), slice(3, 77))
    part = found.delta(torch.ones(1, 3, *found.trained), place)
    torch.testing.assert_close(part, delta[(..., *place)], rtol=0, atol=2e-5)


@pytest.mark.usefixtures("soon_large")
def test_colours_under_transparency_do_not_bleed_into_what_the_loop_sees() -> None:
    samples = np.zeros((200, 180, 4), np.uint8)
    samples[:, :91] = (200, 100, 50, 255)
    samples[:, 91:] = (0, 255, 0, 0)
    colour, opacity = Page(Picture(samples, "RGBA")).subject_planes
    assert opacity is not None
    seen_there = colour[:, :, :, :].permute(1, 0, 2, 3)[:, opacity[0] > 0.1]
    torch.testing.assert_close(
        seen_there, (torch.tensor([200, 100, 50]) / 255)[:, None].expand_as(seen_there), atol=0.02, rtol=0
    )


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


def test_a_large_page_is_cloaked_at_the_size_of_training_within_the_budget(
    picture: Image.Image, embedded: Encoder, request: pytest.FixtureRequest
) -> None:
    """And far better than one whose cloak is made at its own size."""
    data = file_bytes(picture)
    own = protect(data, want_target=True)
    assert own.report["trained"] is None and "trained on" not in own.report["statement"]
    request.getfixturevalue("soon_large")
    found = Page(Picture(np.asarray(picture), "RGB"))
    reporter = Recorder()
    result = protect(data, reporter, want_target=True, want_review=True)
    target = from_8bit(samples(result.parts["target"].data).astype(np.uint8))
    assert np.abs(samples(own.parts["target"].data) / 255 - target[0].permute(1, 2, 0).numpy()).mean() < 0.1
    pictures = [Picture(samples(one.parts["result"].data).astype(np.uint8), "RGB") for one in (own, result)]
    small = [rounded(found.small_of(one)) for one in (found.picture, *pictures)]
    goal = found.small_of(Picture(samples(result.parts["target"].data).astype(np.uint8), "RGB"))
    shifts = measure.targeted_shift(embedded, small[0], goal, *small[1:])
    assert shifts[1] > 1.3 * shifts[0] and shifts[1] > 0.05
    assert result.report["targeted_shift"]["embedded"] == pytest.approx(shifts[1], abs=0.02)
    change = np.abs(pictures[1].samples.astype(int) - np.asarray(picture))
    assert all((change[top : top + 16] > 0).mean() > 0.3 for top in range(0, LARGE[0] - 16, 16)), "a band was left out"
    visible = Eye(from_8bit(np.asarray(picture))).judge(from_8bit(pictures[1].samples))
    assert visible.max_change <= Budget().max_change + 1e-6 and visible.jod > 9.6 and visible.lpips_alex < 0.06
    width, height = result.report["trained"]
    assert (height, width) == found.trained and f"{width}×{height} px" in result.report["statement"]
    assert set(result.report["at_opacity"]) == {"25", "50", "75", "100"}
    assert result.report["at_opacity"]["100"]["targeted_shift"] == pytest.approx(shifts[1], abs=0.02)
    assert reporter.steps == sorted(reporter.steps) and reporter.steps[-1] == reporter.totals[0]
    difference = samples(result.parts["difference"].data)
    wanted = np.clip(127.5 + 8 * (pictures[1].samples.astype(float) - np.asarray(picture)), 0, 255)
    np.testing.assert_allclose(difference, wanted, atol=0.51)


@pytest.mark.usefixtures("soon_large")
def test_previews_of_a_large_page_have_its_shape(picture: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr(cloaking, "PREVIEW_SIDE", 50)
    reporter = Recorder()
    protect(file_bytes(picture), reporter)
    assert len(reporter.previews) == QUALITIES["preview"].iterations
    assert {(layout.width, layout.height) for layout, _ in reporter.previews} == {(26, 50)}


@pytest.mark.usefixtures("soon_large")
@pytest.mark.parametrize("call", [5, 9])
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


@pytest.mark.usefixtures("soon_large")
def test_a_large_lossy_file_keeps_within_the_largest_change_everywhere(picture: Image.Image) -> None:
    data = file_bytes(picture, "JPEG", quality=85)
    result = protect(data)
    change = np.abs(samples(result.parts["result"].data) - samples(data))
    assert 0 < change.max() <= 16
    assert result.report["targeted_shift"]["embedded"] > 0.05


@pytest.mark.usefixtures("soon_large")
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


@pytest.mark.usefixtures("soon_large")
def test_a_large_page_that_cannot_be_cloaked_is_refused(picture: Image.Image) -> None:
    with refusal("nothing_to_protect"):
        protect(file_bytes(Image.new("RGB", (LARGE[1], LARGE[0]), "teal")))
    almost = Image.new("RGB", (LARGE[1], LARGE[0]), (90, 90, 90))
    almost.paste((91, 91, 91), (0, LARGE[0] - 2, 9, LARGE[0]))
    with refusal("nothing_to_protect"):
        protect(file_bytes(almost))
    with refusal("nothing_to_protect"):
        protect(file_bytes(picture), mask=file_bytes(Image.new("L", (LARGE[1], LARGE[0]), 0)))


@pytest.mark.usefixtures("soon_large")
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

"""The engine's jobs, from bytes to bytes: what an artist may rely on."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.growth import packed
from glaze_plugin.errors import Cancelled, GlazeError
from glaze_plugin.figures import statement
from glaze_plugin.raster import CHANNEL_ORDERS, RasterFormat
from glaze_server.engine import aim, artist, cloaking, device, progress, stock, styles, tasks
from glaze_server.engine.budget import Budget, Eye
from glaze_server.engine.pixels import from_8bit
from glaze_server.engine.progress import Paused
from glaze_server.engine.settings import QUALITIES, Settings
from glaze_server.engine.source import Input, Output, Source
from glaze_server.engine.survival import TRANSFORMS
from glaze_server.engine.tasks import Result
from glaze_server.engine.thinning import GROWTH
from tests.conftest import file_bytes
from tests.engine.conftest import Piece, Recorder, refusal

Samples = NDArray[Any]

QUICK = {"quality": "preview", "style": "dusk"}
SIDE = 64

FIGURES = {"lpips", "max_change", "flat_rms", "jod", "psnr", "targeted_shift", "trained", "survival", "noise_control"}
CHOSEN = {"encoders", "style", "painter", "statement", "device", "notes"}
ASKED = {"size", "bytes", "growth", "pages", "seconds", "chosen", "strength", "quality", "seed"}


def run(kind: str, parts: Mapping[str, Any], reporter: Recorder | None = None, **settings: Any) -> Result:
    """One job; each part is a picture, a file's bytes or an Input."""
    inputs = {name: as_input(part) for name, part in parts.items()}
    return tasks.run(kind, inputs, settings, reporter or Recorder())


def as_input(part: Image.Image | bytes | Input) -> Input:
    if isinstance(part, Image.Image):
        part = file_bytes(part)
    return Input(part) if isinstance(part, bytes) else part


def protect(picture: Any, reporter: Recorder | None = None, mask: Any = None, **settings: Any) -> Result:
    parts = {"picture": picture} if mask is None else {"picture": picture, "mask": mask}
    return run("protect", parts, reporter, **{**QUICK, **settings})


def shown(output: Output | bytes) -> Samples:
    data = output if isinstance(output, bytes) else output.data
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def assert_within(budget: Budget, report: Mapping[str, Any]) -> None:
    assert 0 < report["lpips"]["alex"] <= budget.lpips_alex
    assert 0 < report["lpips"]["vgg"] <= budget.lpips_vgg
    assert 0 < report["max_change"] <= budget.max_change + 1e-6
    assert report["flat_rms"] <= budget.flat_rms
    assert 10 - budget.jod_loss <= report["jod"] <= 10


# Raw pixels


def raw(picture: Image.Image, channels: str, depth: str) -> Input:
    """The picture as a painting program would hand it in: alpha from 0 at the left to full at the right."""
    samples = np.asarray(picture.convert("L" if channels.startswith("G") else "RGB"), np.uint16)
    samples = samples.reshape(*samples.shape[:2], -1)
    if channels == "BGRA":
        samples = samples[:, :, ::-1]
    if channels.endswith("A"):
        ramp = np.broadcast_to(np.linspace(-64, 255, picture.width).clip(0)[None, :, None], (*samples.shape[:2], 1))
        samples = np.concatenate([samples, ramp.astype(np.uint16)], axis=2)
    data = samples.astype("u1") if depth == "u8" else (samples * 257 + 3 * (samples < 255)).astype("<u2")
    return Input(data.tobytes(), RasterFormat(picture.width, picture.height, channels, depth))


def samples_of(part: Input | Output) -> Samples:
    layout = part.layout
    assert layout is not None
    samples = np.frombuffer(part.data, "u1" if layout.depth == "u8" else "<u2")
    return samples.reshape(layout.height, layout.width, len(layout.channels)).astype(int)


@pytest.mark.parametrize("depth", ["u8", "u16"])
@pytest.mark.parametrize("channels", CHANNEL_ORDERS)
def test_raw_pixels_are_cloaked_in_their_own_layout(piece: Piece, channels: str, depth: str) -> None:
    given = raw(piece(SIDE, SIDE + 6), channels, depth)
    result = protect(given)
    output = result.parts["result"]
    assert output.layout == given.layout
    before, after = samples_of(given), samples_of(output)
    assert_within(Budget(), result.report)
    top = 255 if depth == "u8" else 65535
    if channels.endswith("A"):
        np.testing.assert_array_equal(after[..., -1], before[..., -1])
        np.testing.assert_array_equal(after[before[..., -1] == 0], before[before[..., -1] == 0])
    else:
        change = np.abs(after - before).max() / top
        assert change == pytest.approx(result.report["max_change"], abs=0.51 / 255)
    if depth == "u16":
        assert ((after - before) % 257 != 0).any(), "δ was made at 8 bits"
    assert result.report["size"] == [SIDE, SIDE + 6]


def test_bgra_is_cloaked_as_the_same_rgba(piece: Piece) -> None:
    picture = piece(SIDE, SIDE)
    results = [samples_of(protect(raw(picture, order, "u8")).parts["result"]) for order in ("RGBA", "BGRA")]
    np.testing.assert_array_equal(results[0], results[1][..., [2, 1, 0, 3]])


# Files


@pytest.fixture(scope="module", autouse=True)
def unknown_artist(home: Path) -> Iterator[None]:
    """No style is kept when these tests begin, nor for those that follow."""
    artist.forget()
    yield
    artist.forget()


@pytest.fixture(scope="module")
def picture(piece: Piece) -> Image.Image:
    return piece(SIDE, SIDE)


@pytest.fixture(scope="module")
def cloaked(picture: Image.Image) -> Result:
    """What `protect` makes of the picture, with the target style chosen by the engine."""
    return protect(picture, style="auto", want_target=True)


def test_a_cloaked_file_moves_the_encoder_within_the_budget(picture: Image.Image, cloaked: Result) -> None:
    report = cloaked.report
    assert_within(Budget(), report)
    assert set(report) == FIGURES | CHOSEN | ASKED
    assert report["targeted_shift"]["embedded"] > 4 * report["noise_control"]["targeted_shift"]["embedded"]
    assert report["targeted_shift"]["embedded"] > 0.05
    assert set(report["survival"]) == set(TRANSFORMS)
    assert report["style"] in styles.STYLES
    assert report["encoders"] == ["embedded"]
    assert report["bytes"] == len(cloaked.parts["result"].data)
    json.dumps(report, allow_nan=False)


def test_the_report_is_of_the_file_that_was_written(picture: Image.Image, cloaked: Result) -> None:
    written = shown(cloaked.parts["result"])
    change = np.abs(written.astype(int) - np.asarray(picture)).max()
    assert cloaked.report["max_change"] == pytest.approx(change / 255, abs=1e-6)
    visible = Eye(from_8bit(np.asarray(picture))).judge(from_8bit(written))
    assert cloaked.report["jod"] == pytest.approx(visible.jod, abs=1e-5)
    assert cloaked.report["lpips"] == pytest.approx({"alex": visible.lpips_alex, "vgg": visible.lpips_vgg}, abs=1e-6)


def test_the_target_comes_along_when_wanted(picture: Image.Image, cloaked: Result) -> None:
    assert shown(cloaked.parts["target"]).shape == (SIDE, SIDE, 3)
    assert "target" not in protect(picture, strength=0).parts


@pytest.mark.parametrize(("container", "options"), [("JPEG", {"quality": 90, "subsampling": 0}), ("WEBP", {})])
def test_a_lossy_file_is_judged_and_cloaked_as_it_is_written(
    picture: Image.Image, container: str, options: dict[str, object]
) -> None:
    data = file_bytes(picture, container, **options)
    result = protect(data)
    assert_within(Budget(), result.report)
    change = np.abs(shown(result.parts["result"]).astype(int) - shown(data)).max()
    assert result.report["max_change"] == pytest.approx(change / 255, abs=1e-6)
    assert result.report["targeted_shift"]["embedded"] > 0.1


def test_a_16_bit_file_with_transparency_keeps_both(piece: Piece) -> None:
    given = raw(piece(SIDE, SIDE), "RGBA", "u16")
    before = samples_of(given).astype(np.uint16)
    data = io.BytesIO()
    tifffile.imwrite(data, before, photometric="rgb", extrasamples=["unassalpha"])
    after = tifffile.imread(io.BytesIO(protect(data.getvalue()).parts["result"].data))
    assert after.dtype == np.uint16
    np.testing.assert_array_equal(after[..., 3], before[..., 3])
    assert (after[..., :3] != before[..., :3]).any()


@pytest.mark.parametrize("size", [(9, 5), (1, 90), (24, 24)])
def test_a_picture_smaller_than_an_encoder_sees_is_cloaked(piece: Piece, size: tuple[int, int]) -> None:
    picture = piece(90, 90).resize(size)
    result = protect(picture)
    after = shown(result.parts["result"])
    assert after.shape == np.asarray(picture).shape
    assert 0 < np.abs(after.astype(int) - np.asarray(picture)).max() <= 16
    assert_within(Budget(), result.report)


def test_every_page_is_cloaked_and_a_flat_one_comes_back_as_it_was(piece: Piece) -> None:
    data = io.BytesIO()
    pages = [np.asarray(piece(48, 40)), np.full((32, 32, 3), 7, np.uint8), np.asarray(piece(40, 56).rotate(180))]
    with tifffile.TiffWriter(data) as writer:
        for page in pages:
            writer.write(page, photometric="rgb", compression="zlib")
    result = protect(data.getvalue())
    with tifffile.TiffFile(io.BytesIO(result.parts["result"].data)) as back:
        after = [page.asarray().astype(int) for page in back.pages]
    changes = [np.abs(new - old).max() for new, old in zip(after, pages, strict=True)]
    assert [0 < change <= 16 for change in changes] == [True, False, True]
    assert changes[1] == 0
    assert any("1 are of one colour" in note for note in result.report["notes"])


def test_another_format_can_be_asked_for(picture: Image.Image) -> None:
    result = protect(picture, strength=0, format="tiff")
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(result.parts["result"].data)), np.asarray(picture))


@pytest.mark.parametrize("mask", [None, Image.new("L", (SIDE, SIDE), 255)], ids=["whole", "masked"])
def test_strength_0_changes_nothing(picture: Image.Image, mask: Image.Image | None) -> None:
    result = protect(picture, mask=mask, strength=0)
    np.testing.assert_array_equal(shown(result.parts["result"]), np.asarray(picture))
    assert result.report["targeted_shift"] == {"embedded": 0.0}


def test_half_the_strength_uses_half_the_budget(picture: Image.Image) -> None:
    assert_within(Budget().scaled(0.5), protect(picture, strength=0.5).report)


def test_the_same_seed_gives_the_same_bytes(picture: Image.Image) -> None:
    first, again = (protect(picture, seed=3).parts["result"].data for _ in range(2))
    assert first == again


def test_nothing_changes_where_the_mask_is_black(picture: Image.Image) -> None:
    mask = Image.new("L", (SIDE, SIDE), 255)
    mask.paste(0, (0, 0, SIDE // 2, SIDE))
    after = shown(protect(picture, mask=mask).parts["result"])
    before = np.asarray(picture)
    np.testing.assert_array_equal(after[:, : SIDE // 2], before[:, : SIDE // 2])
    assert (after[:, SIDE // 2 :] != before[:, SIDE // 2 :]).mean() > 0.5


def test_a_soft_mask_softens_the_cloak(picture: Image.Image) -> None:
    mask = Image.new("L", (SIDE, SIDE), 32)
    change = np.abs(shown(protect(picture, mask=mask).parts["result"]).astype(int) - np.asarray(picture))
    assert 0 < change.max() <= round(16 * 32 / 255)


# What cannot be done


def flat(colour: str | tuple[int, ...], mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (SIDE, SIDE), colour)


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (flat("white"), "nothing_to_protect"),
        (flat("red"), "nothing_to_protect"),
        (flat((10, 200, 90, 255), "RGBA"), "nothing_to_protect"),
        (Image.new("RGB", (1, 1)), "nothing_to_protect"),
        (b"not a picture", "not_a_picture"),
        (b"", "empty"),
        (Input(b"123", RasterFormat(2, 2, "RGB", "u8")), "pixels"),
        (Input(b"123", RasterFormat(60_000, 60_000, "RGB", "u8")), "size"),
        (Input(b"123", RasterFormat(2, 2, "XYZ", "u8")), "channels"),
    ],
    ids=["white", "red", "green-with-alpha", "1x1", "text", "empty", "short", "huge", "channels"],
)
def test_a_picture_that_cannot_be_cloaked_is_refused(picture: Image.Image | bytes | Input, code: str) -> None:
    with refusal(code):
        protect(picture)


def test_a_picture_whose_visible_part_is_flat_is_refused(piece: Piece) -> None:
    picture = piece(SIDE, SIDE).convert("RGBA")
    picture.putalpha(0)
    with refusal("nothing_to_protect"):
        protect(picture)
    picture.paste((200, 40, 40, 255), (0, 0, 40, 40))
    with refusal("nothing_to_protect"):
        protect(picture)


@pytest.mark.parametrize(
    ("mask", "code", "said"),
    [
        (Image.new("L", (SIDE, SIDE - 1), 255), "mask_size", "64×63 px"),
        (Image.new("L", (SIDE, SIDE), 0), "nothing_to_protect", "black"),
        (b"not a mask", "not_a_picture", ""),
    ],
    ids=["other-size", "black", "text"],
)
def test_a_mask_that_does_not_fit_is_refused(picture: Image.Image, mask: Any, code: str, said: str) -> None:
    with refusal(code) as caught:
        protect(picture, mask=mask)
    assert said in caught.value.sentence


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"style": "van-gogh"}, "unknown_style"),
        ({"style": 7}, "settings"),
        ({"encoders": ["sd99"]}, "unknown_encoder"),
        ({"encoders": "embedded"}, "settings"),
        ({"encoders": 5}, "settings"),
        ({"encoders": [5]}, "settings"),
        ({"quality": "best"}, "quality"),
        ({"quality": ["preview"]}, "quality"),
        ({"strength": 2}, "strength"),
        ({"strength": -0.1}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"strength": "1"}, "strength"),
        ({"strength": True}, "strength"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"format": "gif"}, "format"),
        ({"format": None}, "settings"),
        ({"any_size": "no"}, "settings"),
        ({"no_mining": 1}, "settings"),
        ({"want_target": None}, "settings"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(picture: Image.Image, settings: dict[str, Any], code: str) -> None:
    with refusal(code):
        protect(picture, **settings)


def test_unknown_settings_are_ignored() -> None:
    assert Settings.from_dict({"strength": 0.5, "colour_of_the_sky": "blue"}) == Settings(strength=0.5)


@pytest.mark.parametrize(("kind", "part"), [("protect", "picture"), ("measure", "clean"), ("review", "clean")])
def test_a_job_without_its_picture_says_so(kind: str, part: str) -> None:
    with refusal("missing_part") as caught:
        run(kind, {})
    assert part in caught.value.sentence


# Measure and review


@pytest.fixture(scope="module")
def pair(picture: Image.Image, cloaked: Result) -> dict[str, bytes]:
    return {"clean": file_bytes(picture), "cloaked": cloaked.parts["result"].data}


def test_a_long_strip_is_measured_and_reviewed(piece: Piece) -> None:
    strip = piece(352, 18).resize((1200, 36))
    pair = {"clean": file_bytes(strip), "cloaked": file_bytes(strip.transpose(Image.Transpose.FLIP_LEFT_RIGHT))}
    assert run("measure", pair).report["max_change"] > 0
    assert run("review", pair).parts["sheet"].data


def test_measuring_finds_the_style_that_was_used(pair: dict[str, bytes], cloaked: Result) -> None:
    reporter = Recorder()
    figures = run("measure", pair, reporter).report
    assert figures["style"] == cloaked.report["style"]
    assert set(figures) == FIGURES | CHOSEN
    assert figures["lpips"] == pytest.approx(cloaked.report["lpips"], abs=1e-6)
    assert figures["targeted_shift"] == pytest.approx(cloaked.report["targeted_shift"], abs=1e-5)
    assert_counts_up(reporter)


def test_measuring_against_a_given_target_uses_it(pair: dict[str, bytes], cloaked: Result) -> None:
    reporter = Recorder()
    figures = run("measure", {**pair, "target": cloaked.parts["target"].data}, reporter).report
    assert figures["style"] == "given"
    assert figures["targeted_shift"] == pytest.approx(cloaked.report["targeted_shift"], abs=0.01)
    assert_counts_up(reporter)


def test_pictures_of_different_sizes_cannot_be_compared(pair: dict[str, bytes], piece: Piece) -> None:
    other = file_bytes(piece(SIDE, SIDE + 1))
    with refusal("sizes_differ") as caught:
        run("measure", {"clean": pair["clean"], "cloaked": other})
    assert "64×64" in caught.value.sentence and "64×65" in caught.value.sentence
    with refusal("sizes_differ"):
        run("measure", {**pair, "target": other})


def test_a_picture_compared_with_itself_has_not_moved(pair: dict[str, bytes]) -> None:
    figures = run("measure", {"clean": pair["clean"], "cloaked": pair["clean"]}, style="dusk").report
    assert figures["targeted_shift"] == {"embedded": 0.0}
    assert figures["max_change"] == 0
    assert figures["jod"] == 10


def test_a_review_is_a_picture_of_before_after_and_difference(pair: dict[str, bytes], cloaked: Result) -> None:
    result = run("review", pair, style=cloaked.report["style"])
    sheet = shown(result.parts["sheet"])
    clean, changed = shown(pair["clean"]), shown(pair["cloaked"])
    panels = [np.argwhere(matches(sheet, panel)) for panel in (clean, changed)]
    assert all(len(places) == 1 for places in panels)
    assert set(result.report) == FIGURES | CHOSEN


def matches(sheet: Samples, panel: Samples) -> Samples:
    """Where on the sheet the panel lies, as a map of its possible corners."""
    height, width = panel.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (height, width, 3))[:, :, 0]
    corners: Samples = (windows[..., 0, 0, :] == panel[0, 0]).all(-1)
    for top, left in np.argwhere(corners):
        corners[top, left] = (windows[top, left] == panel).all()
    return corners


def test_a_review_page_holds_three_pictures_and_the_measured_statement(pair: dict[str, bytes], cloaked: Result) -> None:
    result = run("review", pair, style=cloaked.report["style"], format="html")
    page = result.parts["sheet"].data.decode()
    sources = re.findall(r'<img [^>]*src="data:image/png;base64,([^"]+)"', page)
    pictures = [shown(base64.b64decode(source)) for source in sources]
    assert len(pictures) == 3
    for expected in (shown(pair["clean"]), shown(pair["cloaked"])):
        assert any((picture == expected).all() for picture in pictures)
    assert statement(result.report) in page
    for source in sources:  # whose letters may spell anything
        page = page.replace(source, "")
    assert "http" not in page, "the page must need nothing from elsewhere"


# Progress


def assert_counts_up(reporter: Recorder) -> None:
    assert len(set(reporter.totals)) == 1
    assert reporter.steps == sorted(reporter.steps)
    assert reporter.steps[0] == 0
    assert reporter.steps[-1] == reporter.totals[0]


@pytest.mark.parametrize("settings", [{}, {"style": "auto"}, {"strength": 0}], ids=str)
def test_progress_counts_up_to_its_total(picture: Image.Image, settings: dict[str, Any]) -> None:
    reporter = Recorder()
    protect(picture, reporter, **settings)
    assert_counts_up(reporter)
    assert list(dict.fromkeys(reporter.stages))[-3:] == ["cloaking", "fitting to the eye", "measuring"]


def test_previews_are_small_pictures_on_the_way(picture: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr(cloaking, "PREVIEW_SIDE", 32)
    reporter = Recorder()
    protect(picture, reporter)
    assert len(reporter.previews) == QUALITIES["preview"].iterations
    for layout, pixels in reporter.previews:
        assert layout == RasterFormat(32, 32, "RGB", "u8")
        assert len(pixels) == layout.size
    assert len({pixels for _, pixels in reporter.previews}) > QUALITIES["preview"].iterations // 2


@pytest.mark.parametrize("call", [1, 2, 8, 20])
def test_a_job_can_be_cancelled_at_any_step(picture: Image.Image, call: int) -> None:
    reporter = Recorder(stop_at=call)
    with pytest.raises(Cancelled):
        protect(picture, reporter)
    assert len(reporter.steps) == call


def test_a_paused_job_is_taken_up_again_and_gives_the_same_bytes(
    picture: Image.Image, cloaked: Result, tmp_path: Path
) -> None:
    inputs = {"picture": as_input(picture)}
    settings = {**QUICK, "style": "auto"}
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Paused):
        tasks.run("protect", inputs, settings, Recorder(stop_at=6, reason=Paused()), checkpoint)
    assert checkpoint.exists()
    result = tasks.run("protect", inputs, settings, Recorder(), checkpoint)
    assert result.parts["result"] == cloaked.parts["result"]


def test_a_report_says_what_computed_it_and_what_was_given_up(cloaked: Result) -> None:
    assert cloaked.report["device"] == tasks.abilities()["device"]
    assert cloaked.report["notes"] == []


def test_memory_that_runs_out_outside_the_networks_is_said_too(
    picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aim, "transfer", lambda *_: torch.empty(1 << 50))  # no machine has as much
    with refusal("memory", GlazeError):
        protect(picture)


def test_a_device_that_cannot_be_used_fails_the_job_and_not_the_worker(
    picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLAZE_DEVICE", "cuda:99")
    assert "cuda:99" in tasks.abilities()["device"]
    with refusal("device"):
        protect(picture)


def test_this_machines_abilities_are_told() -> None:
    abilities = tasks.abilities()
    assert abilities["device"] == str(device.choose())
    assert "embedded" in stock.available()


def test_a_budget_that_holds_no_cloak_is_said_instead_of_success(picture: Image.Image) -> None:
    with refusal("no_room"):
        protect(picture, strength=0.01)


def test_a_file_that_cannot_be_written_is_refused_before_any_work(picture: Image.Image) -> None:
    author = Image.Exif()
    author[0x8298] = "Ann " * 20_000
    reporter = Recorder()
    with refusal("format"):
        protect(file_bytes(picture, exif=author.tobytes()), reporter, format="jpeg")
    assert reporter.stages == ["writing a trial"]


@pytest.mark.parametrize(("format", "options"), [("WEBP", {"quality": 80}), ("JXL", {"distance": 1.0})])
def test_flat_art_that_is_packed_with_loss_stays_so_and_small(format: str, options: dict[str, float]) -> None:
    """Thin lines of strong colours move farther than a cloak may whenever the file is saved."""
    drawing = Image.new("RGB", (96, 96), (250, 250, 240))
    draw = ImageDraw.Draw(drawing)
    for number in range(0, 96, 6):
        draw.line((number, 0, 95 - number, 95), (220, 0, 60) if number % 4 else (0, 40, 230))
    data = packed(drawing, format, options)
    given = Source.read(Input(data)).pages[0].samples
    again = Source.read(Input(packed(Image.fromarray(given), format, options))).pages[0].samples
    assert np.abs(again.astype(int) - given).max() > 255 * Budget().max_change
    result = protect(data)
    found, written = result.report, Source.read(Input(result.parts["result"].data))
    assert found["targeted_shift"]["embedded"] > 0.02 and found["growth"] < GROWTH
    assert written.file and written.file.lossy
    (note,) = (
        note for note in found["notes"] if note.startswith("Saving this lossy file again moves samples by up to")
    )
    moved, alone = np.abs(written.pages[0].samples.astype(int) - given).max(), int(re.findall(r"(\d+) of 255", note)[0])
    assert 255 * Budget().max_change < alone and moved <= alone + 255 * Budget().max_change + 1e-6
    assert found["max_change"] == pytest.approx(moved / 255)

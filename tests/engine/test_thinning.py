"""Files of flat art stay small: a coarser grain, and the cloak only where it does most."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps
from torch import Tensor

from glaze_server.engine import fitting, tasks, thinning
from glaze_server.engine import page as pages
from glaze_server.engine.cloak import WHITE, Objective
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.formats import vips
from glaze_server.engine.grain import GRAINS, Grain
from glaze_server.engine.layer import Course, Layer
from glaze_server.engine.measure import targeted_shift
from glaze_server.engine.page import Page
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import to_8bit
from glaze_server.engine.progress import Paused
from glaze_server.engine.renditions import Rendition
from glaze_server.engine.source import Input
from glaze_server.engine.tasks import Result
from glaze_server.engine.thinning import GROWTH, thinned, worth
from tests.conftest import file_bytes
from tests.engine.conftest import Piece, Recorder, refusal, waves

NOTE = "So that the file grows less, the cloak has a coarser grain, which takes some of its effect."


def protect(data: bytes, reporter: Recorder | None = None, at: Path | None = None, **settings: Any) -> Result:
    chosen = {"quality": "preview", "style": "dusk", **settings}
    return tasks.run("protect", {"picture": Input(data)}, chosen, reporter or Recorder(), at)


def shift(result: Result) -> float:
    return float(result.report["targeted_shift"]["embedded"])


def samples(data: bytes) -> np.ndarray[Any, np.dtype[Any]]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).astype(int)


# Where δ does most


@pytest.fixture
def course(embedded: Encoder) -> Course:
    picture = Picture(np.asarray(to_8bit(waves(64, 80))), "RGB")
    return Course(Page(picture), waves(64, 80, phase=2.0), [embedded], Compute())


@pytest.fixture
def layer(course: Course) -> Layer:
    """One step towards the target, of a few levels."""
    subject = course.page.subject(course.target, GRAINS[1])
    _, slope = Objective(subject, course.judges, course.compute).gradient(0 * subject.colour, Rendition(), WHITE)
    return Layer(course.page, -0.4 * slope.sign() * subject.room, GRAINS[1])


def worths(course: Course, layer: Layer) -> Tensor:
    return worth(course, course.page.subject(course.target, layer.of), layer)


def test_what_a_cloak_does_adds_up_over_all_places(
    course: Course, layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Integrated gradients are complete: their sum is by how much the distance falls."""
    monkeypatch.setattr(thinning, "usual", lambda shorter: [Rendition()])
    monkeypatch.setattr(thinning, "POINTS", 8)
    fine = Layer(layer.page, layer.small)
    (moved,) = targeted_shift(course.judges[0], course.page.small, course.target, course.page.small + fine.small)
    assert float(worths(course, fine).sum()) / 8 == pytest.approx(moved, rel=0.1)
    assert moved > 0.05


def test_the_worthy_half_does_more_than_any_other(course: Course, layer: Layer) -> None:
    values = worths(course, layer)
    best = values >= values.median()
    dice = torch.rand(best.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    parts = [replace(layer, small=layer.small * mask).changed for mask in (best, dice, ~best)]
    most, random, least = course.shifts(*parts)
    assert most > 0.05
    assert most > 1.5 * max(random, least)


@pytest.mark.parametrize("bend", [0.6, 1.0, 3.0])
def test_as_much_is_kept_as_the_file_holds(bend: float, course: Course, layer: Layer) -> None:
    """However the size depends on what is kept."""
    clean = course.page.picture.samples
    sizes: list[float] = []

    def growth(changed: Picture) -> float:
        sizes.append(1 + 4 * float((changed.samples != clean).any(2).mean()) ** bend)
        return sizes[-1]

    found = thinned(course, layer, growth)
    assert found is not None
    assert len(sizes) <= 1 + thinning.TRIALS
    assert 0.85 * GROWTH < growth(found.changed) < GROWTH


def test_all_is_kept_where_it_fits_and_none_where_hardly_any_would(course: Course, layer: Layer) -> None:
    assert thinned(course, layer, lambda changed: GROWTH - 0.01) is layer
    assert thinned(course, layer, lambda changed: 50.0) is None


# Files


def tiff(*arrays: np.ndarray[Any, np.dtype[Any]], compression: str = "zlib") -> bytes:
    data = io.BytesIO()
    with tifffile.TiffWriter(data) as writer:
        for array in arrays:
            writer.write(array, photometric="rgb", compression=compression, predictor=compression == "zlib")
    return data.getvalue()


def cels(width: int = 96, height: int = 80) -> Image.Image:
    """Three flat colours, which pack into very little."""
    image = Image.new("RGB", (96, 80), (152, 204, 236))
    image.paste((120, 176, 92), (0, 50, 96, 80))
    image.paste((66, 84, 160), (30, 10, 60, 70))
    return image.rotate(20, Image.Resampling.BICUBIC, fillcolor=(240, 230, 210)).resize((width, height))


def kinds(drawing: Image.Image) -> dict[str, bytes]:
    clear = drawing.convert("RGBA")
    clear.paste((9, 9, 9, 0), (0, 0, 30, 30))
    return {
        "png": file_bytes(drawing, optimize=True),
        "transparent": file_bytes(clear, optimize=True),
        "pages": tiff(np.asarray(drawing), np.asarray(drawing)[::-1]),
        "webp": file_bytes(drawing, "WEBP", lossless=True),
        "lzw": tiff(np.asarray(drawing), compression="lzw"),
        "16 bits": tiff(np.asarray(drawing).astype(np.uint16) * 257),
        "cels": file_bytes(cels(), optimize=True),
        "cels, webp": file_bytes(cels(), "WEBP", lossless=True),
    }


@pytest.mark.parametrize("kind", ["png", "transparent", "pages", "webp", "lzw", "16 bits", "cels", "cels, webp"])
def test_a_lossless_file_of_flat_art_stays_small_enough(kind: str, drawing: Image.Image) -> None:
    data = kinds(drawing)[kind]
    result = protect(data)
    assert result.report["growth"] == round(len(result.parts["result"].data) / len(data), 3)
    assert 1 < result.report["growth"] < GROWTH
    assert NOTE in result.report["notes"]
    finest = protect(data, any_size=True)
    grown = finest.report["growth"]
    assert grown > GROWTH
    assert finest.report["notes"] == [f"The file is {grown:.1f} times as large as before."]
    assert shift(result) > 0.4 * shift(finest) > 0.02


@pytest.mark.parametrize("kind", ["palette", "1 bit"])
def test_what_has_too_few_levels_is_compared_with_itself_in_8_bits(kind: str, drawing: Image.Image) -> None:
    few = drawing.quantize(16) if kind == "palette" else drawing.convert("1")
    wide = few.convert("RGB" if kind == "palette" else "L")
    data, alone = (
        file_bytes(few, optimize=True),
        len(vips.packed(np.atleast_3d(np.asarray(wide)), "png", compression=9, filter="all")),
    )
    found = protect(data)
    assert shift(found) > 0.02
    assert len(found.parts["result"].data) < 1.05 * GROWTH * alone
    grown = found.report["growth"]
    assert grown == round(len(found.parts["result"].data) / len(data), 3)
    told = f"The file is {grown:.1f} times as large as before, its 8 bits a channel included."
    assert (told in found.report["notes"]) == (grown > GROWTH)
    assert len(protect(data, any_size=True).parts["result"].data) > 1.1 * GROWTH * alone


@pytest.mark.parametrize(("format", "options"), [("JPEG", {"quality": 60}), ("WEBP", {"quality": 80}), ("PNG", {})])
def test_what_is_declared_in_a_small_file_costs_no_cloak(format: str, options: dict[str, Any], piece: Piece) -> None:
    data = file_bytes(piece(32, 32), format, **options)
    silent, declared = (protect(data, no_mining=no_mining) for no_mining in (False, True))
    assert declared.report["growth"] > silent.report["growth"] + 0.1
    assert (samples(declared.parts["result"].data) == samples(silent.parts["result"].data)).all()
    told = f"The file is {declared.report['growth']:.1f} times as large as before, what it declares included."
    assert (told in declared.report["notes"]) == (declared.report["growth"] > GROWTH)


def test_a_result_says_what_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_bytes(cels(), optimize=True)
    monkeypatch.setattr(thinning, "GROWTH", 1.3)
    found = protect(data)
    (said,) = (note for note in found.report["notes"] if "given up" in note)
    monkeypatch.setattr(thinning, "GROWTH", 1e9)
    given_up = 1 - shift(found) / shift(protect(data))
    assert given_up > 0.02
    assert f"{given_up:.0%} of its effect was given up" in said


def test_a_picture_that_packs_into_nothing_is_refused_unless_its_file_may_grow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    down = np.linspace(0, 1, 128)[:, None, None] * np.array([188, 90, -38]) + np.array([62, 106, 178])
    sky = Image.fromarray(np.rint(np.broadcast_to(down, (128, 128, 3))).astype(np.uint8))
    data = file_bytes(sky, optimize=True)
    reporter = Recorder()
    with refusal("file_size"):
        protect(data, reporter)
    assert set(reporter.stages) == {"writing a trial"}, "before any work"
    monkeypatch.setattr(fitting, "HOPELESS", 1e9)
    with refusal("file_size"):
        protect(data, reporter)
    assert reporter.stages[-1] == "keeping the file small", "when hardly any of the cloak would fit"
    assert protect(data, any_size=True).report["growth"] > 3
    assert protect(data, format="tiff").report["growth"] is None


def test_a_large_picture_keeps_the_squares_of_its_cloak(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloak that was made smaller is not smoothed where it is enlarged, which would pack badly."""
    monkeypatch.setattr(pages, "TRAINED", 96 * 80)
    large = cels(288, 240)
    found = protect(file_bytes(large, optimize=True))
    assert found.report["trained"] == [96, 80]
    assert found.report["growth"] < GROWTH
    page = Page(Picture(np.asarray(large), "RGB"))
    of = Grain(True, 2)
    small = 4 / 255 * torch.randint(-1, 2, (1, 3, 80, 96), generator=torch.Generator().manual_seed(3)).float()
    delta = Layer(page, small, of).at((slice(0, 240), slice(0, 288)))
    assert torch.equal(delta, delta[..., 1::3, 1::3].repeat_interleave(3, -1).repeat_interleave(3, -2))


def test_what_packs_badly_anyway_loses_nothing(piece: Piece, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paintings, lossy files and those of another format get the finest grain."""
    assert NOTE not in protect(file_bytes(piece(64, 64))).report["notes"]
    monkeypatch.setattr(fitting, "GROWTH", 1e-9)
    flat = ImageOps.posterize(piece(64, 64), 2)
    for data, format in ((file_bytes(flat, "JPEG"), ""), (file_bytes(flat), "tiff")):
        assert NOTE not in protect(data, format=format).report["notes"]
    assert NOTE in protect(file_bytes(flat)).report["notes"]


@pytest.mark.parametrize("call", [5, 9])
def test_a_coarse_cloak_that_was_paused_or_killed_has_the_same_bytes(
    call: int, drawing: Image.Image, tmp_path: Path
) -> None:
    data = file_bytes(drawing, optimize=True)
    whole = protect(data).parts["result"].data
    with pytest.raises(Paused):
        protect(data, Recorder(stop_at=call, reason=Paused()), tmp_path / "checkpoint")
    assert protect(data, at=tmp_path / "checkpoint").parts["result"].data == whole


def test_a_coarse_cloak_keeps_within_a_soft_mask(drawing: Image.Image) -> None:
    mask = Image.linear_gradient("L").resize(drawing.size).point(lambda value: min(255, 2 * value))
    inputs = {"picture": Input(file_bytes(drawing, optimize=True)), "mask": Input(file_bytes(mask))}
    chosen = {"quality": "preview", "style": "dusk"}
    result = tasks.run("protect", inputs, chosen, Recorder())
    assert NOTE in result.report["notes"]
    change = np.abs(samples(result.parts["result"].data) - np.asarray(drawing)).max(2)
    assert change.any() and (change <= 16 * (np.asarray(mask) / 255) + 0.51).all()

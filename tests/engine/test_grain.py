"""The grain of a cloak: what shares δ, which levels it takes, and files that stay small."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageFilter, ImageOps

from glaze_server.engine import fitting, grain, tasks
from glaze_server.engine.budget import Budget
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.grain import COARSE, EVERYWHERE, FINE, GRAINS, IN_FLAT_AREAS, LEVEL, Grain
from glaze_server.engine.jnd import room
from glaze_server.engine.page import Page
from glaze_server.engine.picture import Picture
from glaze_server.engine.progress import Paused
from glaze_server.engine.settings import Quality
from glaze_server.engine.source import Input
from glaze_server.engine.tasks import Result
from tests.conftest import file_bytes
from tests.engine.conftest import Piece, Recorder, nothing, waves

NOTE = "So that the file grows less, the cloak has a coarser grain, which takes some of its effect."


@pytest.fixture
def drawing(piece: Piece) -> Image.Image:
    """Flat colours with soft edges."""
    posters = ImageOps.posterize(piece(192, 160), 2).filter(ImageFilter.ModeFilter(15))
    return posters.resize((96, 80), Image.Resampling.LANCZOS)


def protect(data: bytes, reporter: Recorder | None = None, at: Path | None = None, **settings: Any) -> Result:
    chosen = {"quality": "preview", "style": "dusk", **settings}
    return tasks.run("protect", {"picture": Input(data)}, chosen, reporter or Recorder(), at)


def samples(data: bytes) -> np.ndarray[Any, np.dtype[Any]]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).astype(int)


# Cells


def test_cells_are_shared_where_all_around_is_flat() -> None:
    seen = torch.full((1, 3, 9, 13), 0.5)
    seen[:, 1, :, 6] = 0.9
    shared = Grain(cells=IN_FLAT_AREAS).shared(seen)
    assert shared is not None
    assert shared[0, 0, 0].tolist() == [True] * 4 + [False] * 4 + [True] * 5
    assert (shared == shared[..., :1, :]).all()
    everywhere = Grain(cells=EVERYWHERE).shared(seen)
    assert everywhere is not None and everywhere.shape == (1, 1, 9, 13) and everywhere.all()
    assert FINE.shared(seen) is None


def test_a_cell_takes_the_mean_slope_and_the_least_room_of_what_the_cloak_reaches() -> None:
    space = torch.tensor([[0.2, 0.1, 0.3], [0.0, 0.4, 0.3], [0.5, 0.0, 0.6]])[None, None]
    slope = torch.tensor([[1.0, 2.0, 3.0], [99.0, 6.0, 5.0], [7.0, 99.0, 8.0]])[None, None]
    shared = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    torch.testing.assert_close(
        grain.least(space, shared)[0, 0], torch.tensor([[0.1, 0.1, 0.3], [0, 0.1, 0.3], [0.5, 0, 0.6]])
    )
    torch.testing.assert_close(
        grain.mean(slope, space, shared)[0, 0], torch.tensor([[3.0, 3.0, 4.0], [3.0, 3.0, 4.0], [7.0, 7.0, 8.0]])
    )
    shared[..., 1:, :] = False
    assert grain.mean(slope, space, shared)[0, 0, 1].tolist() == [99.0, 6.0, 5.0]
    assert grain.least(space, shared)[0, 0, 2].tolist() == pytest.approx([0.5, 0.0, 0.6])
    assert grain.mean(slope, space, None) is slope and grain.least(space, None) is space


@pytest.mark.parametrize("size", [(40, 48), (33, 47)])
def test_the_loop_moves_a_cell_as_one(size: tuple[int, int], embedded: Encoder) -> None:
    picture, target = waves(*size), waves(*size, phase=2.0)
    space = room(picture, None)
    shared = torch.ones_like(space, dtype=torch.bool)
    shared[..., :8, :] = False
    subject = Subject(picture, None, target, grain.least(space, shared), shared)
    delta = optimise(subject, [embedded], Quality(4, 4), Budget(), 0, nothing)
    whole = grain.spread(delta[..., ::2, ::2], delta)
    torch.testing.assert_close(delta[..., 8:, :], whole[..., 8:, :])
    assert (delta[..., :8, :] != whole[..., :8, :]).float().mean() > 0.3
    assert (delta.abs() <= space + 1e-6).all()


def test_the_best_of_a_cloak_is_where_it_does_most() -> None:
    dice = torch.Generator().manual_seed(2)
    worth = torch.rand(1, 1, 40, 50, generator=dice)
    space = torch.full_like(worth, 0.1)
    space[..., :20, :] = 0
    worth[..., :20, :] += 1
    best = grain.best(worth, space, 0.3)
    assert not best[..., :20, :].any()
    assert int(best.sum()) == pytest.approx(300, abs=2)
    assert worth[best].min() > worth[(space > 0) & ~best].max()
    assert torch.equal(grain.best(worth, space, 1.0), space > 0)


# Levels


def test_levels_are_multiples_within_the_room() -> None:
    dice = torch.Generator().manual_seed(1)
    space = torch.rand(1, 1, 50, 50, generator=dice) * 16 / 255
    space[..., :9] = 0
    delta = (2 * torch.rand(1, 3, 50, 50, generator=dice) - 1) * space
    found = grain.stepped(delta, space, LEVEL)
    assert (found.abs() <= space * 1.001).all()
    assert not found[..., :9].any()
    wide = (space >= LEVEL).expand_as(found)
    counts = found[wide] / LEVEL
    torch.testing.assert_close(counts, counts.round(), atol=1e-4, rtol=0)
    assert set(counts.round().int().tolist()) == set(range(-3, 4)) | {-4, 4} & set(counts.round().int().tolist())
    narrow = ((space > 0) & (space < LEVEL)).expand_as(found)
    assert set((found / space)[narrow].round(decimals=3).abs().tolist()) == {0.0, 1.0}
    assert (found - delta).abs().max() < LEVEL


@pytest.mark.parametrize("of", GRAINS[1:])
def test_noise_takes_what_the_grain_allows(of: Grain, drawing: Image.Image) -> None:
    found = Page(Picture(np.asarray(drawing), "RGB"), None, 0.5)
    subject = found.subject(found.small, of)
    drawn = grain.noise(subject.room, subject.shared, 3)
    assert (drawn.abs() <= subject.room).all() and drawn.abs().max() > 0.9 * subject.room.max()
    place = slice(0, 80), slice(0, 96)
    whole = fitting.Layer(found, drawn, of).at(place)
    assert len(whole[found._room(place).expand_as(whole) >= LEVEL / 2].unique()) <= 9
    half = fitting.Layer(found, drawn, of).times(0.5).at(place)
    assert len(half[found._room(place).expand_as(half) >= LEVEL / 4].unique()) <= 9
    assert (half.abs() <= whole.abs().clamp(min=LEVEL / 4) + 1e-6).all()
    if of is COARSE:
        torch.testing.assert_close(drawn, grain.spread(drawn[..., ::2, ::2], drawn))


# Files


def tiff(*pages: np.ndarray[Any, np.dtype[Any]], compression: str = "zlib") -> bytes:
    data = io.BytesIO()
    with tifffile.TiffWriter(data) as writer:
        for page in pages:
            writer.write(page, photometric="rgb", compression=compression, predictor=compression == "zlib")
    return data.getvalue()


def kinds(drawing: Image.Image) -> dict[str, bytes]:
    clear = drawing.convert("RGBA")
    clear.paste((9, 9, 9, 0), (0, 0, 30, 30))
    return {
        "png": file_bytes(drawing, optimize=True),
        "transparent": file_bytes(clear, optimize=True),
        "pages": tiff(np.asarray(drawing), np.asarray(drawing)[::-1]),
        "webp": file_bytes(drawing, "WEBP", lossless=True),
        "16 bits": tiff(np.asarray(drawing).astype(np.uint16) * 257),
    }


@pytest.mark.parametrize("kind", ["png", "transparent", "pages", "webp", "16 bits"])
def test_a_lossless_file_of_flat_art_stays_small_enough(
    kind: str, drawing: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = kinds(drawing)[kind]
    result = protect(data)
    assert result.report["growth"] == round(len(result.parts["result"].data) / len(data), 3)
    assert result.report["growth"] < fitting.GROWTH
    assert NOTE in result.report["notes"]
    monkeypatch.setattr(fitting, "GRAINS", (FINE,))
    finest = protect(data)
    assert finest.report["growth"] > fitting.GROWTH
    assert NOTE not in finest.report["notes"]
    shifts = [one.report["targeted_shift"]["embedded"] for one in (result, finest)]
    assert shifts[0] > 0.4 * shifts[1] > 0.02


@pytest.mark.parametrize("kind", ["webp", "lzw", "pages"])
def test_where_no_grain_is_enough_a_cloak_stays_only_where_it_does_most(
    kind: str, piece: Piece, monkeypatch: pytest.MonkeyPatch
) -> None:
    flatter = ImageOps.posterize(piece(192, 160), 1).filter(ImageFilter.ModeFilter(15))
    picture = flatter.resize((96, 80), Image.Resampling.LANCZOS)
    pages = [np.asarray(picture), *([np.asarray(picture)[:, ::-1]] if kind == "pages" else [])]
    data = file_bytes(picture, "WEBP", lossless=True) if kind == "webp" else tiff(*pages, compression="lzw")
    found = protect(data)
    assert found.report["growth"] == round(len(found.parts["result"].data) / len(data), 3)
    assert 0.9 * fitting.GROWTH < found.report["growth"] < fitting.GROWTH
    monkeypatch.setattr(fitting, "MOST_GIVEN_UP", -1)
    whole = protect(data)
    assert whole.report["growth"] > fitting.GROWTH and not any("given up" in note for note in whole.report["notes"])
    shifts = [one.report["targeted_shift"]["embedded"] for one in (found, whole)]
    assert 0.5 * shifts[1] < shifts[0] < shifts[1]
    given_up = f"{1 - shifts[0] / shifts[1]:.0%} of the cloak's effect was given up"
    assert kind == "pages" or any(given_up in note for note in found.report["notes"])
    changed = [(samples(one.parts["result"].data) != np.asarray(picture)).any(2) for one in (found, whole)]
    assert 0.3 < changed[0].mean() < 0.9 * changed[1].mean()


def test_a_file_that_stays_too_large_is_told_of_and_still_grows_less(monkeypatch: pytest.MonkeyPatch) -> None:
    cels = Image.new("RGB", (96, 80), (152, 204, 236))
    cels.paste((120, 176, 92), (0, 50, 96, 80))
    cels.paste((66, 84, 160), (30, 10, 60, 70))
    data = file_bytes(cels, optimize=True)
    found = protect(data).report
    assert any(note == f"The file is {found['growth']:.1f} times as large as before." for note in found["notes"])
    monkeypatch.setattr(fitting, "GRAINS", (FINE,))
    finest = protect(data).report
    assert fitting.GROWTH < found["growth"] < 0.7 * finest["growth"]
    assert found["targeted_shift"]["embedded"] > 0.7 * finest["targeted_shift"]["embedded"]


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

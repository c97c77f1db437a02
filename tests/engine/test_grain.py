"""The grain of a cloak: what shares δ, and which levels it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from glaze_server.engine import grain
from glaze_server.engine.budget import Budget
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.grain import FINE, GRAINS, LEVEL, Cells, Grain
from glaze_server.engine.jnd import room
from glaze_server.engine.layer import Layer
from glaze_server.engine.page import Page
from glaze_server.engine.picture import Picture
from glaze_server.engine.settings import Quality
from tests.engine.conftest import nothing, waves

# Cells


def test_cells_are_shared_where_all_around_is_flat() -> None:
    seen = torch.full((1, 3, 9, 13), 0.5)
    seen[:, 1, :, 6] = 0.9
    cells = Grain(cell=2, in_flat=True).cells(seen)
    assert cells is not None
    assert cells.where[0, 0, 0].tolist() == [True] * 4 + [False] * 4 + [True] * 5
    assert (cells.where == cells.where[..., :1, :]).all()
    everywhere = Grain(cell=3).cells(seen)
    assert everywhere is not None and everywhere.where.shape == (1, 1, 9, 13) and everywhere.where.all()
    assert FINE.cells(seen) is None


def test_a_cell_takes_the_mean_slope_and_the_least_room_of_what_the_cloak_reaches() -> None:
    space = torch.tensor([[0.2, 0.1, 0.3], [0.0, 0.4, 0.3], [0.5, 0.0, 0.6]])[None, None]
    slope = torch.tensor([[1.0, 2.0, 3.0], [99.0, 6.0, 5.0], [7.0, 99.0, 8.0]])[None, None]
    where = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    cells = Cells(2, where)
    torch.testing.assert_close(cells.least(space)[0, 0], torch.tensor([[0.1, 0.1, 0.3], [0, 0.1, 0.3], [0.5, 0, 0.6]]))
    torch.testing.assert_close(
        cells.mean(slope, space)[0, 0], torch.tensor([[3.0, 3.0, 4.0], [3.0, 3.0, 4.0], [7.0, 7.0, 8.0]])
    )
    where[..., 1:, :] = False
    assert cells.mean(slope, space)[0, 0, 1].tolist() == [99.0, 6.0, 5.0]
    assert cells.least(space)[0, 0, 2].tolist() == pytest.approx([0.5, 0.0, 0.6])


@pytest.mark.parametrize("side", [2, 3])
@pytest.mark.parametrize("size", [(40, 48), (33, 47)])
def test_the_loop_moves_a_cell_as_one(size: tuple[int, int], side: int, embedded: Encoder) -> None:
    picture, target = waves(*size), waves(*size, phase=2.0)
    space = room(picture, None)
    cells = Cells(side, torch.ones_like(space, dtype=torch.bool))
    cells.where[..., :12, :] = False
    subject = Subject(picture, None, target, cells.least(space), cells)
    delta = optimise(subject, [embedded], Quality(4, 4), Budget(), 0, nothing)
    whole = grain.spread(delta[..., ::side, ::side], side, delta)
    torch.testing.assert_close(delta[..., 12:, :], whole[..., 12:, :])
    assert (delta[..., :12, :] != whole[..., :12, :]).float().mean() > 0.3
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
    drawn = grain.noise(subject.room, subject.cells, 3)
    assert (drawn.abs() <= subject.room).all() and drawn.abs().max() > 0.9 * subject.room.max()
    place = slice(0, 80), slice(0, 96)
    whole = Layer(found, drawn, of).at(place)
    assert len(whole[found._room(place).expand_as(whole) >= LEVEL / 2].unique()) <= 9
    half = Layer(found, drawn, of).times(0.5).at(place)
    assert len(half[found._room(place).expand_as(half) >= LEVEL / 4].unique()) <= 9
    assert (half.abs() <= whole.abs().clamp(min=LEVEL / 4) + 1e-6).all()
    if of.cell > 1 and not of.in_flat:
        torch.testing.assert_close(drawn, grain.spread(drawn[..., :: of.cell, :: of.cell], of.cell, drawn))

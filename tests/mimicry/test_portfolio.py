"""An artist's pictures: sizes, shares, and what cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from glaze_server.mimicry import portfolio
from tests.engine.conftest import nothing, refusal, waves


def test_pictures_of_every_size_become_squares(pictures: Tensor) -> None:
    assert pictures.shape == (5, 3, 64, 64)
    assert torch.allclose(pictures * 255, (pictures * 255).round(), atol=1e-4)
    wide = waves(64, 100)
    assert torch.allclose(portfolio.square(wide, 64), wide[..., 18:82], atol=0.5 / 255 + 1e-6)
    assert portfolio.square(waves(20, 30), 64).shape == (1, 3, 64, 64)


def test_held_out_pictures_are_not_trained_on(pictures: Tensor) -> None:
    for seed in range(5):
        own = portfolio.split(pictures, seed)
        assert (len(own.training), len(own.held_out)) == (3, 2)
        together = torch.cat([own.training, own.held_out])
        assert sorted(float(one.sum()) for one in together) == sorted(float(one.sum()) for one in pictures)


def test_parts_of_a_work_are_held_out_together() -> None:
    parts = torch.stack([torch.full((3, 64, 64), number / 24) for number in range(24)])
    works = [f"work {number // 4}" for number in range(24)]
    drawn = set()
    for seed in range(8):
        own = portfolio.split(parts, seed, works)
        held, trained = ({round(float(one.mean()) * 24) // 4 for one in side} for side in (own.held_out, own.training))
        assert len(held) == 2 and held | trained == set(range(6)) and not held & trained
        drawn.add(tuple(sorted(held)))
    assert len(drawn) > 3
    alone = portfolio.split(parts, 3, ["one"] * 24)
    assert torch.equal(alone.held_out, portfolio.split(parts, 3).held_out) and len(alone.held_out) == 6


def test_a_large_work_leaves_something_to_learn_from() -> None:
    parts = torch.stack([torch.full((3, 64, 64), number / 24) for number in range(10)])
    for seed in range(8):
        own = portfolio.split(parts, seed, ["a"] * 7 + ["b", "c", "d"])
        assert len(own.held_out) >= 2 and len(own.training) >= 1


def test_files_that_differ_in_a_last_number_hold_one_work() -> None:
    names = ("sea-1.png", "sea-12.jpg", "sea.png", "IMG_0001.png", "cat 2.png", "12.png")
    assert [portfolio.work(Path("a", name)) for name in names] == ["sea", "sea", "sea", "IMG_0001", "cat 2", "12"]


def test_shares_that_come_to_as_many_pictures_are_tried_once() -> None:
    assert portfolio.distinct((100, 75, 50, 25), 18) == (25, 50, 75, 100)
    assert portfolio.distinct((100, 75, 50, 25), 4) == (25, 50, 75, 100)
    assert portfolio.distinct((100, 75, 50, 25), 2) == (50, 100)
    assert [portfolio.many(18, share) for share in (25, 50, 75, 100)] == [4, 9, 14, 18]


def test_a_share_is_drawn_by_seed_and_holds_the_smaller_ones() -> None:
    drawn = [set(portfolio.cloaked(12, share, 3)) for share in (25, 50, 75, 100)]
    assert [len(one) for one in drawn] == [3, 6, 9, 12]
    assert drawn[0] < drawn[1] < drawn[2] < drawn[3]
    assert len({tuple(portfolio.cloaked(12, 50, seed)) for seed in range(5)}) > 1


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_than_four_pictures_are_refused(pictures: Tensor, count: int) -> None:
    with refusal("few_pictures"):
        portfolio.split(pictures[:count], 0)


def test_a_corrupt_picture_is_named(works: Path) -> None:
    torn = works / "torn.png"
    torn.write_bytes((works / "1.png").read_bytes()[:300])
    with refusal("damaged") as caught:
        portfolio.read([torn], 64, nothing)
    assert "torn.png" in caught.value.sentence

"""A transform that remembers gives what it would have given, and is asked once for each picture."""

from __future__ import annotations

from torch import Tensor

from bench.cloakbench.remembered import KEPT, Remembered
from tests.engine.conftest import waves


def test_it_is_asked_once_for_each_picture_as_long_as_it_is_remembered() -> None:
    asked: list[Tensor] = []

    def darker(x: Tensor) -> Tensor:
        asked.append(x)
        return x / 2

    remembered = Remembered(darker)
    first = waves(16, 24)
    for _ in range(2):
        assert remembered(first.clone()).equal(first / 2)
    assert remembered(first[..., :16]).equal(first[..., :16] / 2)
    assert len(asked) == 2
    for level in range(KEPT):
        remembered(first + level / 100)
    assert len(asked) == 1 + KEPT  # the first of them was still known
    remembered(first[..., :16])
    assert len(asked) == 2 + KEPT

"""Blocks of a large page leave no seam, on the picture where one would be seen first."""

from __future__ import annotations

import pytest

from bench import tiles
from glaze_server.engine import page


@pytest.mark.usefixtures("home")
def test_the_cloak_is_as_strong_at_the_borders_of_blocks_as_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "BLOCK", page.BLOCK)
    assert tiles.seams(224, 448, 128) <= tiles.MOST

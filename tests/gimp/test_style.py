"""The target style that is kept for the artist, in the dialog of the real GIMP, with the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from glaze_server.engine import artist
from glaze_server.engine.artist import FIRST, SET, Artist
from glaze_server.engine.styles import STYLES
from tests.gimp.conftest import Gimp
from tests.gimp.glazing import prepare, until

DIALOG = "Glaze layer"
SECONDS = 60
"""A change waits for the engine, which may be starting."""


@pytest.fixture(scope="module")
def screen() -> bool:
    return True


@pytest.fixture(scope="module")
def engine() -> str:
    return "glaze_server.engine.tasks"


@pytest.fixture(autouse=True)
def nothing_kept(glaze_home: Path) -> Iterator[None]:
    """Before and after a test."""
    artist.forget()
    yield
    artist.forget()


@pytest.fixture
def dialog(gimp: Gimp) -> str:
    """The dialog over an image; its window."""
    prepare(gimp)
    gimp.run("show()")
    gimp.key(gimp.image_window(), "ctrl+shift+alt+g")
    return gimp.window(DIALOG)


def press(gimp: Gimp, dialog: str, key: str, kept: Artist | None) -> None:
    """Press a key in the list of styles, as soon as that can be chosen from, until this is what is kept."""

    def happened() -> bool:
        if artist.known() != kept:
            gimp.key(dialog, "alt+y", key)
        return artist.known() == kept

    until(happened, SECONDS)


def test_it_is_changed_and_forgotten(gimp: Gimp, dialog: str) -> None:
    gimp.shot("style-none")
    press(gimp, dialog, "End", Artist(STYLES[-1], SET))
    gimp.shot("style-chosen")
    press(gimp, dialog, "Home", None)
    gimp.shot("style-forgotten")
    gimp.key(dialog, "Escape")
    gimp.gone(DIALOG)


def test_the_first_picture_chooses_it(gimp: Gimp, dialog: str) -> None:
    gimp.key(dialog, "alt+n", "Home", "alt+q", "Home", "alt+g")
    gimp.window(f"{DIALOG} – finished", SECONDS)
    kept = artist.known()
    assert kept and kept.chosen == FIRST
    gimp.key(dialog, "alt+r")
    until(lambda: DIALOG in gimp.windows())
    gimp.shot("style-first")
    gimp.key(dialog, "Escape")
    gimp.gone(DIALOG)

"""The target style that is kept for the artist, in the docker of the real Krita, with the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from glaze_server.engine import artist
from glaze_server.engine.artist import FIRST, SET, Artist
from glaze_server.engine.styles import STYLES
from tests.krita.glazing import prepare, says, shown
from tests.krita.harness.app import Krita

STYLE = "widget('glaze_style')"


@pytest.fixture(autouse=True)
def nothing_kept(glaze_home: Path) -> Iterator[None]:
    """Before and after a test."""
    artist.forget()
    yield
    artist.forget()


def choose(krita: Krita, start: str) -> None:
    """Pick from the list the entry that begins so."""
    krita.click("glaze_style")
    krita.until(f"{STYLE}.view().isVisible()")
    krita.screen.type(start)
    krita.screen.key("Return")


def shows(krita: Krita, kept: str, hint: str) -> None:
    """Wait until the docker shows that this style is kept."""
    krita.until(f"{STYLE}.currentData() == kept and hint in {STYLE}.toolTip()", kept=kept, hint=hint)


def test_it_is_shown_changed_and_forgotten(krita: Krita) -> None:
    prepare(krita)
    krita.until(f"{STYLE}.count() == count", count=1 + len(STYLES))
    shows(krita, "", "None is kept yet.")
    krita.shot("style-none")
    choose(krita, "etch")
    says(krita, "From now on your pictures are drawn towards “etching”.", 60)
    shows(krita, "etching", "You chose it.")
    assert artist.known() == Artist("etching", SET)
    krita.shot("style-chosen")
    choose(krita, "the next")
    says(krita, "the next picture chooses one")
    shows(krita, "", "None is kept yet.")
    assert artist.known() is None


def test_the_first_picture_chooses_it_and_what_another_program_keeps_is_shown(krita: Krita) -> None:
    prepare(krita)
    shows(krita, "", "None is kept yet.")
    krita.click("glaze_layer_button")
    shown(krita, "glaze_keep")
    krita.click("glaze_keep")
    shown(krita, "glaze_style")
    kept = artist.known()
    assert kept and kept.chosen == FIRST
    shows(krita, kept.style, "Your first picture chose it.")
    artist.keep(Artist("weave", SET))
    shows(krita, "weave", "You chose it.")


def test_the_wheel_that_moves_the_docker_changes_nothing(krita: Krita) -> None:
    artist.keep(Artist("weave", SET))
    prepare(krita)
    shows(krita, "weave", "You chose it.")
    krita.screen.wheel(krita.place("glaze_style"))
    krita.drag_slider("glaze_strength", 50)  # which Krita hears of after the wheel
    krita.until("widget('glaze_strength').value() < 70")
    assert krita.run(f"{STYLE}.currentData()") == "weave"
    assert artist.known() == Artist("weave", SET)

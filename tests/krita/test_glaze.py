"""Glaze layer as an artist uses it: in the real Krita, with the real engine."""

from __future__ import annotations

from tests.krita.glazing import BOX, GLAZED, history, names, prepare, says, shown
from tests.krita.harness.app import Krita


def test_the_whole_way(krita: Krita) -> None:
    before = prepare(krita)
    krita.shot("idle")
    krita.key("ctrl+alt+shift+g")
    shown(krita, "glaze_progress")
    krita.until("widget('glaze_progress').maximum() > 1 and 'left' in widget('glaze_state').text()", 60)
    shown(krita, "glaze_preview")
    krita.shot("running")
    shown(krita, "glaze_hold")
    krita.shot("review")
    assert history(krita) == ["Background: for review"]

    assert names(krita) == ["Background", GLAZED]
    assert krita.pixels("Background", BOX) == before
    cloaked = krita.pixels(GLAZED, BOX)
    assert cloaked != before
    assert cloaked[3::4] == before[3::4]

    assert krita.projection(BOX) == cloaked
    with krita.hold("glaze_hold"):
        krita.until("bytes(active().pixelData(*box)) == before", box=BOX, before=before)
        krita.shot("before")
    krita.until("bytes(active().pixelData(*box)) == cloaked", cloaked=cloaked)
    krita.click("glaze_before")
    krita.until("bytes(active().pixelData(*box)) == before")
    krita.click("glaze_before")
    krita.until("bytes(active().pixelData(*box)) == cloaked")

    whole = krita.run("widget('glaze_figures').text()")
    assert whole.startswith("At 100 % opacity: shift ") and "\nAgainst “embedded” the picture moved " in whole
    assert "LightShed" in whole
    krita.drag_slider("glaze_opacity", 50)
    krita.until("abs(node(name).opacity() - 128) < 6", name=GLAZED)
    half, said, *_ = krita.run("widget('glaze_figures').text()").splitlines()
    assert half.startswith("At 50 % opacity: ") and said == f"At 100 % opacity: {whole.splitlines()[1]}"
    assert krita.projection(BOX) not in (before, cloaked)

    krita.click("glaze_difference")
    shown(krita, "glaze_difference_window")
    krita.shot("difference")
    krita.run("widget('glaze_difference_window').close()")

    krita.click("glaze_keep")
    says(krita, "Kept.")
    shown(krita, "glaze_layer_button")
    assert history(krita) == ["Background: kept"]
    assert names(krita) == ["Background", GLAZED]

    krita.click("glaze_layer_button")
    shown(krita, "glaze_progress")
    shown(krita, "glaze_discard")
    assert names(krita) == ["Background", GLAZED, GLAZED]
    krita.click("glaze_discard")
    says(krita, "Discarded.")
    assert names(krita) == ["Background", GLAZED]
    krita.shot("kept")
    assert history(krita) == ["Background: discarded", "Background: kept"]
    krita.key("ctrl+z")
    krita.until("len(active().topLevelNodes()) == 3")
    says(krita, "is back")
    shown(krita, "glaze_keep")


def test_one_undo_takes_the_cloak_away_and_redo_brings_it_back(krita: Krita) -> None:
    before = prepare(krita)
    krita.menu("Tools", "Scripts", "Glaze layer")
    shown(krita, "glaze_keep")
    cloaked = krita.pixels(GLAZED, BOX)
    krita.key("ctrl+z")
    krita.until("len(active().topLevelNodes()) == 1")
    says(krita, "taken out")
    assert krita.pixels("Background", BOX) == before
    krita.key("ctrl+shift+z")
    krita.until("len(active().topLevelNodes()) == 2")
    shown(krita, "glaze_keep")
    assert krita.pixels(GLAZED, BOX) == cloaked
    assert krita.projection(BOX) == cloaked

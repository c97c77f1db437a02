"""Every kind of layer, by the docker, with an engine that takes no time."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from tests.krita.glazing import (
    BOX,
    GLAZED,
    LAYOUT,
    SHOWN,
    SIDE,
    act,
    history,
    names,
    picture,
    prepare,
    says,
    shown,
    visible,
)
from tests.krita.harness.app import Krita
from tests.krita.pixel_tasks import flipped


@pytest.fixture(scope="module")
def engine() -> str:
    return "tests.krita.pixel_tasks"


def choose(krita: Krita, layer: str) -> None:
    """Make a layer the active one, as soon as Krita shows it."""
    krita.until("active().setActiveNode(node(name)) or active().activeNode().name() == name", name=layer)


def glaze(krita: Krita) -> None:
    """Cloak the active layer and wait for the review."""
    act(krita, "glaze_layer")
    shown(krita, "glaze_keep")


@pytest.mark.parametrize(
    ("model", "depth", "format"),
    [("RGBA", "U16", "4H"), ("RGBA", "F32", "4f"), ("CMYKA", "U8", "5B"), ("GRAYA", "U8", "2B"), ("LABA", "U16", "4H")],
)
def test_colour_models(krita: Krita, model: str, depth: str, format: str) -> None:
    top: float = {"B": 255, "H": 65535, "f": 1.0}[format[1]]
    count = int(format[0])
    values = [place * 37 % 101 / 100 * top for place in range(count * SIDE * SIDE)]
    whole = values if format[1] == "f" else list(map(round, values))
    krita.new_document(model, depth, SIDE, SIDE)
    krita.paint(struct.pack(f"<{len(whole)}{format[1]}", *whole), "Background", BOX)
    before = krita.pixels("Background", BOX)
    glaze(krita)
    assert names(krita) == ["Background", GLAZED]
    assert krita.pixels("Background", BOX) == before
    cloaked = krita.pixels(GLAZED, BOX)
    assert cloaked != before and len(cloaked) == len(before)
    sample = struct.calcsize(format[1])
    for byte in range(sample):
        alpha = slice(sample * (count - 1) + byte, None, sample * count)
        assert cloaked[alpha] == before[alpha]


@pytest.mark.parametrize("softness", [0, 6])
def test_outside_of_a_selection_nothing_changes(krita: Krita, softness: int) -> None:
    before = prepare(krita)
    krita.run(
        "from krita import Selection\nchosen = Selection(); chosen.select(30, 20, 40, 50, 255)\n"
        "softness and chosen.feather(softness)\nactive().setSelection(chosen)",
        softness=softness,
    )
    mask = krita.run("active().selection().pixelData(0, 0, *size)", size=[SIDE, SIDE])
    assert (softness == 0) == (set(mask) == {0, 255})
    krita.click("glaze_selection_button")
    shown(krita, "glaze_keep")
    assert krita.pixels(GLAZED, BOX) == flipped(before, LAYOUT, mask)
    assert krita.projection(BOX) == flipped(before, LAYOUT, mask)
    krita.click("glaze_discard")
    says(krita, "Discarded.")
    assert GLAZED not in names(krita)
    assert visible(krita)[0]
    assert krita.projection(BOX) == before


def test_a_transparent_layer_and_its_cloak_are_not_seen_at_once(krita: Krita) -> None:
    before = prepare(krita, picture(alpha=128))
    glaze(krita)
    says(krita, "hidden while its cloak is shown")
    assert krita.run(SHOWN, name="glaze_keep") and not krita.run(SHOWN, name="glaze_opacity")
    assert visible(krita) == [False, True]
    assert krita.projection(BOX) == flipped(before, LAYOUT)
    with krita.hold("glaze_hold"):
        krita.until("bytes(active().pixelData(*box)) == before", box=BOX, before=before)
        assert visible(krita) == [True, False]
    krita.until("node(name).visible()", name=GLAZED)
    krita.click("glaze_before")
    krita.until("not node(name).visible()", name=GLAZED)
    assert visible(krita) == [True, False]
    krita.click("glaze_keep")
    says(krita, "Kept.")
    assert visible(krita) == [False, True]
    act(krita, "edit_undo")
    krita.until("len(active().topLevelNodes()) == 1")
    says(krita, "taken out")
    assert visible(krita) == [True]
    act(krita, "edit_redo")
    says(krita, "is back")
    assert visible(krita) == [False, True]
    krita.click("glaze_discard")
    says(krita, "Discarded.")
    assert visible(krita) == [True]


def test_each_cloak_keeps_its_opacity_while_documents_are_switched(krita: Krita) -> None:
    opacities = "[round(one.nodeByName(name).opacity() / 2.55) for one in Krita.instance().documents()]"
    for percent in (50, 75):
        prepare(krita)
        glaze(krita)
        krita.drag_slider("glaze_opacity", percent)
        krita.until("abs(node(name).opacity() / 2.55 - percent) < 4", name=GLAZED, percent=percent)
    kept = krita.run(opacities, name=GLAZED)
    assert len(kept) == 2 and kept[0] < kept[1] < 100
    for place in (0, 1, 0):
        krita.run("show(Krita.instance().documents()[place])", place=place)
        krita.until("widget('glaze_opacity').value() == percent", percent=kept[place])
        time.sleep(0.3)  # longer than the slider has to rest
        assert krita.run(opacities, name=GLAZED) == kept


def test_a_cloak_that_is_deleted_by_hand_shows_its_layer_again(krita: Krita) -> None:
    before = prepare(krita, picture(alpha=128))
    glaze(krita)
    choose(krita, GLAZED)
    act(krita, "remove_layer")
    says(krita, "taken out")
    assert visible(krita) == [True]
    assert krita.projection(BOX) == before
    assert history(krita) == ["Background: discarded"]


def test_a_stroke_while_the_job_runs_is_intact(krita: Krita, held: Path) -> None:
    before = prepare(krita)
    krita.click("glaze_layer_button")
    shown(krita, "glaze_preview")
    krita.stroke((20, 48), (70, 48))
    krita.until("bytes(node(name).pixelData(*box)) != before", name="Background", box=BOX, before=before)
    krita.run("active().waitForDone()")
    painted = krita.pixels("Background", BOX)
    held.unlink()
    says(krita, "painted on since")
    assert krita.pixels("Background", BOX) == painted
    assert krita.pixels(GLAZED, BOX) == flipped(before, LAYOUT)


@pytest.mark.parametrize(("change", "words"), [("setLocked(True)", "is locked"), ("setVisible(False)", "is hidden")])
def test_a_locked_or_hidden_layer(krita: Krita, held: Path, change: str, words: str) -> None:
    before = prepare(krita)
    krita.run(f"node().{change}; active().refreshProjection()")
    act(krita, "glaze_layer")
    says(krita, words)
    held.unlink()
    shown(krita, "glaze_keep")
    assert krita.pixels("Background", BOX) == before
    assert krita.projection(BOX) == flipped(before, LAYOUT)
    kept = visible(krita)[0]
    krita.click("glaze_discard")
    says(krita, "Discarded.")
    assert visible(krita) == [kept]


def test_for_a_mask_its_layer_is_cloaked(krita: Krita, held: Path) -> None:
    before = prepare(krita)
    krita.run(
        "mask = active().createNode('Mask', 'transparencymask')\n"
        "node().addChildNode(mask, None); active().waitForDone()"
    )
    choose(krita, "Mask")
    act(krita, "glaze_layer")
    says(krita, "The layer that the mask belongs to is cloaked.")
    held.unlink()
    shown(krita, "glaze_keep")
    assert names(krita) == ["Background", GLAZED]
    assert krita.pixels("Background", BOX) == before


def test_a_group(krita: Krita, held: Path) -> None:
    before = prepare(krita)
    krita.run(
        "group = active().createGroupLayer('Group'); active().rootNode().addChildNode(group, None)\n"
        "group.addChildNode(node('Background').duplicate(), None)\n"
        "active().refreshProjection(); active().waitForDone()"
    )
    choose(krita, "Group")
    act(krita, "glaze_layer")
    says(krita, "What is visible of the layer is cloaked.")
    held.unlink()
    shown(krita, "glaze_keep")
    assert names(krita) == ["Background", "Group", "Glazed: Group"]
    assert krita.pixels("Glazed: Group", BOX) == flipped(before, LAYOUT)


def test_an_empty_layer(krita: Krita) -> None:
    prepare(krita)
    krita.run("active().rootNode().addChildNode(active().createNode('Empty', 'paintlayer'), None)")
    choose(krita, "Empty")
    krita.click("glaze_layer_button")
    says(krita, "Nothing is painted on this layer.")


def test_a_selection_of_nothing(krita: Krita) -> None:
    prepare(krita)
    krita.click("glaze_selection_button")
    says(krita, "Nothing is selected")


def test_a_picture_that_is_too_small(krita: Krita) -> None:
    krita.new_document(width=16, height=16)
    krita.paint(bytes(range(256)) * 4)
    krita.click("glaze_layer_button")
    says(krita, "too small")


def test_no_document(krita: Krita) -> None:
    krita.run("Krita.instance().action('glaze_layer').trigger()")
    says(krita, "No picture is open.")

"""Glaze all key frames, in the real Krita. The engine flips the lowest bit of each sample."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.krita.conftest import StartKrita
from tests.krita.glazing import BOX, GLAZED, LAYOUT, SIDE, act, names, picture, prepare, says, shown
from tests.krita.harness.app import Krita
from tests.krita.pixel_tasks import flipped

FRAMES = {0: picture(), 3: bytes(reversed(picture()))[3:] + b"\xff\xff\xff", 6: b"", 8: picture()}
"""Time → pixels; at 6 nothing is drawn, at 8 the same as at 0."""
FRAMES[3] = b"".join(FRAMES[3][start : start + 3] + b"\xff" for start in range(0, len(FRAMES[3]), 4))
NEW_FRAME = """
active().setCurrentTime(frame); active().waitForDone()
Krita.instance().action('add_blank_frame').trigger(); active().waitForDone()
"""
GO = "active().setCurrentTime(frame); active().waitForDone()"


@pytest.fixture(scope="module")
def engine() -> str:
    return "tests.krita.pixel_tasks"


@pytest.fixture
def animated(start_krita: StartKrita) -> Iterator[Krita]:
    """A Krita that shows the time 2 of a picture whose one layer has FRAMES."""
    with start_krita() as krita:
        prepare(krita)
        act(krita, "add_duplicate_frame")
        for frame in FRAMES:
            if frame:
                krita.run(NEW_FRAME, frame=frame)
                krita.until("node().hasKeyframeAtTime(frame)", frame=frame)
                if FRAMES[frame]:
                    krita.paint(FRAMES[frame], "Background", BOX)
        go(krita, 2)
        yield krita
        krita.close()  # by force: leaving an animated picture sometimes crashes Krita 5.1, add-on or not


def go(krita: Krita, frame: int) -> None:
    krita.run(GO, frame=frame)
    krita.until("active().currentTime() == frame", frame=frame)


def at(krita: Krita, frame: int, layer: str) -> bytes:
    go(krita, frame)
    return krita.pixels(layer, BOX)


def test_all_key_frames(animated: Krita) -> None:
    animated.menu("Tools", "Scripts", "Glaze all key frames")
    shown(animated, "glaze_keep")
    animated.shot("frames")
    assert animated.run("active().currentTime()") == 2
    assert names(animated) == ["Background", GLAZED]
    act(animated, "edit_undo")
    assert names(animated) == ["Background"]
    act(animated, "edit_redo")
    animated.until("len(active().topLevelNodes()) == 2")
    glazed = "[time for time in range(20) if node(name).hasKeyframeAtTime(time)]"
    assert animated.run(glazed, name=GLAZED) == list(FRAMES)
    for frame, pixels in FRAMES.items():
        plain = at(animated, frame, "Background")
        assert not pixels or plain == pixels
        assert at(animated, frame, GLAZED) == flipped(plain, LAYOUT), frame


def test_frames_are_counted_and_cancelled(animated: Krita, held: object) -> None:
    animated.menu("Tools", "Scripts", "Glaze all key frames")
    says(animated, "Frame 1 of 4: cloaking", name="glaze_state")
    animated.menu("Tools", "Scripts", "Glaze all key frames")
    says(animated, "is being cloaked already")
    animated.click("glaze_cancel")
    says(animated, "Cancelled.")
    assert names(animated) == ["Background"]
    assert animated.run("len(Krita.instance().documents())") == 1


def test_a_layer_without_key_frames(start_krita: StartKrita) -> None:
    with start_krita() as krita:
        prepare(krita)
        krita.menu("Tools", "Scripts", "Glaze all key frames")
        says(krita, "This layer has no key frames.")
        assert krita.pixels("Background", (0, 0, SIDE, SIDE)) == picture()

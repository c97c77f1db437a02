"""*Glaze layer…* and *Export Glazed Copy…* as an artist uses them: windows and keys of the real GIMP."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glaze_plugin import lock
from glaze_plugin.client import Client
from glaze_plugin.launch import connect
from glaze_plugin.raster import RasterFormat
from tests.gimp.conftest import Gimp
from tests.gimp.glazing import GLAZED, HEIGHT, WIDTH, freed, names, open_jobs, pixels, prepare, runs, until
from tests.krita.pixel_tasks import flipped

RGBA = RasterFormat(WIDTH, HEIGHT, "RGBA", "u8")
GLAZE, EXPORT = "ctrl+shift+alt+g", "ctrl+shift+alt+x"
DIALOG, COPY = "Glaze layer", "Export Glazed Copy"


@pytest.fixture(scope="module")
def screen() -> bool:
    return True


@pytest.fixture
def shown(gimp: Gimp) -> bytes:
    """An image in a window; its layer's bytes."""
    before = prepare(gimp)
    gimp.run("show()")
    gimp.image_window()
    return before


def press(gimp: Gimp, *keys: str) -> None:
    """Keys in the image's window."""
    gimp.key(gimp.image_window(), *keys)


def test_the_whole_way(gimp: Gimp, shown: bytes, held: Path, client: Client) -> None:
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.shot("layer-idle")
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – 9")
    gimp.shot("layer-running")
    assert names(gimp) == ["Layer"]
    held.unlink()
    gimp.window(f"{DIALOG} – finished")
    gimp.key(dialog, "alt+f", "alt+d")
    gimp.shot("layer-difference")
    gimp.key(dialog, "alt+b")
    gimp.shot("layer-before")
    assert names(gimp) == ["Layer"]
    gimp.key(dialog, "alt+i")
    gimp.gone(DIALOG)
    assert names(gimp) == [GLAZED, "Layer"]
    assert pixels(gimp, GLAZED) == flipped(shown, RGBA)
    assert pixels(gimp, "Layer") == shown
    assert not open_jobs(client)

    press(gimp, "ctrl+z")
    until(lambda: names(gimp) == ["Layer"])
    assert pixels(gimp, "Layer") == shown
    assert not gimp.run("image.is_dirty()")
    press(gimp, "ctrl+y")
    until(lambda: names(gimp) == [GLAZED, "Layer"])
    assert pixels(gimp, GLAZED) == flipped(shown, RGBA)


def test_one_undo_also_shows_the_layer_again(gimp: Gimp) -> None:
    """A layer that is not opaque is hidden by its cloak's coming."""
    prepare(gimp, alpha=0.5)
    gimp.run("show()")
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – finished")
    gimp.shot("layer-transparent")
    gimp.key(dialog, "alt+i")
    gimp.gone(DIALOG)
    assert gimp.run("tree()") == [[GLAZED, True], ["Layer", False]]
    press(gimp, "ctrl+z")
    until(lambda: gimp.run("tree()") == [["Layer", True]])
    press(gimp, "ctrl+y")
    until(lambda: gimp.run("tree()") == [[GLAZED, True], ["Layer", False]])


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("precision", ["U16_NON_LINEAR", "FLOAT_LINEAR"])
def test_deep_pictures_are_shown_and_cloaked(gimp: Gimp, precision: str, gray: bool) -> None:
    before = prepare(gimp, precision=precision, gray=gray)
    gimp.run("show()")
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – finished")
    gimp.shot(f"layer-{precision}-{gray}")
    gimp.key(dialog, "alt+i")
    gimp.gone(DIALOG)
    assert pixels(gimp, GLAZED) != before
    assert pixels(gimp, "Layer") == before


def test_the_opacity_is_the_new_layers(gimp: Gimp, shown: bytes) -> None:
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – finished")
    gimp.key(dialog, "alt+o", "Home", *["Page_Down"] * 5)
    gimp.shot("layer-opacity")
    gimp.key(dialog, "alt+i")
    gimp.gone(DIALOG)
    assert gimp.run("named(name).get_opacity()", name=GLAZED) == pytest.approx(50, abs=1)
    assert gimp.run("layer.get_opacity()") == 100


def test_several_selected_layers_are_one_step(gimp: Gimp, shown: bytes) -> None:
    gimp.run("upper = new_layer(50, 40, 'Upper'); image.set_selected_layers([layer, upper])")
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – finished")
    gimp.shot("layer-several")
    gimp.key(dialog, "alt+i")
    gimp.gone(DIALOG)
    assert names(gimp) == ["Glazed: Upper", "Upper", GLAZED, "Layer"]
    press(gimp, "ctrl+z")
    until(lambda: names(gimp) == ["Upper", "Layer"])


def test_cancel_and_once_more(gimp: Gimp, shown: bytes, held: Path, client: Client) -> None:
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    runs(client)
    gimp.key(dialog, "alt+c")
    freed(client)
    until(lambda: DIALOG in gimp.windows())
    gimp.shot("layer-cancelled")
    held.unlink()
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – finished")
    gimp.key(dialog, "alt+r")  # discard
    until(lambda: DIALOG in gimp.windows())
    gimp.key(dialog, "alt+c")
    gimp.gone(DIALOG)
    assert names(gimp) == ["Layer"]
    assert not gimp.run("image.is_dirty()")


def test_closing_the_dialog_ends_the_job(gimp: Gimp, shown: bytes, held: Path, client: Client) -> None:
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    runs(client)
    gimp.key(dialog, "Escape")
    gimp.gone(DIALOG)
    freed(client)
    assert names(gimp) == ["Layer"]


def test_repeat_last_takes_the_last_settings_and_its_cancel_frees_the_daemon(
    gimp: Gimp, shown: bytes, held: Path, client: Client
) -> None:
    """GIMP's own Cancel kills the plug-in."""
    held.unlink()
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+s", "Home")
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – finished")
    gimp.key(dialog, "alt+i")
    gimp.gone(DIALOG)
    press(gimp, "ctrl+f")
    until(lambda: len(names(gimp)) == 3)
    assert gimp.run("len(Gimp.get_images())") == 1
    held.touch()
    press(gimp, "ctrl+f")
    runs(client)
    gimp.shot("layer-repeated")
    gimp.click_cancel()
    assert freed(client) < 5
    until(lambda: len(names(gimp)) == 3)
    gimp.shot("layer-killed")


def test_the_picture_is_closed(gimp: Gimp, shown: bytes, held: Path, client: Client) -> None:
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    runs(client)
    press(gimp, "ctrl+w")
    freed(client)
    gimp.shot("layer-closed")
    gimp.key(dialog, "Escape")
    gimp.gone(DIALOG)
    until(lambda: gimp.run("len(Gimp.get_images())") == 0)


@pytest.mark.parametrize(
    "change",
    [
        "image.remove_layer(layer)",
        "image.convert_precision(Gimp.Precision.U16_LINEAR)",
        "image.set_color_profile(Gimp.ColorProfile.new_rgb_adobe())",
    ],
)
def test_a_cloak_that_does_not_fit_any_more_is_dropped(gimp: Gimp, shown: bytes, held: Path, change: str) -> None:
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – 9")
    gimp.run(change)
    before = gimp.run("tree()")
    held.unlink()
    gimp.window(f"{DIALOG} – finished")
    gimp.key(dialog, "alt+i")
    until(lambda: DIALOG in gimp.windows())
    gimp.shot(f"layer-unfit-{len(change)}")
    assert gimp.run("tree()") == before
    gimp.key(dialog, "Escape")
    gimp.gone(DIALOG)


def test_what_is_painted_and_moved_meanwhile_stays(gimp: Gimp, shown: bytes, held: Path) -> None:
    """The cloak is of what was there when it was begun, and goes along with its layer."""
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – 9")
    gimp.run("noise(layer, 1.0, seed=5); layer.set_offsets(7, -3)")
    painted = pixels(gimp, "Layer")
    held.unlink()
    gimp.window(f"{DIALOG} – finished")
    gimp.key(dialog, "alt+i")
    gimp.gone(DIALOG)
    assert pixels(gimp, "Layer") == painted
    assert pixels(gimp, GLAZED) == flipped(shown, RGBA)
    assert gimp.run("list(named(name).get_offsets())[1:]", name=GLAZED) == [7, -3]


def test_the_next_daemon_goes_on_with_the_job(gimp: Gimp, shown: bytes, held: Path) -> None:
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – 9")
    killed = lock.holder()
    assert killed
    os.kill(killed, signal.SIGKILL)
    connect("tests")[0].close()
    gimp.shot("layer-daemon-gone")
    held.unlink()
    gimp.key(dialog, "alt+t")  # try again, where GIMP has looked too early
    gimp.window(f"{DIALOG} – finished")
    gimp.key(dialog, "alt+i")
    gimp.gone(DIALOG)
    assert pixels(gimp, GLAZED) == flipped(shown, RGBA)


def test_a_dialog_can_be_closed_while_the_daemon_hangs(gimp: Gimp, shown: bytes, held: Path, client: Client) -> None:
    press(gimp, GLAZE)
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+g")
    gimp.window(f"{DIALOG} – 9")
    hanging = lock.holder()
    assert hanging
    os.kill(hanging, signal.SIGSTOP)
    try:
        time.sleep(6)
        gimp.shot("layer-daemon-silent")
        gimp.key(dialog, "Escape")
        gimp.gone(DIALOG, 2)
    finally:
        os.kill(hanging, signal.SIGCONT)
    freed(client)


def test_a_text_layer(gimp: Gimp) -> None:
    """Its cloak is a layer of pixels."""
    gimp.run(
        f"new_image({WIDTH}, {HEIGHT})\n"
        "text = Gimp.TextLayer.new(image, 'Glaze', Gimp.fonts_get_list('')[0], 60, Gimp.Unit.pixel())\n"
        "image.insert_layer(text, None, 0)"
    )
    assert gimp.run("glaze(text)") == "success"
    assert gimp.run("type(image.get_layers()[0]) is Gimp.Layer and type(image.get_layers()[1]) is Gimp.TextLayer")


def test_export(gimp: Gimp, shown: bytes, held: Path, client: Client) -> None:
    outside, inside = gimp.path("copy.png")
    press(gimp, EXPORT)
    dialog = gimp.window(COPY)
    gimp.shot("export-idle")
    gimp.key(dialog, "alt+f", "ctrl+a")
    gimp.type(inside)
    gimp.key(dialog, "alt+e")
    runs(client)
    gimp.shot("export-running")
    assert not outside.exists()
    held.unlink()
    gimp.window(f"{COPY} – saved")
    gimp.shot("export-saved")
    gimp.key(dialog, "alt+c")
    gimp.gone(COPY)
    cloaked = np.frombuffer(flipped(shown, RGBA), np.uint8).reshape(HEIGHT, WIDTH, 4)
    with Image.open(outside) as file:
        assert (np.asarray(file) == cloaked[:, :, :3]).all()
    assert not gimp.run("image.is_dirty()")
    assert names(gimp) == ["Layer"]

    content = outside.read_bytes()
    press(gimp, "ctrl+f")  # repeat last asks again, for another file
    dialog = gimp.window(COPY)
    gimp.key(dialog, "alt+f", "ctrl+a")
    gimp.type(inside)
    gimp.key(dialog, "alt+e")
    gimp.key(gimp.window("Replace?"), "Return")
    gimp.gone("Replace?")
    assert outside.read_bytes() == content
    gimp.key(dialog, "alt+e")
    gimp.key(gimp.window("Replace?"), "alt+r")
    gimp.window(f"{COPY} – saved")
    gimp.key(dialog, "Escape")
    gimp.gone(COPY)
    assert outside.read_bytes()[:8] == content[:8]
    assert gimp.run("len(Gimp.get_images())") == 1


def test_a_name_alone_is_in_the_suggested_folder(gimp: Gimp, shown: bytes) -> None:
    outside, _ = gimp.path("~copy.png")
    for text in (gimp.path("first.png")[1], outside.name):
        press(gimp, EXPORT)
        dialog = gimp.window(COPY)
        gimp.key(dialog, "alt+f", "ctrl+a")
        gimp.type(text)
        gimp.key(dialog, "alt+e")
        gimp.window(f"{COPY} – saved")
        gimp.key(dialog, "Escape")
        gimp.gone(COPY)
    assert outside.exists()


def test_a_cancelled_export_leaves_nothing(gimp: Gimp, shown: bytes, held: Path, client: Client) -> None:
    outside, inside = gimp.path("cancelled.png")
    press(gimp, EXPORT)
    dialog = gimp.window(COPY)
    gimp.key(dialog, "alt+f", "ctrl+a")
    gimp.type(inside)
    gimp.key(dialog, "alt+e")
    runs(client)
    gimp.key(dialog, "alt+c")
    freed(client)
    until(lambda: COPY in gimp.windows())
    gimp.key(dialog, "Escape")
    gimp.gone(COPY)
    assert not outside.exists() and not list(outside.parent.glob(".glaze-*"))
    assert gimp.run("len(Gimp.get_images())") == 1


def test_export_of_an_indexed_picture_waits_for_the_artists_consent(gimp: Gimp) -> None:
    prepare(gimp, has_alpha=False)
    gimp.run(
        "image.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.WEB, 0, False, False, '')\nshow()"
    )
    outside, inside = gimp.path("indexed.png")
    press(gimp, EXPORT)
    dialog = gimp.window(COPY)
    gimp.key(dialog, "alt+f", "ctrl+a")
    gimp.type(inside)
    gimp.shot("export-indexed")
    gimp.key(dialog, "alt+e")
    gimp.key(dialog, "alt+o", "alt+e")
    gimp.window(f"{COPY} – saved")
    gimp.key(dialog, "Escape")
    gimp.gone(COPY)
    with Image.open(outside) as file:
        assert file.mode == "RGB"

"""What an artist does with the docker, and sees in it."""

from __future__ import annotations

from glaze_plugin.raster import RasterFormat
from tests.krita.harness.app import Krita

SIDE = 96
BOX = (0, 0, SIDE, SIDE)
LAYOUT = RasterFormat(SIDE, SIDE, "BGRA", "u8")
GLAZED = "Glazed: Background"
SHOWN = "any(one.objectName() == name and one.isVisible() for one in QtWidgets.QApplication.allWidgets())"


def picture(alpha: int = 255) -> bytes:
    """Colourful pixels of one opacity, as Krita keeps them."""
    return bytes(
        value for y in range(SIDE) for x in range(SIDE) for value in (x * 2 % 256, x * y % 256, y * 2 % 256, alpha)
    )


def prepare(krita: Krita, pixels: bytes = b"") -> bytes:
    """A document whose one layer is full of paint, and the docker at its quickest; the layer's bytes."""
    krita.new_document("RGBA", "U8", SIDE, SIDE)
    krita.paint(pixels or picture(), "Background", BOX)
    krita.run("import gc\ngc.collect()")  # whatever Python clears away meanwhile
    krita.run("show_docker('glaze_docker')\nwidget('glaze_quality').setCurrentIndex(0)")
    return krita.pixels("Background", BOX)


def shown(krita: Krita, name: str, seconds: float = 60) -> None:
    """Wait until a widget is shown."""
    krita.until(SHOWN, seconds, name=name)


def says(krita: Krita, words: str, seconds: float = 20, name: str = "glaze_sentence") -> None:
    """Wait until the docker says so."""
    shown(krita, name)
    krita.until("words in widget(name).text()", seconds, name=name, words=words)


def act(krita: Krita, name: str) -> None:
    """Run one of Krita's actions."""
    krita.run("Krita.instance().action(name).trigger(); active().waitForDone()", name=name)


def names(krita: Krita) -> list[str]:
    return [layer["name"] for layer in krita.layers()]


def visible(krita: Krita) -> list[bool]:
    return [layer["visible"] for layer in krita.layers()]


def history(krita: Krita) -> list[str]:
    found: list[str] = krita.run(
        "shown = widget('glaze_history')\n[shown.item(row).text() for row in range(shown.count())]"
    )
    return found

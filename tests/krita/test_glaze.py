"""Glaze layer as an artist uses it: in the real Krita, with the real engine."""

from __future__ import annotations

from tests.krita.harness.app import Krita

GLAZED = "len(active().topLevelNodes()) == 2"


def painted(krita: Krita, side: int = 96) -> bytes:
    """A document whose one layer is full of paint; its bytes."""
    krita.new_document("RGBA", "U8", side, side)
    pixels = bytes(
        value for y in range(side) for x in range(side) for value in (x * 2 % 256, (x * y) % 256, y * 2 % 256, 255)
    )
    krita.paint(pixels, "Background", (0, 0, side, side))
    return pixels


def test_glaze_layer_from_the_menu(krita: Krita) -> None:
    pixels = painted(krita)
    krita.run("combo = widget('glaze_quality'); combo.setCurrentIndex(0)")
    krita.menu("Tools", "Scripts", "Glaze layer")
    krita.until(GLAZED, 90)
    krita.shot("review")
    layers = krita.layers()
    print(layers)
    assert layers[1]["name"].startswith("Glazed: ")
    assert krita.pixels("Background", (0, 0, 96, 96)) == pixels
    cloaked = krita.pixels("Glazed: Background", (0, 0, 96, 96))
    assert cloaked != pixels
    assert cloaked[3::4] == pixels[3::4]

"""*Glaze layer…* and *Export Glazed Copy…* with the real engine, at its quickest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.gimp.conftest import Gimp
from tests.gimp.glazing import GLAZED, pixels

WIDTH, HEIGHT = 96, 80


@pytest.fixture(scope="module")
def engine() -> str:
    return "glaze_server.engine.tasks"


def paint(gimp: Gimp, meadow: Image.Image, precision: str, profile: str | None = None) -> bytes:
    """A piece of the example painting, half of it transparent, as a layer; its bytes."""
    piece = meadow.crop((160, 220, 160 + WIDTH, 220 + HEIGHT)).convert("RGBA")
    piece.putalpha(Image.linear_gradient("L").resize(piece.size))
    gimp.run(
        "prepare(width, height, precision=precision, profile=profile)\n"
        "paint(layer, data, Babl.get_name(Babl.format_with_space('R\\'G\\'B\\'A u8',"
        " Babl.format_get_space(layer.get_format()))))",
        width=WIDTH,
        height=HEIGHT,
        precision=precision,
        profile=profile,
        data=piece.tobytes(),
    )
    return pixels(gimp, "Layer")


@pytest.mark.parametrize(("precision", "kind"), [("U8_NON_LINEAR", "u1"), ("FLOAT_LINEAR", "<f4")])
def test_a_layer(gimp: Gimp, meadow: Image.Image, precision: str, kind: str) -> None:
    data = paint(gimp, meadow, precision, "new_rgb_adobe")
    before = np.frombuffer(data, kind).reshape(HEIGHT, WIDTH, 4).astype(float)
    gimp.run("image.select_rectangle(Gimp.ChannelOps.REPLACE, 20, 10, 50, 60)")
    status, report = gimp.run(
        "status, *values = call('plug-in-glaze-layer', image=image, drawables=[layer], quality='preview')\n"
        "(int(status), values[1])"
    )
    assert status == gimp.run("int(Gimp.PDBStatusType.SUCCESS)")
    after = np.frombuffer(pixels(gimp, GLAZED), kind).reshape(HEIGHT, WIDTH, 4).astype(float)
    changed = (after != before).any(axis=2)
    assert changed[10:70, 20:70].mean() > 0.5
    changed[10:70, 20:70] = False
    assert not changed.any()
    assert (after[:, :, 3] == before[:, :, 3]).all()
    (figures,) = json.loads(report)
    assert figures["quality"] == "preview" and 0 < figures["max_change"] <= 16 / 255
    top = 255.0 if kind == "u1" else 2.4  # so much steeper is light than its sRGB sample, at most
    assert np.abs(after - before).max() / top <= 16 / 255


@pytest.mark.parametrize("precision", ["U16_NON_LINEAR"])
def test_strength_0_changes_no_bit(gimp: Gimp, meadow: Image.Image, precision: str) -> None:
    before = paint(gimp, meadow, precision, "new_rgb_adobe")
    assert gimp.run("glaze(layer, strength=0.0)") == "success"
    assert pixels(gimp, GLAZED) == before


def test_export(gimp: Gimp, meadow: Image.Image) -> None:
    paint(gimp, meadow, "U8_NON_LINEAR")
    outside, inside = gimp.path("meadow.png")
    assert gimp.run("export(path)", path=inside) == "success"
    before = np.frombuffer(pixels(gimp, "Layer"), np.uint8).reshape(HEIGHT, WIDTH, 4).astype(int)
    with Image.open(outside) as file:
        after = np.asarray(file).astype(int)
    assert (after[:, :, 3] == before[:, :, 3]).all()
    assert 0 < np.abs(after - before).max() <= 16

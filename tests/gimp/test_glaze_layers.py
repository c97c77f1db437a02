"""*Glaze layer…* as a script runs it, in the real GIMP: every precision, and every kind of layer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glaze_plugin.raster import RasterFormat
from tests.gimp.conftest import Gimp
from tests.gimp.glazing import GLAZED, HEIGHT, WIDTH, names, pixels, prepare
from tests.krita.pixel_tasks import flipped

DEPTHS = ("U8", "U16", "U32", "HALF", "FLOAT", "DOUBLE")
CURVES = ("LINEAR", "NON_LINEAR", "PERCEPTUAL")
PROFILES = (None, "new_rgb_adobe", "new_rgb_srgb_linear")
RGBA = RasterFormat(WIDTH, HEIGHT, "RGBA", "u8")
KINDS = {"U8": "u1", "U16": "<u2", "U32": "<u4", "HALF": "<f2", "FLOAT": "<f4", "DOUBLE": "<f8"}


def glaze(gimp: Gimp, code: str = "layer", **arguments: object) -> str:
    """Cloak layers; "success", or why not."""
    found: str = gimp.run(f"glaze({code}, **arguments)", arguments=arguments)
    return found


def samples(data: bytes, depth: str, channels: int) -> NDArray[Any]:
    """(pixels, channels)."""
    return np.frombuffer(data, KINDS[depth]).reshape(-1, channels)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("depth", DEPTHS)
def test_at_strength_0_every_bit_is_the_artists_own(gimp: Gimp, depth: str, gray: bool) -> None:
    for number, curve in enumerate(CURVES):
        for profile in {None, None if gray else PROFILES[1 + number % 2]}:
            before = prepare(gimp, precision=f"{depth}_{curve}", gray=gray, profile=profile, alpha=None)
            assert glaze(gimp, strength=0.0) == "success"
            assert pixels(gimp, GLAZED) == before, (curve, profile)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_cloak_comes_at_the_layers_own_depth(gimp: Gimp, depth: str, gray: bool) -> None:
    """The engine changes 16-bit samples by one; where that shows at the layer's depth it shows, and alpha never."""
    channels = 2 if gray else 4
    for curve in CURVES[1:2]:
        before = samples(prepare(gimp, precision=f"{depth}_{curve}", gray=gray), depth, channels)
        assert glaze(gimp) == "success"
        after = samples(pixels(gimp, GLAZED), depth, channels)
        assert (after[:, -1] == before[:, -1]).all()
        changed = after[:, :-1] != before[:, :-1]
        assert changed.mean() > (0.03 if depth == "HALF" else 0.9)
        top = np.iinfo(before.dtype).max if before.dtype.kind == "u" else 1.0
        largest = np.abs(after[:, :-1].astype(np.float64) - before[:, :-1].astype(np.float64)).max() / top
        assert largest < {"U8": 1.1 / 255, "HALF": 1e-3}.get(depth, 3 / 65535)


@pytest.mark.parametrize("profile", [None, "new_rgb_adobe"])
@pytest.mark.parametrize("depth", ["U8", "U16"])
def test_8_and_16_bits_go_through_no_conversion(gimp: Gimp, depth: str, profile: str | None) -> None:
    before = prepare(gimp, precision=f"{depth}_NON_LINEAR", profile=profile)
    assert glaze(gimp) == "success"
    assert pixels(gimp, GLAZED) == flipped(before, RasterFormat(WIDTH, HEIGHT, "RGBA", depth.lower()))


def test_light_brighter_than_white_stays(gimp: Gimp) -> None:
    gimp.run(f"prepare({WIDTH}, {HEIGHT}, precision='FLOAT_LINEAR'); noise(layer, 1.0, top=5.0)")
    before = samples(pixels(gimp, "Layer"), "FLOAT", 4)
    assert glaze(gimp) == "success"
    after = samples(pixels(gimp, GLAZED), "FLOAT", 4)
    assert before.max() > 4
    assert np.abs(after - before).max() < 1e-4
    assert (after != before).any()


def test_a_layer_that_reaches_out_of_the_canvas(gimp: Gimp) -> None:
    before = prepare(gimp)
    gimp.run("image.resize(60, 50, 10, 5); layer.set_offsets(-30, -20)")
    assert glaze(gimp) == "success"
    assert pixels(gimp, GLAZED) == flipped(before, RGBA)
    assert gimp.run("list(named(name).get_offsets())[1:]", name=GLAZED) == [-30, -20]


@pytest.mark.parametrize("softness", [0, 12])
@pytest.mark.parametrize("precision", ["U8_NON_LINEAR", "U16_LINEAR", "FLOAT_LINEAR"])
def test_outside_of_a_selection_nothing_changes(gimp: Gimp, precision: str, softness: int) -> None:
    depth = precision.partition("_")[0]
    before = samples(prepare(gimp, precision=precision), depth, 4)
    gimp.run(
        "image.select_rectangle(Gimp.ChannelOps.REPLACE, 30, 25, 40, 35)\n"
        "softness and Gimp.Selection.feather(image, softness)\nlayer.set_offsets(-10, 5)",
        softness=softness,
    )
    chosen = np.zeros((HEIGHT, WIDTH), bool)
    weights = gimp.run("pixels(image.get_selection())")
    mask = np.frombuffer(weights, KINDS[depth]).reshape(HEIGHT, WIDTH) * (255 if depth == "FLOAT" else 1)
    mask = mask / 257 if depth == "U16" else mask
    assert (softness == 0) == (set(np.unique(mask)) == {0, 255})
    chosen[: HEIGHT - 5, 10:] = (mask >= 0.5)[5:, : WIDTH - 10]
    assert glaze(gimp) == "success"
    after = samples(pixels(gimp, GLAZED), depth, 4)
    changed = (after != before).any(axis=1).reshape(HEIGHT, WIDTH)
    assert not changed[~chosen].any()
    assert changed[chosen].mean() > 0.9
    assert gimp.run("tree()") == [[GLAZED, True], ["Layer", False]]


def test_a_selection_beside_the_layer(gimp: Gimp) -> None:
    prepare(gimp)
    gimp.run("layer.set_offsets(50, 0); image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 20, 20)")
    assert glaze(gimp) == "The selection lies beside the layer."
    assert names(gimp) == ["Layer"]


def test_only_what_hides_its_layer_leaves_it_visible(gimp: Gimp) -> None:
    for change, visible in (
        ("None", True),
        ("noise(layer)", False),
        ("layer.set_opacity(50)", False),
        ("layer.set_mode(Gimp.LayerMode.MULTIPLY)", False),
        ("layer.add_mask(layer.create_mask(Gimp.AddMaskType.WHITE))", False),
    ):
        prepare(gimp)
        gimp.run(change)
        assert glaze(gimp) == "success"
        assert gimp.run("tree()") == [[GLAZED, True], ["Layer", visible]], change
        same = "[(one.get_opacity(), int(one.get_mode()), bool(one.get_mask())) for one in image.get_layers()]"
        above, below = gimp.run(same)
        assert above == below


def test_of_a_mask_its_layer_is_cloaked_and_locks_hold(gimp: Gimp) -> None:
    before = prepare(gimp)
    gimp.run(
        "mask = layer.create_mask(Gimp.AddMaskType.WHITE); layer.add_mask(mask); noise(mask)\n"
        "for lock in ('content', 'position', 'alpha', 'visibility'): getattr(layer, 'set_lock_' + lock)(True)\n"
        "of_mask = pixels(mask)"
    )
    assert glaze(gimp, "mask") == "success"
    assert pixels(gimp, "Layer") == before
    assert pixels(gimp, GLAZED) == flipped(before, RGBA)
    assert gimp.run("pixels(named(name).get_mask()) == of_mask", name=GLAZED)
    assert gimp.run("layer.get_lock_content()") and not gimp.run("named(name).get_lock_content()", name=GLAZED)


def test_groups(gimp: Gimp) -> None:
    before = prepare(gimp)
    gimp.run(
        "group = Gimp.GroupLayer.new(image, 'Group'); image.insert_layer(group, None, 0)\n"
        "image.reorder_item(layer, group, 0); group.set_lock_content(True)"
    )
    assert glaze(gimp, "layer") == "success"
    assert gimp.run("tree()") == [["Group", True, [[GLAZED, True], ["Layer", True]]]]
    gimp.run("image.remove_layer(named(name))", name=GLAZED)
    assert glaze(gimp, "group") == "success"
    assert gimp.run("tree()") == [["Glazed: Group", True], ["Group", True, [["Layer", True]]]]
    assert pixels(gimp, "Glazed: Group") == flipped(before, RGBA)
    gimp.run("image.remove_layer(named('Glazed: Group')); group.set_mode(Gimp.LayerMode.PASS_THROUGH)")
    assert glaze(gimp, "group") == "success"
    assert pixels(gimp, "Glazed: Group") == flipped(before, RGBA)
    gimp.run("empty = Gimp.GroupLayer.new(image, 'Empty'); image.insert_layer(empty, None, 0)")
    assert glaze(gimp, "empty") == "There is nothing in this group."


@pytest.mark.parametrize("grouped", [False, True])
def test_filters_are_cloaked_with_their_layer(gimp: Gimp, grouped: bool) -> None:
    """A filter above the cloak would change it; the copy has it merged, the layer keeps it."""
    before = np.frombuffer(prepare(gimp), np.uint8).reshape(-1, 4)
    gimp.run(
        "group = Gimp.GroupLayer.new(image, 'Layer above'); image.insert_layer(group, None, 0)\n"
        "image.reorder_item(layer, group, 0)\nfiltered = group if grouped else layer\n"
        "filtered.append_filter(Gimp.DrawableFilter.new(filtered, 'gegl:invert-gamma', 'Invert'))",
        grouped=grouped,
    )
    assert glaze(gimp, "filtered") == "success"
    inverted = np.concatenate([255 - before[:, :3], before[:, 3:]], axis=1)
    name = "Glazed: Layer above" if grouped else GLAZED
    assert pixels(gimp, name) == flipped(inverted.tobytes(), RGBA)
    assert gimp.run("len(filtered.get_filters()), len(named(name).get_filters())", name=name) == [1, 0]
    assert gimp.run("len(Gimp.get_images())") == 1


def test_several_layers_come_together(gimp: Gimp) -> None:
    lower = prepare(gimp)
    gimp.run("upper = new_layer(50, 40, 'Upper'); noise(upper, 1.0, seed=2)")
    upper = pixels(gimp, "Upper")
    assert glaze(gimp, "layer, upper, layer") == "success"
    assert names(gimp) == ["Glazed: Upper", "Upper", GLAZED, "Layer"]
    assert pixels(gimp, GLAZED) == flipped(lower, RGBA)
    assert pixels(gimp, "Glazed: Upper") == flipped(upper, RasterFormat(50, 40, "RGBA", "u8"))


def test_a_text_layer(gimp: Gimp) -> None:
    """Its cloak is a layer of pixels."""
    gimp.run(
        f"new_image({WIDTH}, {HEIGHT})\n"
        "fonts = Gimp.fonts_get_list('')\n"
        "text = Gimp.TextLayer.new(image, 'Glaze', fonts[0], 60, Gimp.Unit.pixel()) if fonts else None\n"
        "text and image.insert_layer(text, None, 0)"
    )
    if not gimp.run("bool(text)"):
        pytest.skip("this GIMP has been started without fonts")
    assert glaze(gimp, "text") == "success"
    assert gimp.run("type(named('Glazed: ' + text.get_name())) is Gimp.Layer")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("chosen = Gimp.Channel.new(image, 'C', 9, 9, 50, Gegl.Color.new('red'))", "A channel is not a layer"),
        ("image.select_rectangle(0, 5, 5, 40, 40); Gimp.Selection.float(image, [layer], 0, 0)", "Anchor the floating"),
        ("chosen = new_layer(31, 64, 'Small')", "too small"),
        (
            "image.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.WEB, 0, False, False, '')",
            "An indexed picture has only the colours of its palette",
        ),
    ],
)
def test_what_cannot_be_cloaked_is_said(gimp: Gimp, change: str, why: str) -> None:
    prepare(gimp)
    gimp.run(f"chosen = layer\n{change}")
    before = gimp.run("tree()")
    assert why in glaze(gimp, "chosen")
    assert gimp.run("tree()") == before


def test_the_source_is_never_written_and_no_image_is_left_over(gimp: Gimp) -> None:
    before = prepare(gimp)
    gimp.run("layer.set_lock_content(True)")
    status, layer, report = gimp.run(
        "status, *values = call('plug-in-glaze-layer', run_mode=Gimp.RunMode.WITH_LAST_VALS,"
        " image=image, drawables=[layer])\n(int(status), values[0].get_name(), values[1])"
    )
    assert (status, layer) == (gimp.run("int(Gimp.PDBStatusType.SUCCESS)"), GLAZED)
    assert json.loads(report)[0]["at_opacity"]["100"]["targeted_shift"] == 0.5
    assert pixels(gimp, "Layer") == before
    assert gimp.run("len(Gimp.get_images())") == 1

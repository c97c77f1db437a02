# mypy: ignore-errors
"""What the add-on's canvas.py does with real layers. Run inside Krita by test_canvas.py."""

import random
import struct
import time
from array import array
from types import SimpleNamespace

import pytest
from glaze_krita import canvas
from glaze_krita.colour import LINEAR, Colours, Space, pixels, recolour
from glaze_krita.qt import QtWidgets
from krita import InfoObject, Krita, Selection

from glaze_plugin.errors import GlazeError
from glaze_plugin.raster import MAX_SIDE

WIDTH, HEIGHT = 160, 120
SRGB, LINEAR_SRGB = "sRGB-elle-V2-srgbtrc.icc", "sRGB-elle-V2-g10.icc"
YCBCR = "ITU-R BT.709-6 YCbCr ICC V2 profile"
PQ = "High Dynamic Range UHDTV Wide Color Gamut Display (Rec. 2020) - SMPTE ST 2084 PQ EOTF"
RAW = [
    ("RGBA", "U8", SRGB),
    ("RGBA", "U16", SRGB),
    ("RGBA", "U8", "ClayRGB-elle-V2-g22.icc"),
    ("RGBA", "U16", "LargeRGB-elle-V2-g22.icc"),
    ("RGBA", "U16", PQ),
    ("GRAYA", "U8", "Gray-D50-elle-V2-srgbtrc.icc"),
    ("GRAYA", "U8", "Gray-D50-elle-V2-g18.icc"),
    ("GRAYA", "U16", "Gray-D50-elle-V2-labl.icc"),
]
CONVERTED = [
    ("RGBA", "U8", LINEAR_SRGB),
    ("RGBA", "U8", "scRGB (linear)"),
    ("RGBA", "U16", LINEAR_SRGB),
    ("RGBA", "U16", "ACEScg-elle-V4-g10.icc"),
    ("RGBA", "U16", "krita-2.5, lcms sRGB built-in with linear gamma TRC"),
    ("RGBA", "F16", LINEAR_SRGB),
    ("RGBA", "F16", SRGB),
    ("RGBA", "F32", LINEAR_SRGB),
    ("RGBA", "F32", "Rec2020-elle-V4-g10.icc"),
    ("RGBA", "F32", PQ),
    ("GRAYA", "U8", "Gray-D50-elle-V2-g10.icc"),
    ("GRAYA", "U16", "Gray-D50-elle-V2-g10.icc"),
    ("GRAYA", "F16", ""),
    ("GRAYA", "F32", ""),
    ("CMYKA", "U8", ""),
    ("CMYKA", "U16", ""),
    ("CMYKA", "F32", ""),
    ("LABA", "U8", ""),
    ("LABA", "U16", ""),
    ("LABA", "F32", ""),
    ("XYZA", "U8", ""),
    ("XYZA", "U16", ""),
    ("XYZA", "F16", ""),
    ("XYZA", "F32", ""),
    ("YCbCrA", "U8", YCBCR),
    ("YCbCrA", "U16", YCBCR),
    ("YCbCrA", "F32", YCBCR),
]


def named(space):
    return "-".join(filter(None, space)) if isinstance(space, tuple) else None


@pytest.fixture
def make():
    """Makes documents, which are closed in the end."""
    made = []

    def document(model="RGBA", depth="U8", profile="", width=WIDTH, height=HEIGHT):
        made.append(Krita.instance().createDocument(width, height, "test", model, depth, profile, 72.0))
        made[-1].rootNode().childNodes()[0].remove()
        return made[-1]

    yield document
    for one in made:
        if one.rootNode():  # closing twice crashes Krita
            one.close()


@pytest.fixture
def document(make):
    return make()


def noise(depth, count):
    """So many samples: for floats also what is outside of [0, 1], and both zeros."""
    rng = random.Random(5)
    if depth in ("U8", "U16"):
        return rng.randbytes(count * int(depth[1:]) // 8)
    values = [rng.choice((rng.random(), rng.random(), rng.uniform(-2, 9), 0.0, -0.0, 1.0)) for _ in range(count)]
    return array("f", values).tobytes() if depth == "F32" else struct.pack(f"<{count}e", *values)


def paint(layer, x=0, y=0, width=WIDTH, height=HEIGHT, data=None):
    """Fill a rectangle of a layer with noise, or with the bytes given. Returns what was filled in."""
    if data is None:
        data = noise(layer.colorDepth(), width * height * len(layer.channels()))
    layer.setPixelData(data, x, y, width, height)
    return data


def add(document, parent=None, name="Painting", **place):
    """A new painted layer at the top of a document or a group."""
    layer = document.createNode(name, "paintlayer")
    paint(layer, **place)
    (parent or document.rootNode()).addChildNode(layer, None)
    document.refreshProjection()
    document.waitForDone()
    return layer


def group_with(document, **place):
    group = document.createGroupLayer("Group")
    document.rootNode().addChildNode(group, None)
    return group, add(document, group, **place)


def settle(document):
    """Let Krita do what it puts off."""
    QtWidgets.QApplication.processEvents()
    document.refreshProjection()
    document.waitForDone()


def selection(x, y, width, height, value=255):
    one = Selection()
    one.select(x, y, width, height, value)
    return one


def cloaked(subject, change=lambda data: data, capture=None):
    """Send a subject on its way and take it back, in chunks that fit nothing. Returns what there was of it."""
    capture = capture or canvas.Capture(subject)
    sent = b"".join(capture.bands())
    assert len(sent) == subject.format.size
    insertion = canvas.Insertion(capture, capture.new_layer("Glazed"))
    result = change(sent)
    for start in range(0, len(result), 7001):
        insertion.take(result[start : start + 7001])
    return SimpleNamespace(sent=sent, capture=capture, insertion=insertion, layer=insertion.finish())


def refusal(*arguments):
    with pytest.raises(canvas.Refusal) as caught:
        canvas.look(*arguments)
    return caught.value


# ---- colours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", RAW, ids=named)
def test_samples_that_a_trainer_would_read_are_submitted_as_they_are(make, space):
    document = make(*space)
    layer = add(document)
    assert (layer.colorModel(), layer.colorDepth(), layer.colorProfile()) == space
    subject = canvas.look(document, layer, False)
    assert subject.colours.raw
    assert subject.format.depth == space[1].lower()
    assert subject.format.channels == ("BGRA" if space[0] == "RGBA" else "GA")
    assert cloaked(subject).sent == bytes(layer.pixelData(0, 0, WIDTH, HEIGHT))


@pytest.mark.parametrize("space", CONVERTED, ids=named)
def test_everything_else_is_submitted_as_16_bit_srgb(make, space):
    document = make(*space)
    subject = canvas.look(document, add(document), False)
    assert not subject.colours.raw
    assert subject.format.depth == "u16"
    assert subject.format.channels == ("GA" if space[0] == "GRAYA" else "BGRA")


def test_linear_light_is_submitted_brighter(make):
    document = make("RGBA", "F32", LINEAR_SRGB)
    pixel = struct.pack("<4f", 0.25, 0.25, 0.25, 1)
    subject = canvas.look(document, add(document, data=pixel * (WIDTH * HEIGHT)), False)
    for value in struct.unpack("<3H", cloaked(subject).sent[:6]):
        assert value == pytest.approx(65535 * 0.537, abs=20)
        assert value > 65535 * LINEAR


@pytest.mark.parametrize("space", RAW + CONVERTED, ids=named)
def test_a_result_without_a_cloak_is_the_source_to_the_bit(make, space):
    document = make(*space)
    source = add(document)
    before = bytes(source.pixelData(0, 0, WIDTH, HEIGHT))
    done = cloaked(canvas.look(document, source, False))
    assert Space.of(done.layer) == Space.of(source)
    assert bytes(done.layer.pixelData(0, 0, WIDTH, HEIGHT)) == before
    assert bytes(source.pixelData(0, 0, WIDTH, HEIGHT)) == before


@pytest.mark.parametrize("space", RAW + CONVERTED, ids=named)
def test_only_cloaked_pixels_change_and_alpha_never(make, space):
    document = make(*space)
    source = add(document)
    subject = canvas.look(document, source, False)
    pixel = len(subject.format.channels) * (1 if subject.format.depth == "u8" else 2)
    touched = set(random.Random(7).sample(range(WIDTH * HEIGHT), 400))

    def cloak(data):
        """The last byte of the first colour is the one that weighs most."""
        result = bytearray(data)
        for one in touched:
            result[one * pixel + (0 if subject.format.depth == "u8" else 1)] ^= 0x20
        return bytes(result)

    done = cloaked(subject, cloak)
    old, new = (bytes(one.pixelData(0, 0, WIDTH, HEIGHT)) for one in (source, done.layer))
    size, alpha = subject.colours.pixel_bytes, subject.colours.pixel_bytes // len(source.channels())
    changed = {one for one in range(WIDTH * HEIGHT) if old[one * size :][:size] != new[one * size :][:size]}
    assert changed <= touched
    assert len(changed) > 300
    for place in range(size - alpha, size):
        assert old[place::size] == new[place::size]


@pytest.mark.parametrize("space", [one for one in CONVERTED if one[1] != "U8"], ids=named)
def test_a_cloak_arrives_as_it_was_computed(make, space):
    """Colours that sRGB holds, in the middle of its range: what is seen of the new layer is the result."""
    document = make(*space)
    source = add(document)
    colours = Colours(Space.of(source))
    rng = random.Random(11)
    count = WIDTH * HEIGHT
    middle = [rng.randrange(20000, 45000) for _ in range(count * len(colours.channels))]
    middle[len(colours.channels) - 1 :: len(colours.channels)] = [65535] * count
    scratch = canvas.sheet(colours._target)
    paint(scratch, data=array("H", middle).tobytes())
    recolour(scratch, Space.of(source))
    paint(source, data=pixels(scratch, 0, 0, WIDTH, HEIGHT))

    def cloak(data):
        shift = [rng.randrange(-2000, 2001) for _ in range(count * len(colours.channels))]
        shift[len(colours.channels) - 1 :: len(colours.channels)] = [0] * count
        return array("H", map(sum, zip(array("H", data), shift, strict=True))).tobytes()

    subject = canvas.look(document, source, False)
    wanted = cloak(b"".join(canvas.Capture(subject).bands()))
    done = cloaked(subject, lambda _: wanted)
    seen = array("H", b"".join(canvas.Capture(canvas.look(document, done.layer, False)).bands()))
    errors = [abs(a - b) / 257 for a, b in zip(seen, array("H", wanted), strict=True)]
    mean = sum(errors) / len(errors)
    print(f"{named(space)}: largest error {max(errors):.2f} of 255, mean {mean:.3f}")
    assert mean < 1  # Krita's own way there and back loses up to 4.7 for CMYK


def test_black_ink_and_light_brighter_than_white_stay(make):
    """A plain conversion would make four inks of black and cut light off at white."""
    document = make("CMYKA", "U8")
    source = add(document, data=bytes([0, 0, 0, 255, 255]) * (WIDTH * HEIGHT))
    lighter = cloaked(canvas.look(document, source, False), brightened).layer
    cyan, magenta, yellow, black, alpha = bytes(lighter.pixelData(5, 5, 1, 1))
    assert max(cyan, magenta, yellow) < 20 and black > 235 and alpha == 255
    document = make("RGBA", "F32")
    source = add(document, data=struct.pack("<4f", 4, 0.5, 2, 1) * (WIDTH * HEIGHT))
    lighter = cloaked(canvas.look(document, source, False), brightened).layer
    red, green, blue, alpha = struct.unpack("<4f", bytes(lighter.pixelData(5, 5, 1, 1)))
    assert (red, blue, alpha) == (4, 2, 1) and 0.5 < green < 0.53


def brightened(data):
    samples = array("H", data)
    return array("H", (min(65535, one + 1000) for one in samples)).tobytes()


# ---- which pixels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(-37, -11, 90, 70), (100, 90, 300, 200), (-20, -30, 400, 300), (40, 30, 50, 60)])
def test_a_layer_is_taken_whole_wherever_it_lies(document, place):
    x, y, width, height = place
    data = noise("U8", width * height * 4)
    source = add(document, x=x, y=y, width=width, height=height, data=data)
    subject = canvas.look(document, source, False)
    assert subject.rectangle == place
    done = cloaked(subject)
    assert done.sent == data
    assert canvas.place_of(done.layer.bounds()) == place


@pytest.mark.parametrize("kind", ["paint", "group"])
def test_a_soft_selection_goes_along_and_the_rest_of_the_layer_is_kept(make, kind):
    document = make(width=400, height=300)
    whole = {"width": 400, "height": 300}
    source = add(document, **whole) if kind == "paint" else group_with(document, **whole)[0]
    before = pixels(source, 0, 0, 400, 300)
    soft = selection(150, 100, 60, 50)
    soft.feather(5)
    document.setSelection(soft)
    subject = canvas.look(document, source, True)
    document.setSelection(selection(0, 0, 400, 300))  # selecting something else makes no difference any more
    assert subject.rectangle == canvas.place_of(soft).grown(canvas.MARGIN)
    capture = canvas.Capture(subject)
    mask = b"".join(capture.mask_bands())
    assert mask == bytes(soft.pixelData(*subject.rectangle))
    assert len(mask) == subject.mask_format.size and len(set(mask)) > 10
    done = cloaked(subject, lambda data: bytes(len(data)), capture)
    assert pixels(done.layer, *subject.rectangle) == bytes(subject.format.size)
    for around in ((0, 0, 400, subject.rectangle.y), (0, 0, subject.rectangle.x, 300)):
        assert pixels(done.layer, *around) == pixels(source, *around)
    assert pixels(source, 0, 0, 400, 300) == before
    assert not done.insertion.opaque


def test_a_small_selection_is_submitted_with_what_lies_around_it(document):
    source = add(document)
    document.setSelection(selection(2, 3, 1, 1))
    subject = canvas.look(document, source, True)
    assert subject.rectangle == (0, 0, 67, 68)


def test_a_selection_beside_the_layer_is_refused(document):
    source = add(document, width=50, height=50)
    assert refusal(document, source, True).code == "no_selection"
    document.setSelection(selection(100, 0, 50, 50))
    assert refusal(document, source, True).code == "no_selection"


def test_a_group_is_taken_as_it_is_seen(document):
    group, painted = group_with(document)
    group.setOpacity(128)
    group.setBlendingMode("multiply")
    group.setColorLabel(4)
    subject = canvas.look(document, group, False)
    assert subject.notes == ("projection",)
    done = cloaked(subject)
    assert done.sent == bytes(painted.pixelData(0, 0, WIDTH, HEIGHT))
    assert (done.layer.type(), done.layer.opacity(), done.layer.blendingMode()) == ("paintlayer", 128, "multiply")
    assert (done.layer.colorLabel(), done.layer.visible(), done.layer.name()) == (4, True, "Glazed")
    assert not done.insertion.opaque


def test_a_group_of_another_colour_model_than_its_layers(make):
    document = make("CMYKA", "U8")
    group = document.createGroupLayer("Group")
    document.rootNode().addChildNode(group, None)
    inner = document.createNode("Inner", "paintlayer")
    inner.setColorSpace("RGBA", "U8", SRGB)
    paint(inner)
    group.addChildNode(inner, None)
    settle(document)
    done = cloaked(canvas.look(document, group, False))
    assert done.layer.colorModel() == "CMYKA"
    assert pixels(done.layer, 0, 0, WIDTH, HEIGHT) == pixels(group, 0, 0, WIDTH, HEIGHT)


def test_a_layer_of_another_colour_model_than_its_document(make):
    document = make("CMYKA", "U8")
    inner = document.createNode("Inner", "paintlayer")
    inner.setColorSpace("RGBA", "U8", SRGB)
    data = paint(inner)
    document.rootNode().addChildNode(inner, None)
    done = cloaked(canvas.look(document, inner, False))
    assert Space.of(done.layer) == Space("RGBA", "U8", SRGB)
    assert done.sent == data == bytes(done.layer.pixelData(0, 0, WIDTH, HEIGHT))


def test_for_a_mask_its_layer_is_cloaked_as_the_mask_shows_it(document):
    source = add(document)
    mask = document.createFilterMask("Mask", Krita.instance().filter("invert"), selection(0, 0, 50, HEIGHT))
    source.addChildNode(mask, None)
    settle(document)
    subject = canvas.look(document, mask, False)
    assert subject.name == "Painting"
    assert subject.notes == ("mask", "projection")
    done = cloaked(subject)
    assert done.sent == pixels(source, 0, 0, WIDTH, HEIGHT) != bytes(source.pixelData(0, 0, WIDTH, HEIGHT))
    assert not done.layer.childNodes()


def test_a_mask_may_show_a_layer_where_nothing_is_painted(document):
    source = add(document, x=20, y=20, width=40, height=40)
    source.addChildNode(document.createTransformMask("Mask"), None)
    settle(document)
    assert canvas.look(document, source, False).rectangle == (0, 0, WIDTH, HEIGHT)


def test_a_mask_without_a_layer_is_refused(document):
    mask = document.createSelectionMask("Selection")
    document.rootNode().addChildNode(mask, None)
    assert refusal(document, mask, False).code == "mask"


def test_fill_clone_and_filter_layers(document):
    source = add(document)
    clone = document.createCloneLayer("Clone", source)
    document.rootNode().addChildNode(clone, None)
    colour = InfoObject()
    colour.setProperties({"color": "#ff8040"})
    fill = document.createFillLayer("Fill", "color", colour, selection(0, 0, WIDTH, HEIGHT))
    document.rootNode().addChildNode(fill, None)
    for _ in range(100):  # Krita fills it when it finds the time
        if any(pixels(fill, 0, 0, 1, 1)):
            break
        time.sleep(0.02)
        settle(document)
    done = cloaked(canvas.look(document, clone, False))
    assert done.sent == bytes(source.pixelData(0, 0, WIDTH, HEIGHT))
    done = cloaked(canvas.look(document, fill, False))
    assert done.sent == bytes([0x40, 0x80, 0xFF, 0xFF]) * (WIDTH * HEIGHT)
    filters = document.createFilterLayer("Filter", Krita.instance().filter("invert"), selection(0, 0, 50, 50))
    document.rootNode().addChildNode(filters, None)
    assert refusal(document, filters, False).code == "empty"


def test_the_artist_is_told_of_what_may_surprise(document):
    group, source = group_with(document)
    source.setLocked(True)
    source.enableAnimation()
    group.setVisible(False)
    subject = canvas.look(document, source, False)
    assert subject.notes == ("hidden", "locked", "animated")
    done = cloaked(subject)
    assert done.sent == bytes(source.pixelData(0, 0, WIDTH, HEIGHT))
    assert (done.layer.visible(), done.layer.locked(), done.layer.animated()) == (True, False, False)
    group.setVisible(True)
    assert canvas.look(document, group, False).notes == ("animated", "projection")
    assert canvas.look(document, add(document), False).notes == ()


def test_what_cannot_be_cloaked_is_refused(document):
    assert refusal(None, None, False).code == "no_document"
    assert refusal(document, None, False).code == "no_layer"
    empty = document.createNode("Empty", "paintlayer")
    document.rootNode().addChildNode(empty, None)
    assert refusal(document, empty, False).code == "empty"
    vectors = document.createVectorLayer("Vectors")
    document.rootNode().addChildNode(vectors, None)
    assert refusal(document, vectors, False).code == "empty"
    small = refusal(document, add(document, width=31, height=100), False)
    assert (small.code, small.details) == ("too_small", {"width": 31, "height": 100, "limit": canvas.MIN_SIDE})
    wide = add(document)
    paint(wide, x=MAX_SIDE, width=1, height=1)
    assert refusal(document, wide, False).code == "too_large"
    group, _ = group_with(document)
    group.setPassThroughMode(True)
    assert refusal(document, group, False).code == "pass_through"


def test_the_smallest_layer_is_taken(document):
    assert canvas.look(document, add(document, width=canvas.MIN_SIDE, height=canvas.MIN_SIDE), False)


def test_the_whole_picture(document):
    add(document, x=-20, y=10, width=400, height=50)
    subject = canvas.look_at_all(document)
    assert subject.rectangle == (0, 0, WIDTH, HEIGHT)
    capture = canvas.Capture(subject)
    sent = b"".join(capture.bands())
    assert sent == bytes(document.pixelData(0, 0, WIDTH, HEIGHT))
    insertion = canvas.Insertion(capture, capture.new_layer("Glazed"))
    insertion.take(sent)
    assert pixels(insertion.layer(), 0, 0, WIDTH, HEIGHT) == sent


# ---- while time goes by ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["paint", "group"])
def test_later_painting_makes_no_difference_and_is_noticed(document, kind):
    source, painted = (add(document),) * 2 if kind == "paint" else group_with(document)
    subject = canvas.look(document, source, False)
    before = pixels(source, 0, 0, WIDTH, HEIGHT)
    assert not cloaked(subject).insertion.changed
    capture = canvas.Capture(subject)
    assert b"".join(capture.bands()) == before
    paint(painted, data=bytes(WIDTH * HEIGHT * 4))
    document.refreshProjection()
    document.waitForDone()
    done = cloaked(subject, capture=capture)
    assert done.sent == before == pixels(done.layer, 0, 0, WIDTH, HEIGHT)
    assert done.insertion.changed


def test_a_capture_can_be_read_again_from_the_start(make):
    document = make(width=1000, height=900)
    group, _ = group_with(document, width=1000, height=900)
    capture = canvas.Capture(canvas.look(document, group, False))
    first = capture.bands()
    begun = [next(first), next(first)]
    bands = list(capture.bands())
    assert bands[:2] == begun
    assert len(bands) == len(capture.subject.strips) == 4
    assert max(map(len, bands)) <= canvas.BAND
    assert b"".join(bands) == pixels(group, 0, 0, 1000, 900)


def test_a_result_of_another_size_is_not_put_in(document):
    source = add(document)
    subject = canvas.look(document, source, False)
    nodes = len(document.rootNode().childNodes())
    for change in (lambda data: data[:-1], lambda data: b"", lambda data: data + b"\0"):
        with pytest.raises(GlazeError, match="than the layer that was cloaked") as caught:
            cloaked(subject, change)
        assert caught.value.code == "result_size"
    assert len(document.rootNode().childNodes()) == nodes


def test_a_layer_that_has_gone_gets_no_cloak(document):
    source = add(document)
    add(document)
    subject = canvas.look(document, source, False)
    capture = canvas.Capture(subject)
    source.remove()
    with pytest.raises(GlazeError) as caught:
        cloaked(subject, capture=capture)
    assert caught.value.code == "layer_gone"


@pytest.mark.parametrize("depth", ["U8", "F32"])
def test_a_closed_picture_is_left_alone(make, depth):
    """Krita would crash."""
    document = make("RGBA", depth)
    capture = canvas.Capture(canvas.look(document, add(document), False))
    bands = capture.bands()
    band = next(bands)
    insertion = canvas.Insertion(capture, capture.new_layer("Glazed"))
    document.close()
    assert list(bands) == list(capture.bands()) == []
    for doing in (lambda: insertion.take(band), insertion.finish):
        with pytest.raises(GlazeError):
            doing()


def test_the_cloak_lies_directly_above_its_source_and_looks_like_it(document):
    group, source = group_with(document)
    add(document, group, name="Above")
    source.setOpacity(77)
    source.setBlendingMode("screen")
    source.setInheritAlpha(True)
    source.channels()[0].setVisible(False)
    layer = cloaked(canvas.look(document, source, False)).layer
    assert [one.name() for one in group.childNodes()] == ["Painting", "Glazed", "Above"]
    for one in (layer, source):
        assert (one.opacity(), one.blendingMode(), one.inheritAlpha()) == (77, "screen", True)
    assert not layer.channels()[0].visible()


@pytest.mark.parametrize("depth", ["U8", "U16", "F32"])
def test_whether_the_cloak_hides_its_source(make, depth):
    document = make("RGBA", depth)
    one = {"U8": b"\xff", "U16": b"\xff\xff", "F32": struct.pack("<f", 1)}[depth]
    solid = one * (4 * WIDTH * HEIGHT)
    source = add(document, data=solid)
    assert cloaked(canvas.look(document, source, False)).insertion.opaque
    source.setOpacity(254)
    assert not cloaked(canvas.look(document, source, False)).insertion.opaque
    veil = add(document, data=solid[: -len(one)] + bytes(len(one) - 1) + b"\x3e")
    assert not cloaked(canvas.look(document, veil, False)).insertion.opaque

"""Between a document's layer and the raster that travels to the daemon. No socket and no widget in it.

A subject is what will be cloaked, a capture its pixels as they were at that moment, an insertion the way back. Each
works in strips of whole rows, so that no step takes long and nothing is held twice.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from glaze_plugin.errors import GlazeError
from glaze_plugin.messages import BAND
from glaze_plugin.raster import MAX_PIXELS, MAX_SIDE, RasterFormat, Rectangle
from glaze_plugin.samples import opaque

from .colour import Colours, Space, pixels, sheet

MIN_SIDE = 32
"""px; the engine's own limit."""
MARGIN = 64
"""px around a selection that are submitted with it, so that the engine sees where it lies."""
CONVERTED = 1 << 14
"""px in a strip whose colours are converted, which takes longer than sending it."""
COPIED = 4 << 20
"""Bytes in a strip that is only copied."""
REACHING = ("filtermask", "transformmask", "colorizemask")
"""Masks by which a layer is seen where nothing is painted on it."""


class Refusal(Exception):
    """Why something cannot be cloaked.

    code: "no_document", "no_layer", "mask", "pass_through", "empty", "no_selection", "too_small", "too_large" or
    "colours". details: numbers for the sentence, such as width, height and limit, px.
    """

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


@dataclass(frozen=True)
class Subject:
    """What will be cloaked.

    node: a layer, or the root for the whole picture. bounds: all of it; rectangle: what is submitted. selection: a copy
    of the selection, None for the whole layer. plain: whether the layer's own pixels are what is seen of it, and can be
    copied without copying them; else they are read through its projection.
    notes: what to tell the artist: "mask" (a mask was chosen, its layer is cloaked), "hidden", "locked", "animated"
    (the present frame alone is cloaked), "projection" (what is seen of a group or of a layer that is not just paint).
    """

    document: Any
    node: Any
    name: str
    colours: Colours
    bounds: Rectangle
    rectangle: Rectangle
    selection: Any
    plain: bool
    notes: tuple[str, ...]

    @property
    def open(self) -> bool:
        """Whether its document still is; converting colours in a closed one crashes Krita."""
        return self.document.rootNode() is not None

    @property
    def format(self) -> RasterFormat:
        """Of the picture that is submitted."""
        return RasterFormat(self.rectangle.width, self.rectangle.height, self.colours.channels, self.colours.depth)

    @property
    def mask_format(self) -> RasterFormat | None:
        """Of the selection that is submitted, white where the cloak goes; None for the whole layer."""
        return RasterFormat(self.rectangle.width, self.rectangle.height, "G", "u8") if self.selection else None

    @property
    def band_bytes(self) -> int:
        """How much of a result to take in one step."""
        return self.format.row_bytes * self.strips[0].height

    @property
    def strips(self) -> list[Rectangle]:
        """The pieces in which it is read and written, the same for both: rounding must be the same."""
        rows = self.format.band_rows(BAND) if self.colours.raw else max(1, CONVERTED // self.rectangle.width)
        return list(self.rectangle.strips(rows))

    @property
    def copied_strips(self) -> Iterator[Rectangle]:
        """The pieces in which all of it is only copied."""
        return self.bounds.strips(max(1, COPIED // (self.bounds.width * self.colours.pixel_bytes)))


def look(document: Any, node: Any, selected: bool) -> Subject:
    """What cloaking a node of a document means. selected: only the selected part of it.

    For a mask it is the layer that the mask belongs to. Raises Refusal.
    """
    if document is None:
        raise Refusal("no_document")
    if node is None:
        raise Refusal("no_layer")
    notes = []
    if node.type().endswith("mask"):
        notes.append("mask")
        node = node.parentNode()
        if node is None or node.parentNode() is None:  # the selection that is shown as a mask belongs to no layer
            raise Refusal("mask")
    if getattr(node, "passThroughMode", bool)():
        raise Refusal("pass_through")
    if node.type() == "filterlayer":  # it shows what lies below
        raise Refusal("empty")
    return _subject(document, node, _bounds(document, node), selected, notes)


def look_at_all(document: Any) -> Subject:
    """The whole picture as it is seen, for a cloaked copy in a file of its own. Raises Refusal."""
    if document is None:
        raise Refusal("no_document")
    return _subject(document, document.rootNode(), _canvas(document), False, [])


def _subject(document: Any, node: Any, bounds: Rectangle, selected: bool, notes: list[str]) -> Subject:
    if bounds.empty:
        raise Refusal("empty")
    selection = document.selection() if selected else None
    rectangle = bounds
    if selected:
        if selection is None or (place_of(selection) & bounds).empty:
            raise Refusal("no_selection")
        rectangle = place_of(selection).grown(MARGIN) & bounds
    size = {"width": rectangle.width, "height": rectangle.height}
    if min(size.values()) < MIN_SIDE:
        raise Refusal("too_small", **size, limit=MIN_SIDE)
    if max(size.values()) > MAX_SIDE or rectangle.width * rectangle.height > MAX_PIXELS:
        raise Refusal("too_large", **size, limit=MAX_SIDE)
    try:
        colours = Colours(Space.of(node))
    except GlazeError as error:
        raise Refusal(error.code) from None
    animated = any(one.animated() for one in _family(node))
    plain = node.type() == "paintlayer" and not node.childNodes() and not animated
    if _hidden(node):
        notes.append("hidden")
    if node.locked():
        notes.append("locked")
    if animated:
        notes.append("animated")
    if node.type() != "paintlayer" or node.childNodes():
        notes.append("projection")
    copy = selection.duplicate() if selection else None
    return Subject(document, node, node.name(), colours, bounds, rectangle, copy, plain, tuple(notes))


def _bounds(document: Any, node: Any) -> Rectangle:
    """Everything of a node that can be seen, also outside of the canvas."""
    painted = place_of(node.bounds())
    reaching = any(child.type() in REACHING for child in node.childNodes())
    return painted | _canvas(document) if reaching else painted


def place_of(shape: Any) -> Rectangle:
    """Of a QRect or a Selection, in the image's coordinates."""
    return Rectangle(shape.x(), shape.y(), shape.width(), shape.height())


def _canvas(document: Any) -> Rectangle:
    return Rectangle(0, 0, document.width(), document.height())


def _family(node: Any) -> Iterator[Any]:
    """A node and everything in it."""
    yield node
    for child in node.childNodes():
        yield from _family(child)


def _hidden(node: Any) -> bool:
    while node is not None and node.visible():
        node = node.parentNode()
    return node is not None


class Capture:
    """A subject's pixels as they are now, whatever is painted later.

    A plain layer is copied at once, sharing its memory with the layer. Anything else is copied strip by strip while it
    is read for the first time; `Insertion.changed` tells whether it was painted on meanwhile. Of that, what is animated
    is copied at once, and so is what lies around a selection, which takes about 1 ms per MiB.
    digest: tells what was copied at once from anything else.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._time = subject.document.currentTime()
        self._sums: dict[Rectangle, int] = {}
        if subject.plain:
            self._copy = subject.node.duplicate()
        else:
            self._copy = sheet(subject.colours.space)
        self._missing = set() if subject.plain else set(subject.strips)
        self.digest = b""
        if self._missing and (subject.selection or "animated" in subject.notes):
            digest = hashlib.blake2b(repr(subject.bounds).encode())
            for strip in subject.copied_strips:
                data = pixels(subject.node, *strip)
                digest.update(data)
                self._copy.setPixelData(data, *strip)
            self._missing.clear()
            self.digest = digest.digest()

    def bands(self) -> Iterator[bytes]:
        """The picture in bands of whole rows, as `subject.format` says; from the start at each call.

        They end where the document is closed.
        """
        colours = self.subject.colours
        for strip in self.subject.strips:
            if not self.subject.open:
                return
            own = self.own(strip)
            self._sums[strip] = zlib.crc32(own)
            yield colours.submitted(own)

    def mask_bands(self) -> Iterator[bytes]:
        """The selection in bands of whole rows, as `subject.mask_format` says."""
        rows = max(1, BAND // self.subject.rectangle.width)
        for strip in self.subject.rectangle.strips(rows):
            yield bytes(self.subject.selection.pixelData(*strip))

    def own(self, strip: Rectangle) -> bytes:
        """The layer's own pixels in one of the subject's strips."""
        if strip in self._missing:
            self._copy.setPixelData(pixels(self.subject.node, *strip), *strip)
            self._missing.discard(strip)
        return pixels(self._copy, *strip)

    def changed(self, strip: Rectangle) -> bool:
        """Whether the layer has been painted on in a strip that was read; of another frame nothing is known."""
        if strip not in self._sums or self.subject.document.currentTime() != self._time:
            return False
        return zlib.crc32(pixels(self.subject.node, *strip)) != self._sums[strip]

    def new_layer(self, name: str) -> Any:
        """A paint layer, in no document yet, that looks like the captured one."""
        layer, node = self._copy.duplicate(), self.subject.node
        layer.setName(name)
        layer.setVisible(True)
        layer.setLocked(False)
        if not self.subject.plain:
            layer.setOpacity(node.opacity())
            layer.setBlendingMode(node.blendingMode())
            layer.setInheritAlpha(node.inheritAlpha())
            layer.setColorLabel(node.colorLabel())
            if node.layerStyleToAsl():
                layer.setLayerStyleFromAsl(node.layerStyleToAsl())
        return layer


class Insertion:
    """Writes a result into a new layer above the source, which itself is never written.

    The new layer holds the whole of the source, cloaked where the result is: it looks right alone.
    changed: whether the source has been painted on since it was captured, where strips were taken so far.
    opaque: whether the new layer hides the source; else both must not be shown at once. With a selection it is False.
    """

    def __init__(self, capture: Capture, layer: Any) -> None:
        """layer: one that looks like the captured one, such as its `new_layer`, in no document yet."""
        subject = capture.subject
        self.changed = False
        self.opaque = not subject.selection and _covers(subject.node)
        self._capture = capture
        self._layer = layer
        self._strips = subject.strips
        self._waiting = bytearray()

    def take(self, band: bytes) -> None:
        """The next bytes of the result. Raises GlazeError for more than were submitted and for a closed document."""
        self._check_open()
        self._waiting += band
        row = self._capture.subject.format.row_bytes
        while self._strips and len(self._waiting) >= row * self._strips[0].height:
            strip = self._strips.pop(0)
            self._write(strip, bytes(self._waiting[: row * strip.height]))
            del self._waiting[: row * strip.height]
        if not self._strips and self._waiting:
            raise GlazeError("result_size", "The result is larger than the layer that was cloaked.")

    def layer(self) -> Any:
        """The finished layer, in no document yet. Raises GlazeError for a result that is not whole."""
        if self._strips:
            raise GlazeError("result_size", "The result is smaller than the layer that was cloaked.")
        return self._layer

    def finish(self) -> Any:
        """Put the layer above its source, in one undo step, and return it.

        Raises GlazeError for a result that is not whole, a document that is closed or a source that was deleted.
        """
        layer, source = self.layer(), self._capture.subject.node
        self._check_open()
        parent = source.parentNode()
        if parent is None:
            raise GlazeError("layer_gone", "The layer was deleted.")
        parent.addChildNode(layer, source)
        return layer

    def _check_open(self) -> None:
        if not self._capture.subject.open:
            raise GlazeError("closed", "The picture was closed.")

    def _write(self, strip: Rectangle, result: bytes) -> None:
        capture, colours = self._capture, self._capture.subject.colours
        self.changed = self.changed or capture.changed(strip)
        self.opaque = self.opaque and opaque(result, capture.subject.format)
        own = colours.returned(capture.own(strip), result)
        self._layer.setPixelData(own, *strip)


def differ(one: Any, other: Any, subject: Subject) -> bool:
    """Whether two layers look different anywhere within a subject's bounds."""
    return any(pixels(one, *strip) != pixels(other, *strip) for strip in subject.copied_strips)


def _covers(node: Any) -> bool:
    """Whether an opaque copy above a layer hides it."""
    plainly = node.opacity() == 255 and node.blendingMode() == "normal"
    return plainly and not node.inheritAlpha() and not node.layerStyleToAsl()

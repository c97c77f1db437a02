"""What of an image is cloaked, its pixels as they were at that moment, and the way back. No socket, no widget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from glaze_plugin.bands import Content, Stream
from glaze_plugin.errors import GlazeError
from glaze_plugin.messages import BAND
from glaze_plugin.raster import MAX_PIXELS, MAX_SIDE, RasterFormat, Rectangle
from glaze_plugin.samples import opaque

from . import pixels
from .host import Gegl, Gimp
from .pixels import Samples
from .texts import tr

MIN_SIDE = 32
"""px; the engine's own limit."""
CLOSED = "The picture was closed, so its cloak was dropped."
MARGIN = 64
"""px around a selection that are submitted with it, so that the engine sees where it lies."""


class Refusal(Exception):
    """Why something cannot be cloaked.

    code: "indexed", "floating", "no_layer", "channel", "empty", "no_selection", "too_small" or "too_large".
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def check_image(image: Any) -> None:
    """Raises Refusal for an image into which no cloaked layer can be put."""
    if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
        raise Refusal("indexed")
    if image.get_floating_sel() is not None:
        raise Refusal("floating")


def chosen(image: Any, drawables: list[Any]) -> tuple[list[Any], list[str]]:
    """The layers that are meant, each once, and what to tell the artist. Raises Refusal.

    Of a layer mask it is the layer. The notes are "mask", "hidden", "locked", "projection" (what is seen of a group).
    """
    check_image(image)
    layers: dict[int, Any] = {}
    notes: dict[str, None] = {}
    for drawable in drawables:
        if drawable.is_layer_mask():
            notes["mask"] = None
            drawable = Gimp.Layer.from_mask(drawable)
        if not drawable.is_layer():
            raise Refusal("channel")
        layers[drawable.get_id()] = drawable
    if not layers:
        raise Refusal("no_layer")
    for layer in layers.values():
        area(image, layer)
        if not all(one.get_visible() for one in _with_parents(layer)):
            notes["hidden"] = None
        if layer.get_lock_content():
            notes["locked"] = None
        if layer.is_group():
            notes["projection"] = None
    return list(layers.values()), list(notes)


def area(image: Any, layer: Any) -> Rectangle:
    """What of a layer is submitted, in its own coordinates: all, or what is selected with a margin. Raises Refusal."""
    whole = extent(layer)
    found = whole
    if not Gimp.Selection.is_empty(image):
        there, x, y, width, height = layer.mask_intersect()
        if not there:
            raise Refusal("no_selection")
        found = Rectangle(x, y, width, height).grown(MARGIN) & whole
    if layer.is_group() and not layer.get_children():
        raise Refusal("empty")
    if min(found.width, found.height) < MIN_SIDE:
        raise Refusal("too_small")
    if max(found.width, found.height) > MAX_SIDE or found.width * found.height > MAX_PIXELS:
        raise Refusal("too_large")
    return found


def extent(layer: Any) -> Rectangle:
    return Rectangle(0, 0, layer.get_width(), layer.get_height())


def offsets(item: Any) -> tuple[int, int]:
    _, x, y = item.get_offsets()
    return x, y


def _with_parents(item: Any) -> Iterator[Any]:
    while item is not None:
        yield item
        item = item.get_parent()


class Place:
    """An image, and the window in which it was shown when the plug-in was called.

    A closed image lives on while plug-ins work on it, so it is its window that tells. Of an image with two windows the
    one counts from which the plug-in was called; a script has none.
    """

    def __init__(self, image: Any) -> None:
        self.image = image
        self._display = Gimp.default_display()

    @property
    def closed(self) -> bool:
        return not self.image.is_valid() or (self._display is not None and not self._display.is_valid())


class Capture:
    """A layer as it is now, whatever becomes of it, and the layer that its cloak is put into.

    before, after: layers in no image, which share their memory with the source until they differ. opaque: whether
    `after` hides the source; else both must not be seen at once. Drop it with `close`.
    """

    def __init__(self, place: Place, source: Any) -> None:
        """Raises Refusal."""
        image = place.image
        self.place, self.source, self.name = place, source, source.get_name()
        self.selection = None if Gimp.Selection.is_empty(image) else image.get_selection().copy()
        chosen = area(image, source)
        self._offsets = offsets(source)
        self._kind = Kind.of(image)
        self.before = _plain_copy(image, source)
        self._shift = tuple(mine - own for mine, own in zip(offsets(self.before), self._offsets, strict=True))
        # filters may have made the copy larger than the layer; then all of it is submitted
        same = extent(self.before) == extent(source) and self._shift == (0, 0)
        self.where = chosen if same or self.selection else extent(self.before)
        if self.selection and not same:
            self.where = chosen.moved(*(-value for value in self._shift)) & extent(self.before)
        self.after = self.before.copy()
        self.after.set_name(tr("Glazed: {name}", name=self.name))
        self.samples = Samples(self.before)
        self.layout = self.samples.layout(self.where)
        self.opaque = _covers(source) and not (self.selection and self.before.has_alpha())
        self._rows = self.samples.rows(self.where)
        self._left = list(self.where.strips(self._rows))
        self._written = self.after.get_buffer()
        self._read = self.before.get_buffer()

    @property
    def band_bytes(self) -> int:
        """How much of the result to fetch at a time: what `take` is called with."""
        return self._rows * self.layout.row_bytes

    def parts(self) -> dict[str, Content]:
        """What to submit; read while it is sent."""
        parts: dict[str, Content] = {"picture": Stream(self.layout, self._bands)}
        if self.selection:
            mask = RasterFormat(self.where.width, self.where.height, "G", "u8")
            parts["mask"] = Stream(mask, self._mask_bands)
        if self._kind.profile:
            parts["picture_profile"] = self._kind.profile
        return parts

    def take(self, band: bytes) -> None:
        """The next bytes of the result. Raises GlazeError for more than were submitted."""
        if not self._left:
            raise GlazeError("result_size", "The result is larger than the layer that was cloaked.")
        strip, result = self._left.pop(0), bytes(band)
        self.opaque = self.opaque and opaque(result, self.layout)
        own = self.samples.returned(self._read, strip, result)
        self._written.set(Gegl.Rectangle.new(*strip), self.samples.native, own)

    def finish(self) -> None:
        """All of the result has come. Raises GlazeError for one that is not whole."""
        if self._left:
            raise GlazeError("result_size", "The result is smaller than the layer that was cloaked.")
        self._written.flush()
        self.after.update(*extent(self.after))

    def trouble(self) -> str:
        """Why the cloak cannot be put into the image any more, "" where it can."""
        image = self.place.image
        if self.place.closed:
            return tr(CLOSED)
        if not self.source.is_valid() or not _attached(image, self.source):
            return tr("The layer was deleted, so its cloak was dropped.")
        if Kind.of(image) != self._kind:
            return tr("The picture has other colours now, so its cloak does not fit any more.")
        return ""

    def insert(self, opacity: float = 1.0) -> Any:
        """Put the cloaked layer above its source and return it; the caller makes one undo step of it.

        opacity: the cloak's, where it hides the source. Raises GlazeError where `trouble` tells why.
        """
        trouble = self.trouble()
        if trouble:
            raise GlazeError("gone", trouble)
        image, source, layer = self.place.image, self.source, self.after
        if self.opaque and opacity < 1:
            layer.set_opacity(100 * opacity)
        x, y = (now + shift for now, shift in zip(offsets(source), self._shift, strict=True))
        layer.set_offsets(x, y)
        image.insert_layer(layer, source.get_parent(), image.get_item_position(source))
        if not self.opaque:
            source.set_visible(False)
        self.after = None
        return layer

    def close(self) -> None:
        """Drop what was not put into the image."""
        self._written = self._read = None
        for layer in (self.before, self.after, self.selection):
            if layer is not None and layer.is_valid():
                layer.delete()
        self.before = self.after = self.selection = None

    def _bands(self) -> Iterator[bytes]:
        for strip in self.where.strips(self._rows):
            yield pixels.pixels(self._read, strip, self.samples.submitted)

    def _mask_bands(self) -> Iterator[bytes]:
        """The selection where the layer is; the layer may reach beyond the canvas, where nothing is selected."""
        canvas, buffer, format = extent(self.selection), self.selection.get_buffer(), pixels.weights(self.selection)
        left, top = (own + shift for own, shift in zip(self._offsets, self._shift, strict=True))
        for strip in self.where.strips(max(1, BAND // self.where.width)):
            wanted = strip.moved(left, top)
            there = wanted & canvas
            if there == wanted:
                yield pixels.pixels(buffer, wanted, format)
                continue
            band = bytearray(wanted.width * wanted.height)
            if not there.empty:
                rows = pixels.pixels(buffer, there, format)
                for row in range(there.height):
                    start = (there.y - wanted.y + row) * wanted.width + there.x - wanted.x
                    band[start : start + there.width] = rows[row * there.width : (row + 1) * there.width]
            yield bytes(band)


def put_in(captures: list[Capture], opacity: float = 1.0) -> list[Any]:
    """Insert the cloaked layers in one undo step and return them. Raises GlazeError; what fits is put in then, too."""
    image = captures[0].place.image
    troubles = [trouble for trouble in (capture.trouble() for capture in captures) if trouble]
    if len(troubles) == len(captures):
        raise GlazeError("gone", troubles[0])
    image.undo_group_start()
    try:
        made = [capture.insert(opacity) for capture in captures if not capture.trouble()]
    finally:
        image.undo_group_end()
    Gimp.displays_flush()
    return made


class Kind(NamedTuple):
    """What the meaning of an image's samples depends on."""

    base: Any
    precision: Any
    profile: bytes

    @classmethod
    def of(cls, image: Any) -> Kind:
        profile = image.get_color_profile()
        return cls(image.get_base_type(), image.get_precision(), bytes(profile.get_icc_profile()) if profile else b"")


def _attached(image: Any, layer: Any) -> bool:
    """Whether a layer is in its image; a deleted one lives on in the undo history."""
    *_, top = _with_parents(layer)
    return top.get_id() in {one.get_id() for one in image.get_layers()}


def _covers(layer: Any) -> bool:
    """Whether an opaque copy above a layer hides it."""
    plainly = layer.get_opacity() == 100 and layer.get_mode() in (Gimp.LayerMode.NORMAL, Gimp.LayerMode.NORMAL_LEGACY)
    return plainly and layer.get_mask() is None


def _plain_copy(image: Any, source: Any) -> Any:
    """A layer of pixels, in no image, that looks like the source with its filters; unlocked and visible."""
    if type(source) is Gimp.Layer:
        layer = source.copy()
        if layer.get_filters():
            layer.merge_filters()
        layer.set_lock_content(False)
        layer.set_lock_position(False)
        layer.set_lock_alpha(False)
        layer.set_visible(True)
        return layer
    if source.get_filters():
        return _merged(image, source)
    return _drawn(image, source, source)


def _drawn(image: Any, seen: Any, like: Any) -> Any:
    """A layer of the pixels that are seen of one drawable, with the properties of a layer."""
    width, height, mode = seen.get_width(), seen.get_height(), like.get_mode()
    if mode == Gimp.LayerMode.PASS_THROUGH:
        mode = Gimp.LayerMode.NORMAL
    layer = Gimp.Layer.new(image, like.get_name(), width, height, seen.type(), like.get_opacity(), mode)
    layer.set_blend_space(like.get_blend_space())
    layer.set_composite_space(like.get_composite_space())
    layer.set_composite_mode(like.get_composite_mode())
    layer.set_offsets(*offsets(seen))
    pixels.copy(seen, layer)
    mask = like.get_mask()
    if mask and (mask.get_width(), mask.get_height()) == (width, height):
        copied = layer.create_mask(Gimp.AddMaskType.WHITE)
        layer.add_mask(copied)
        pixels.copy(mask, copied)
        layer.set_apply_mask(like.get_apply_mask())
    return layer


def _merged(image: Any, source: Any) -> Any:
    """The same for what is no plain layer and has filters: GIMP merges them in a copy of the image."""
    double = image.duplicate()
    try:
        path = []
        for one in _with_parents(source):
            path.insert(0, image.get_item_position(one))
        siblings = double.get_layers()
        for position in path:
            twin = siblings[position]
            siblings = twin.get_children() if twin.is_group() else []
        if twin.is_group():
            twin = twin.merge()
        else:
            twin.merge_filters()
        return _drawn(image, twin, source)
    finally:
        double.delete()

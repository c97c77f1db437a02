"""The picture in a dialog: before, after and the difference, as a whole or a part at full size."""

from __future__ import annotations

from typing import Any

from glaze_plugin.messages import Preview
from glaze_plugin.raster import Rectangle

from . import pixels
from .host import GLib
from .layers import extent
from .screen import Gdk, GdkPixbuf, Gtk
from .texts import tr

WIDTH, HEIGHT = 460, 320
STRIP_ROWS = 16
SHOWN = "R'G'B'A u8"
"""sRGB, as screens have it."""
AMPLIFIED = 8
SHADES = bytes(min(max(128 + AMPLIFIED * step, 0), 255) for step in range(-255, 256))
"""What is shown of a sample's change, by change + 255."""
CHECKS = (8, 0x00999999, 0x00BBBBBB)
"""Size, px, and colours of the squares behind what is transparent."""
VIEWS = (("before", "_Before"), ("after", "_After"), ("difference", "_Difference ×8"))


class Picture(Gtk.Box):
    """Shows `before` alone, what comes of the cloak while it is worked on, or both layers when there are both.

    opacity: of the cloak over the layer, 0..1.
    """

    def __init__(self) -> None:
        super().__init__(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        self.opacity = 1.0
        self._before = self._after = self._live = None
        self._known: dict[Any, Any] = {}
        self._where = (0.5, 0.5)
        self._drag: tuple[float, float] | None = None
        self._image = Gtk.Image()
        self._image.set_size_request(WIDTH, HEIGHT)
        area = Gtk.EventBox()
        area.add(self._image)
        area.add_events(Gdk.EventMask.BUTTON_PRESS_MASK | Gdk.EventMask.POINTER_MOTION_MASK)
        area.connect("button-press-event", self._pressed)
        area.connect("motion-notify-event", self._dragged)
        frame = Gtk.Frame()
        frame.add(area)
        self.pack_start(frame, True, True, 0)
        bar = Gtk.Box(spacing=6)
        self._views: dict[str, Any] = {}
        first = None
        for name, text in VIEWS:
            button = Gtk.RadioButton.new_with_mnemonic_from_widget(first, tr(text))
            first = first or button
            button.connect("toggled", lambda _: self._draw())
            bar.pack_start(button, False, False, 0)
            self._views[name] = button
        self._full = Gtk.CheckButton.new_with_mnemonic(tr("_Full size"))
        self._full.connect("toggled", lambda _: self._draw())
        bar.pack_end(self._full, False, False, 0)
        self.pack_start(bar, False, False, 0)

    def show_layers(self, before: Any, after: Any = None) -> None:
        """after: None while there is no result."""
        self._before, self._after, self._live = before, after, None
        self._known.clear()
        self._views["after" if after else "before"].set_active(True)
        self._enable()
        self._draw()

    def show_live(self, preview: Preview) -> None:
        """What the engine has so far."""
        layout = preview.raster
        data, known = GLib.Bytes.new(bytes(preview.payload)), self._live is not None
        self._live = GdkPixbuf.Pixbuf.new_from_bytes(
            data, GdkPixbuf.Colorspace.RGB, False, 8, layout.width, layout.height, layout.row_bytes
        )
        self._enable()
        if not known:  # later on the artist may look at what was before
            self._views["after"].set_active(True)
        self._draw()

    def _enable(self) -> None:
        self._views["after"].set_sensitive(bool(self._after or self._live))
        self._views["difference"].set_sensitive(bool(self._after))
        self._full.set_sensitive(not self._live)

    def redraw(self) -> None:
        self._draw()

    def _draw(self) -> None:
        view = next(name for name, button in self._views.items() if button.get_active())
        if self._before is None or not self._before.is_valid():
            return
        if view == "before" or not (self._after or self._live):
            shown = self._seen(self._before)
        elif self._live:
            shown = fitted(self._live)
        elif view == "after":
            shown = self._mixed()
        else:
            shown = difference(self._seen(self._before), self._mixed())
        width, height = shown.get_width(), shown.get_height()
        nearest = GdkPixbuf.InterpType.NEAREST
        self._image.set_from_pixbuf(shown.composite_color_simple(width, height, nearest, 255, *CHECKS))

    def _mixed(self) -> Any:
        """The cloak at its opacity over the layer."""
        after = self._seen(self._after)
        if self.opacity == 1:
            return after
        before = self._seen(self._before)
        width, height = before.get_width(), before.get_height()
        nearest = GdkPixbuf.InterpType.NEAREST
        after.composite(before, 0, 0, width, height, 0, 0, 1, 1, nearest, round(255 * self.opacity))
        return before

    def _seen(self, layer: Any) -> Any:
        """A layer as a whole, or a part of it at full size."""
        key = (layer.get_id(), self._full.get_active(), self._where)
        if key not in self._known:
            self._known[key] = self._part(layer) if self._full.get_active() else self._whole(layer)
        return self._known[key].copy()

    def _whole(self, layer: Any) -> Any:
        """Not GIMP's own thumbnail, which is right for 8 bits alone. In strips: GEGL keeps all that it scales down."""
        size = extent(layer)
        factor = min(WIDTH / size.width, HEIGHT / size.height, 1.0)
        small = Rectangle(0, 0, max(1, int(size.width * factor)), max(1, int(size.height * factor)))
        strips = (pixels.read(layer, strip, SHOWN, factor) for strip in small.strips(STRIP_ROWS))
        return pixbuf(b"".join(strips), small)

    def _part(self, layer: Any) -> Any:
        whole = extent(layer)
        x, y = (int(share * size) for share, size in zip(self._where, (whole.width, whole.height), strict=True))
        left = max(0, min(x - WIDTH // 2, whole.width - WIDTH))
        top = max(0, min(y - HEIGHT // 2, whole.height - HEIGHT))
        part = Rectangle(left, top, WIDTH, HEIGHT) & whole
        return pixbuf(pixels.read(layer, part, SHOWN), part)

    def _pressed(self, _: Any, event: Any) -> None:
        self._drag = (event.x, event.y)

    def _dragged(self, _: Any, event: Any) -> None:
        """Pull the part that is shown at full size."""
        if not event.state & Gdk.ModifierType.BUTTON1_MASK or self._drag is None or not self._full.get_active():
            return
        x, y = self._drag
        self._drag = (event.x, event.y)
        share_x = self._where[0] - (event.x - x) / self._before.get_width()
        self._known.clear()
        share_y = self._where[1] - (event.y - y) / self._before.get_height()
        self._where = (min(max(share_x, 0.0), 1.0), min(max(share_y, 0.0), 1.0))
        self._draw()


def pixbuf(data: bytes, size: Rectangle) -> Any:
    """Of pixels in the format SHOWN."""
    colours, width, height = GdkPixbuf.Colorspace.RGB, size.width, size.height
    return GdkPixbuf.Pixbuf.new_from_bytes(GLib.Bytes.new(data), colours, True, 8, width, height, 4 * width)


def fitted(picture: Any) -> Any:
    """As large as the place allows."""
    factor = min(WIDTH / picture.get_width(), HEIGHT / picture.get_height())
    size = (max(1, round(factor * side)) for side in (picture.get_width(), picture.get_height()))
    return picture.scale_simple(*size, GdkPixbuf.InterpType.BILINEAR)


def difference(before: Any, after: Any) -> Any:
    """What has changed, eight times amplified around middle gray. Both with alpha and of one size."""
    width, height = before.get_width(), before.get_height()
    one, other = (picture.read_pixel_bytes().get_data() for picture in (before, after))
    shown = bytearray(SHADES[new - old + 255] for old, new in zip(one, other, strict=True))
    shown[3::4] = b"\xff" * (width * height)
    return pixbuf(bytes(shown), Rectangle(0, 0, width, height))

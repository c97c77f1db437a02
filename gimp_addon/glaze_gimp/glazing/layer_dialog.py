"""*Glaze layer…*: choose, watch, review, insert."""

from __future__ import annotations

from typing import Any

from glaze_plugin.errors import GlazeError
from glaze_plugin.figures import reviewed

from . import layers
from .cloak import Cloak
from .layers import CLOSED, Capture, Place, Refusal
from .preview import Picture
from .screen import Gtk
from .texts import said, tr
from .window import DROP, ENDED, GO, KEEP, REVIEW, RUNNING, SETUP, Window, scale


class LayerDialog(Window):
    """Several layers are cloaked one after the other and put in together."""

    def __init__(self, image: Any, drawables: list[Any], config: Any) -> None:
        self._image, self._place = image, Place(image)
        self._layers: list[Any] = []
        self._captures: list[Capture] = []
        self._done: list[Cloak] = []
        self._made: list[Any] = []
        self._reports: list[dict[str, Any]] = []
        self._settings: dict[str, Any] = {}
        self._preview: Any = None
        super().__init__("plug-in-glaze-layer", tr("Glaze layer"), config)
        self._layers, notes = layers.chosen(image, drawables)
        self.picture.show_layers(self._layers[0])
        self.say(" ".join(tr(f"note {note}") for note in notes))

    def run(self) -> tuple[list[Any], list[dict[str, Any]]]:  # type: ignore[override]
        """The layers that were put in, and what was measured on each."""
        try:
            super().run()
        finally:
            self._drop()
        return self._made, self._reports

    def _build_first(self) -> None:
        self.picture = Picture()
        self.page.pack_start(self.picture, True, True, 0)

    def _build_settings(self) -> None:
        self.opacity = scale(0, 100, 100)
        self.opacity.connect("value-changed", self._opacity_moved)
        self.review = Gtk.Box(spacing=12)
        self.review.pack_start(
            Gtk.Label(label=tr("_Opacity"), use_underline=True, mnemonic_widget=self.opacity), False, False, 0
        )
        self.review.pack_start(self.opacity, True, True, 0)
        self.page.pack_start(self.review, False, False, 0)

    def _answers(self) -> tuple[tuple[str, int], ...]:
        return (("_Glaze", GO), ("Disca_rd", DROP), ("_Insert", KEEP))

    # ---- the job -------------------------------------------------------------------------------

    def _begin(self) -> None:
        try:
            if self._place.closed:
                raise GlazeError("closed", CLOSED)
            self._layers, _ = layers.chosen(self._image, [one for one in self._layers if one.is_valid()])
            for layer in self._layers:
                self._captures.append(Capture(self._place, layer))
        except Refusal as refusal:
            self._drop()
            self.say(tr(f"refused {refusal.code}"))
        except GlazeError as error:
            self._drop()
            self.say(said(error))
        else:
            self._settings = self.settings()
            self._next()
            self.become(RUNNING)

    def _next(self) -> None:
        """Submit the next layer."""
        capture = self._captures[len(self._done)]
        self._preview = None
        self.picture.show_layers(capture.before)
        self.cloak = Cloak(self.client, capture, self._settings, f"{self._image.get_name()}: {capture.name}")

    def _advance(self) -> None:
        cloak = self.cloak
        assert cloak
        if self._place.closed:
            cloak.cancel()
            self._finished_without(tr(CLOSED))
            return
        cloak.advance()
        if cloak.error:
            self.failed(cloak.error)
        elif cloak.finished:
            self._done.append(cloak)
            if len(self._done) < len(self._captures):
                self._next()
            else:
                self._finish()
        elif cloak.job.preview is not self._preview:
            self._preview = cloak.job.preview
            self.picture.show_live(self._preview)

    def _finish(self) -> None:
        last = self._captures[-1]
        self.opacity.set_value(100)
        self.picture.show_layers(last.before, last.after)
        self.become(REVIEW)
        self._show_figures()
        self.dialog.present()

    def _keep(self) -> None:
        reports = [cloak.report for cloak in self._done]
        try:
            self._made, self._reports = layers.put_in(self._captures, self._share), reports
        except GlazeError as error:
            self._finished_without(said(error))
            return
        self.close()

    def _drop(self) -> None:
        if self.cloak and not self.cloak.ended:
            self.cloak.cancel()
        self.cloak = None
        for capture in self._captures:
            capture.close()
        self._captures, self._done = [], []

    def _finished_without(self, sentence: str) -> None:
        self._drop()
        self.become(ENDED if self._place.closed else SETUP, sentence)

    # ---- showing -------------------------------------------------------------------------------

    @property
    def _share(self) -> float:
        """The cloak's opacity, 0..1; what shows through a layer that is not opaque must not change with it."""
        return self.opacity.get_value() / 100 if all(one.opaque for one in self._captures) else 1.0

    def _fraction(self) -> float:
        return (len(self._done) + super()._fraction()) / max(1, len(self._captures))

    def become(self, state: str, sentence: str = "") -> None:
        super().become(state, sentence)
        if state == SETUP and self._layers and self._layers[0].is_valid():
            self.picture.show_layers(self._layers[0])

    def show_state(self) -> None:
        super().show_state()
        review = self.state == REVIEW and all(one.opaque for one in self._captures)
        if self.review.get_visible() != review:
            self.review.set_visible(review)

    def _opacity_moved(self, _: Any) -> None:
        if self.state == REVIEW:
            self.picture.opacity = self._share
            self.picture.redraw()
            self._show_figures()

    def _show_figures(self) -> None:
        """What was measured at the opacity that is nearest to the slider's."""
        cloaks = [(cloak.capture.name, cloak.report) for cloak in self._done]
        words = reviewed(cloaks, round(100 * self._share), tr)
        if not all(one.opaque for one in self._captures):
            words.append(tr("The layer is not wholly opaque, so it will be hidden below its cloak."))
        self.say("\n".join(words))

"""What both dialogs share: the engine's state, the settings, progress, a sentence, and the loop that drives the client.

GIMP's own progress bar has a Cancel too, but that one kills the plug-in; so no dialog uses it.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

from glaze_plugin import launch
from glaze_plugin.client import Client
from glaze_plugin.errors import Cancelled, DaemonUnavailable, GlazeError
from glaze_plugin.messages import AskStatus, Status

from .cloak import CLIENT, QUALITIES, Cloak, settings_of
from .encoders import EncoderChooser, ModelsWindow
from .host import GLib
from .screen import GimpUi, Gtk
from .styles import StyleChooser
from .texts import TEXTS, said, tr

STEP_MS = 100
"""ms between two steps while nothing happens on the socket."""
AHEAD = 1 << 20
"""Bytes that a step may send or ask for, so that the window stays alive."""
STATUS_STEPS = 20
"""Steps between two questions what the engine does."""
RETRY_STEPS = 100
"""Steps between two looks for a daemon that could not be reached."""
SPACE = 12
WORDS = 60
"""Characters of a line of text."""

GO, STOP, KEEP, DROP = range(1, 5)
"""Responses: begin, cancel what runs, take the result, drop it."""

SETUP, RUNNING, REVIEW, SAVED, ENDED = "setup", "running", "review", "saved", "ended"


class Window:
    """A dialog with one job at a time. Subclasses say what is done in `_begin`, `_advance` and `_finish`.

    state: SETUP (something can be chosen), RUNNING, REVIEW (there is a result), SAVED (it is in a file),
    ENDED (nothing can be done any more).
    """

    def __init__(self, role: str, title: str, config: Any) -> None:
        GimpUi.init(role)
        self.title, self.config = title, config
        self.state = SETUP
        self.cloak: Cloak | None = None
        self.models: ModelsWindow | None = None
        self.client = Client(CLIENT, ahead=AHEAD)
        self._status: Status | None = None
        self._greeted: object = None
        self._watch = self._steps = 0
        self._watched: tuple[int, bool] = (-1, False)
        self._busy = False
        self._loop = GLib.MainLoop()
        self.dialog = GimpUi.Dialog(use_header_bar=False, title=title, role=role)
        self.page = self.dialog.get_content_area()
        self.page.set_border_width(SPACE)
        self.page.set_spacing(SPACE)
        self._build()
        self.dialog.connect("response", self._responded)

    # ---- building ------------------------------------------------------------------------------

    def _build(self) -> None:
        """From top to bottom: what a subclass puts first, the settings, what goes on, what there is to say."""
        self.form = Gtk.Grid(column_spacing=SPACE, row_spacing=SPACE // 2)
        self._rows = 0
        self._build_first()
        self.page.pack_start(self.form, False, False, 0)
        self.quality = Gtk.ComboBoxText()
        for value, text in QUALITIES:
            self.quality.append(value, tr(text))
        self.quality.set_active_id(self.config.get_property("quality"))
        self.row(tr("_Quality"), self.quality)
        self.strength = scale(10, 100, 100 * self.config.get_property("strength"))
        self.row(tr("_Strength"), self.strength)
        self.style = StyleChooser(self.client, self.say)
        self.row(tr("Target st_yle"), self.style.widget)
        self.encoder = EncoderChooser(self.config.get_property("encoder"))
        get = Gtk.Button.new_with_mnemonic(tr("Get mode_ls…"))
        get.connect("clicked", self._get_models)
        both = Gtk.Box(spacing=SPACE // 2)
        both.pack_start(self.encoder.widget, True, True, 0)
        both.pack_start(get, False, False, 0)
        label = self.row(tr("Made agai_nst"), both)
        label.set_mnemonic_widget(self.encoder.widget)
        label.set_tooltip_text(tr("hint against"))
        self._build_settings()
        self.bar = Gtk.ProgressBar(show_text=True)
        self.page.pack_start(self.bar, False, False, 0)
        self.sentence = text_label()
        self.page.pack_start(self.sentence, False, False, 0)
        state = Gtk.Box(spacing=SPACE)
        self.engine = text_label()
        self.engine.get_style_context().add_class("dim-label")
        self.retry = Gtk.Button(use_underline=True)
        self.retry.connect("clicked", self._retry)
        state.pack_start(self.engine, True, True, 0)
        state.pack_start(self.retry, False, False, 0)
        self.page.pack_start(state, False, False, 0)
        self.buttons = {
            response: self.dialog.add_button(tr(text), response)
            for text, response in (*self._answers(), ("_Cancel", STOP), ("_Close", Gtk.ResponseType.CLOSE))
        }
        self.page.show_all()
        self.retry.hide()

    def row(self, text: str, widget: Any) -> Any:
        """A setting with its name, which is returned."""
        label = Gtk.Label(label=text, use_underline=True, xalign=0.0, mnemonic_widget=widget)
        widget.set_hexpand(True)
        self.form.attach(label, 0, self._rows, 1, 1)
        self.form.attach(widget, 1, self._rows, 1, 1)
        self._rows += 1
        return label

    def _build_first(self) -> None:
        """What comes before the settings."""

    def _build_settings(self) -> None:
        """Further settings."""

    def _answers(self) -> tuple[tuple[str, int], ...]:
        """The buttons that the states have: text and response."""
        raise NotImplementedError

    # ---- running -------------------------------------------------------------------------------

    def run(self) -> None:
        """Show the dialog until it is closed."""
        timer = GLib.timeout_add(STEP_MS, self._tick)
        self.show_state()
        GimpUi.window_set_transient(self.dialog)
        self.dialog.show()
        self.step()
        try:
            self._loop.run()
        finally:
            GLib.source_remove(timer)
            self._unwatch()
            self.client.step()
            self.client.close()
            self.dialog.destroy()

    def close(self) -> None:
        """The job ends with the connection."""
        self._loop.quit()

    def step(self) -> None:
        """Send and receive what can be now."""
        if self._busy:
            return
        self._busy = True
        try:
            self.client.step()
            self._watch_socket()
            if self.cloak and self.state == RUNNING:
                self._advance_safely()
            self.show_state()
        finally:
            self._busy = False

    def _advance_safely(self) -> None:
        """No fault leaves the dialog as it is for ever."""
        try:
            self._advance()
        except Exception as error:
            traceback.print_exc()
            self.failed(tr("The add-on has a fault of its own: {error}", error=error))

    def settings(self) -> dict[str, Any]:
        """What the artist has chosen, as a job's settings; remembered for the next time."""
        self.config.set_property("quality", self.quality.get_active_id())
        self.config.set_property("strength", self.strength.get_value() / 100)
        self.config.set_property("encoder", self.encoder.chosen)
        return {**settings_of(self.config), "want_review": True}

    def say(self, sentence: str) -> None:
        self.sentence.set_text(sentence)
        self.sentence.set_visible(bool(sentence))

    def failed(self, error: GlazeError | str) -> None:
        """The job has not come to a result."""
        cancelled = isinstance(error, Cancelled)
        sentence = error if isinstance(error, str) else tr("Cancelled.") if cancelled else said(error)
        self.cloak = None
        self._drop()
        self.become(SETUP, sentence)

    def become(self, state: str, sentence: str = "") -> None:
        self.state = state
        self.say(sentence)
        self.show_state()

    def show_state(self) -> None:
        """Bring every widget up to date."""
        running = self.state == RUNNING
        if self.bar.get_visible() != running:
            self.bar.set_visible(running)
        self.form.set_sensitive(self.state == SETUP)
        if running and self.cloak:
            fraction = self._fraction()
            self.bar.set_fraction(fraction)
            self.bar.set_text(self.cloak.words)
        end = {RUNNING: f" – {self._fraction():.0%}", REVIEW: tr(" – finished"), SAVED: tr(" – saved")}
        self.dialog.set_title(self.title + end.get(self.state, ""))
        shown = {
            GO: self.state == SETUP,
            STOP: running,
            KEEP: self.state == REVIEW,
            DROP: self.state == REVIEW,
            Gtk.ResponseType.CLOSE: self.state in (SETUP, SAVED, ENDED),
        }
        for response, button in self.buttons.items():
            if button.get_visible() != shown[response]:
                button.set_visible(shown[response])
                if shown[response] and response in (GO, KEEP, Gtk.ResponseType.CLOSE):
                    self.dialog.set_default_response(response)
        self._show_engine()

    def _begin(self) -> None:
        """Submit what is to be cloaked. Raises Refusal and GlazeError, which are said."""
        raise NotImplementedError

    def _advance(self) -> None:
        """Something may have come."""
        raise NotImplementedError

    def _keep(self) -> None:
        """The artist takes the result."""
        raise NotImplementedError

    def _drop(self) -> None:
        """The result, or what there is of it, is not wanted."""
        raise NotImplementedError

    def _fraction(self) -> float:
        return self.cloak.fraction if self.cloak else 0.0

    # ---- what the artist does ------------------------------------------------------------------

    def _responded(self, _: Any, response: int) -> None:
        if response == GO and self.state == SETUP:
            self._begin()
            self.step()
        elif response == STOP:
            if self.cloak:
                self.cloak.cancel()
                self.step()
        elif response == KEEP and self.state == REVIEW:
            self._keep()
        elif response == DROP:
            self._drop()
            self.become(SETUP, tr("Discarded."))
        elif response not in (GO, KEEP):
            self._drop()
            self.close()

    def _get_models(self, _: Any) -> None:
        if self.models is None or not self.models.open:
            self.models = ModelsWindow(self.client, self.dialog, self.step, self.encoder.offer)

    def _retry(self, _: Any) -> None:
        if self._unusable:
            try:
                launch.kill_daemon()
            except DaemonUnavailable as error:
                self.client.error = error
                return
        self.client.retry()
        self.step()

    # ---- the engine ----------------------------------------------------------------------------

    @property
    def _unusable(self) -> bool:
        """Whether only a restart of the daemon can help."""
        failing = self._status is not None and self._status.worker == "failing"
        return self.client.unusable or (failing and self.client.link is not None)

    def _show_engine(self) -> None:
        client = self.client
        if client.error:
            text = said(client.error)
        elif client.words:
            text = tr(client.words)
        elif client.link is None:
            text = tr("Looking for the engine …")
        else:
            text = TEXTS.engine_words(self._status) if self._status else ""
        self.engine.set_text(text)
        troubled = self._unusable or client.error is not None
        self.retry.set_label(tr("_Restart the engine") if self._unusable else tr("_Try again"))
        if self.retry.get_visible() != troubled:
            self.retry.set_visible(troubled)

    def _heard(self, status: Status) -> None:
        self.encoder.offer(status.encoders)
        self.style.heard(status)
        self._status = status

    def _tick(self) -> bool:
        link = self.client.link
        if link and (link is not self._greeted or self._steps % STATUS_STEPS == 0):
            self._greeted = link
            self.client.ask(AskStatus(), Status, self._heard)
        self._steps += 1
        if self.models:
            self.models.look()
        if self._steps % RETRY_STEPS == 0 and self.client.error:
            self.client.retry()
        self.step()
        return True

    # ---- the socket ----------------------------------------------------------------------------

    def _watch_socket(self) -> None:
        """Watch the present socket, for writing too while something waits for that; each connection has another."""
        watched = (self.client.fileno(), self.client.wants_write)
        if watched == self._watched:
            return
        self._unwatch()
        self._watched = watched
        number, writing = watched
        if number >= 0:
            channels = GLib.IOChannel
            make = channels.win32_new_socket if sys.platform == "win32" else channels.unix_new
            kinds = GLib.IOCondition.IN | GLib.IOCondition.HUP | GLib.IOCondition.ERR
            if writing:
                kinds |= GLib.IOCondition.OUT
            self._watch = GLib.io_add_watch(make(number), GLib.PRIORITY_DEFAULT_IDLE, kinds, self._ready)

    def _unwatch(self) -> None:
        if self._watch:
            GLib.source_remove(self._watch)
        self._watch, self._watched = 0, (-1, False)

    def _ready(self, *_: Any) -> bool:
        watch = self._watch
        self.step()
        return self._watch == watch


def scale(low: float, high: float, value: float) -> Any:
    """A slider in per cent."""
    made = Gtk.Scale.new_with_range(Gtk.Orientation.HORIZONTAL, low, high, 1)
    made.set_value(value)
    made.set_value_pos(Gtk.PositionType.RIGHT)
    made.connect("format-value", lambda _, shown: f"{shown:.0f} %")
    return made


def text_label() -> Any:
    return Gtk.Label(wrap=True, xalign=0.0, max_width_chars=WORDS, selectable=True)

"""Lists to choose from."""

from __future__ import annotations

from .screen import Gtk


class Chooser:
    """widget: what is shown. filling: whether what it shows changes by itself, not by the artist."""

    def __init__(self) -> None:
        self.widget = Gtk.ComboBoxText()
        self.widget.connect("scroll-event", lambda *_: True)  # the wheel chooses nothing
        self.filling = False
        self._choices: list[tuple[str, str]] | None = None

    @property
    def chosen(self) -> str:
        """The value of what is shown."""
        return str(self.widget.get_active_id())

    def fill(self, choices: list[tuple[str, str]], chosen: str) -> None:
        """choices: pairs of value and text. The first one is chosen where `chosen` is no value of any."""
        self.filling = True
        if choices != self._choices:
            self._choices = choices
            self.widget.remove_all()
            for value, text in choices:
                self.widget.append(value, text)
        if not self.widget.set_active_id(chosen):
            self.widget.set_active(0)
        self.filling = False

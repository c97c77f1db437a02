"""Which target style is kept for the artist, and choosing another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from glaze_plugin.client import Client
from glaze_plugin.messages import Status
from glaze_plugin.target import TargetStyle

from .choosers import Chooser
from .texts import TEXTS, tr


class StyleChooser(Chooser):
    """It shows what the daemon keeps; the first choice is that the next picture chooses."""

    def __init__(self, client: Client, say: Callable[[str], None]) -> None:
        """say: called with a sentence about what the artist has chosen. Somebody takes the client's steps."""
        super().__init__()
        self._say = say
        self.target = TargetStyle(client, self._ended)
        self.widget.connect("changed", self._choose)
        self._show()

    def heard(self, status: Status) -> None:
        """The daemon has told what it keeps."""
        if not self.target.changing:
            self.target.heard(status)
            self._show()

    def _choose(self, _: Any) -> None:
        if not self.filling and self.chosen != self.target.kept:
            self.target.choose(self.chosen)
            self._show()

    def _ended(self) -> None:
        self._show()
        self._say(self.target.words(TEXTS))

    def _show(self) -> None:
        target = self.target
        known = bool(target.names)
        names = [("", tr("the next picture chooses")), *((name, name) for name in target.names)]
        self.fill(names if known else [("", "…")], target.kept)
        self.widget.set_sensitive(known and not target.changing)
        self.widget.set_tooltip_text(target.hint(TEXTS) if known else None)

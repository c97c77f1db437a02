"""How a text of an add-on is found in the artist's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from glaze_plugin.errors import GlazeError
from glaze_plugin.languages import ENGLISH, GERMAN, JAPANESE

SHARED = {"de": GERMAN, "ja": JAPANESE, "en": ENGLISH}
SHORT = ("stage ", "state ")
"""Keys that begin so and are in no English table stand for what follows."""


class Texts:
    """An add-on's own texts and those of all. Both have English ones for keys that are no sentence themselves."""

    def __init__(self, own: Mapping[str, Mapping[str, str]], language: Callable[[], str]) -> None:
        """own: language, two letters → text or key → in that language. language: the artist's, asked each time."""
        self._own = own
        self._language = language

    def tr(self, text: str, **values: Any) -> str:
        """A text in the artist's language, with its values filled in."""
        known = self._in(self._language(), text) or self._in("en", text)
        if known is None:
            known = text.partition(" ")[2] if text.startswith(SHORT) else text
        return known.format(**values) if values else known

    def said(self, error: GlazeError) -> str:
        """An error in words: what happened, and what can be done."""
        return " ".join(self.tr(text) for text in (error.sentence, error.remedy) if text)

    def about_model(self, error: GlazeError) -> str:
        """Why a model was not downloaded, for people without a terminal."""
        key = f"model {error.code}"
        return self.tr(key) if self._in("en", key) else self.said(error)

    def _in(self, language: str, text: str) -> str | None:
        return self._own.get(language, {}).get(text) or SHARED.get(language, {}).get(text)

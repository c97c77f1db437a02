"""How a text of an add-on is found in the artist's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glaze_plugin.errors import GlazeError
from glaze_plugin.languages import ENGLISH, GERMAN, JAPANESE
from glaze_plugin.messages import Progress, Status

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

    def stage_words(self, progress: Progress | None) -> str:
        """What a job or a download does, with the time left where that is known."""
        if progress is None:
            return self.tr("stage sending")
        stage = self.tr(f"stage {progress.stage}")
        if progress.seconds_left is None:
            return stage
        return self.tr("{stage}, about {time} left", stage=stage, time=self._time(progress.seconds_left))

    def engine_words(self, status: Status) -> str:
        """How the engine is."""
        return {
            "ready": self.tr("Ready on {device}", device=status.device),
            "starting": self.tr("The engine is starting."),
            "resting": self.tr("The engine rests; the next picture wakes it."),
            "failing": self.tr(
                "The engine does not start. “Restart the engine” tries again; why it fails, this file tells: {path}",
                path=Path(status.log).with_name("worker.out"),
            ),
        }.get(status.worker, status.worker)

    def _time(self, seconds: float) -> str:
        minutes, rest = divmod(round(seconds), 60)
        if minutes:
            return self.tr("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
        return self.tr("{seconds} s", seconds=rest)

    def _in(self, language: str, text: str) -> str | None:
        return self._own.get(language, {}).get(text) or SHARED.get(language, {}).get(text)

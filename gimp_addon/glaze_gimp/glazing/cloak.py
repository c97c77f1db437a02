"""One layer's job, from its pixels to the cloaked layer, and how a script waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from glaze_plugin.client import Client
from glaze_plugin.errors import Cancelled, GlazeError

from .layers import CLOSED, Capture
from .texts import TEXTS, tr

CLIENT = "GIMP"
STEP_SECONDS = 0.1
QUALITIES = (("preview", "Quick and weak"), ("standard", "Standard"), ("thorough", "Thorough and slow"))
AUTOMATIC = "auto"
"""In the place of an encoder's name: the engine chooses."""
INSERTING = 0.95
"""Share of a job's progress that has gone by when its result is fetched."""


class Cloak:
    """A capture at the daemon. Somebody takes the client's steps and calls `advance` after each.

    It ends with the client's connection, however that came: nobody would come for its result.
    """

    def __init__(self, client: Client, capture: Capture, settings: Mapping[str, Any], label: str) -> None:
        """settings: as in docs/protocol.md."""
        self.capture = capture
        self.error: GlazeError | None = None
        self.finished = False
        self._client = client
        self._came = 0
        self.job = client.submit("protect", capture.parts(), settings, label, keep=False)

    @property
    def ended(self) -> bool:
        return self.finished or self.error is not None

    @property
    def report(self) -> dict[str, Any]:
        return self.job.report

    @property
    def fraction(self) -> float:
        """How far it is, 0..1."""
        if self.job.state in ("fetching", "fetched"):
            return INSERTING + (1 - INSERTING) * self._came / self.capture.layout.size
        progress = self.job.progress
        return INSERTING * progress.step / progress.steps if progress and progress.steps else 0.0

    @property
    def words(self) -> str:
        """What it does, with the time left where that is known."""
        if self.job.state in ("done", "fetching", "fetched"):
            return tr("stage inserting")
        return TEXTS.stage_words(self.job.progress)

    def advance(self) -> None:
        """Do what has become possible."""
        job = self.job
        if self.ended:
            return
        if job.state == "done":
            if job.layouts["result"].raster != self.capture.layout:
                self._fail(GlazeError("result_size", "The result has another shape than the layer that was cloaked."))
                return
            self._client.fetch(job, ["result"], {"result": self._take}, self.capture.band_bytes)
        elif job.state == "fetched":
            try:
                self.capture.finish()
            except GlazeError as error:
                self._fail(error)
                return
            self.finished = True
            self._client.forget(job)
        elif job.state == "failed":
            self.error = job.error

    def cancel(self) -> None:
        """Ask for its end, which comes as the error Cancelled."""
        if self.job.open:
            self._client.cancel(self.job)
        elif not self.ended:
            self._fail(Cancelled("cancelled", "The job was cancelled."))

    def _take(self, band: bytes) -> None:
        self.capture.take(band)
        self._came += len(band)

    def _fail(self, error: GlazeError) -> None:
        self.error = error
        self._client.forget(self.job)


def settings_of(config: Any) -> dict[str, Any]:
    """What a procedure's arguments say, as a job's settings."""
    encoder = config.get_property("encoder")
    return {
        "quality": config.get_property("quality"),
        "strength": config.get_property("strength"),
        **({} if encoder in (None, "", AUTOMATIC) else {"encoders": [encoder]}),
    }


def wait(
    captures: list[Capture],
    settings: Mapping[str, Any],
    label: str,
    show: Callable[[str, float], None],
    closed: Callable[[], bool] = bool,
) -> list[Cloak]:
    """Cloak one after the other. show: called with words and how far all are, 0..1. closed: whether nobody wants it any
    more. Raises GlazeError.
    """
    done: list[Cloak] = []
    with Client(CLIENT) as client:
        for capture in captures:
            cloak = Cloak(client, capture, settings, label)
            while not cloak.ended:
                client.wait(STEP_SECONDS)
                cloak.advance()
                if closed():
                    raise GlazeError("closed", CLOSED)
                show(tr(client.words) or cloak.words, (len(done) + cloak.fraction) / len(captures))
            if cloak.error:
                raise cloak.error
            done.append(cloak)
        client.step()  # the daemon hears that nothing has to be kept
    return done

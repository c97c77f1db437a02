"""Which encoders there are, and downloading one: what a front end asks of the daemon for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from glaze_plugin.client import Client, OnProgress
from glaze_plugin.errors import Cancelled, GlazeError
from glaze_plugin.job import Job, Listener
from glaze_plugin.messages import Accepted, AskModels, Message, Models, Progress, Pull
from glaze_plugin.texts import Texts

STEP_SECONDS = 0.2
"""s between two looks whether somebody wants a download to end."""


@dataclass(frozen=True)
class Model:
    """An encoder.

    about: what it stands for. size: bytes to download, None where that is not known; exact: whether it is just that.
    here: whether it is where the pictures are computed. on_hub: whether it can be downloaded. gated: its makers
    want an account for that.
    """

    name: str
    about: str
    licence: str
    size: int | None
    exact: bool
    here: bool
    on_hub: bool
    gated: bool

    @property
    def to_be_had(self) -> bool:
        """Whether it can be downloaded and is not there yet."""
        return self.on_hub and not self.here

    @property
    def state(self) -> str:
        """For a list; a text of `texts`."""
        if self.here:
            return "on this computer"
        if not self.on_hub:
            return "on no hub"
        return "needs an account" if self.gated else ""


def models(client: Client) -> list[Model]:
    """All that the daemon knows. Raises DaemonUnavailable."""
    return _told(client.answer(AskModels(), Models))


def pull(
    client: Client, name: str, progress: OnProgress | None = None, cancel: Callable[[], bool] = bool
) -> dict[str, Any]:
    """Download an encoder and wait for it. Returns the report, which names its folder.

    progress: told how many bytes of how many have come. cancel: asked five times a second whether it should end.
    Raises the GlazeError with which the download failed, Cancelled among them; what had come is kept.
    """

    def listener(job: Job, msg: Message) -> None:
        if progress and isinstance(msg, (Accepted, Progress)) and job.progress:
            progress(job.progress)

    job = _pull(client, name, listener)
    cancelling = False
    try:
        while job.open:
            client.wait(STEP_SECONDS)
            if cancel() and not cancelling:
                cancelling = True
                client.cancel(job)
    finally:
        client.forget(job)
        client.step()
    if job.error:
        raise job.error
    return job.report


class Offer:
    """The list and one download at a time, for a window; nothing here waits. Somebody takes the client's steps.

    models: None until the daemon has told. job: the download that runs. came: name of what was downloaded last, "" for
    nothing. error: why the last download did not end well.
    """

    def __init__(self, client: Client, changed: Callable[[], None]) -> None:
        """changed: called when any of them has."""
        self.models: list[Model] | None = None
        self.job: Job | None = None
        self.came = ""
        self.error: GlazeError | None = None
        self._client = client
        self._changed = changed
        self._asked: object = None
        self._name = ""

    def ask(self) -> None:
        """Ask for the list, once in each connection; call it now and then."""
        link = self._client.link
        if link is not None and link is not self._asked:
            self._asked = link
            self._client.ask(AskModels(), Models, self._heard)

    def pull(self, name: str) -> None:
        """Begin to download an encoder: only ever because somebody has asked for it."""
        if self.job is None:
            self.came, self.error, self._name = "", None, name
            self.job = _pull(self._client, name, self._told)
            self._changed()

    def cancel(self) -> None:
        """End the download; what has come is kept, and the next one goes on from there."""
        if self.job:
            self._client.cancel(self.job)

    @property
    def share(self) -> float:
        """How far the download is, 0..1."""
        progress = self.job.progress if self.job else None
        return progress.step / progress.steps if progress and progress.steps else 0.0

    def words(self, texts: Texts) -> str:
        """What there is to say of the download, or of what keeps one from coming."""
        client = self._client
        if client.error or client.words:
            return texts.said(client.error) if client.error else texts.tr(client.words)
        if self.job:
            return texts.stage_words(self.job.progress)
        if self.error:
            return texts.about_model(self.error)
        if self.came:
            return texts.tr("“{name}” is here now, and cloaks can be made against it.", name=self.came)
        return "" if self.models is not None else texts.tr("Looking for the engine …")

    def _heard(self, answer: Models) -> None:
        self.models = _told(answer)
        self._changed()

    def _told(self, job: Job, _: Message) -> None:
        if not job.open and self.job is not None:
            self._client.forget(job)
            self.job, self._asked = None, None
            self.error = None if isinstance(job.error, Cancelled) else job.error
            self.came = "" if job.error else self._name
            self.ask()
        self._changed()


def size_words(count: int | None, exact: bool = True) -> str:
    """Bytes for people; "" where they are not known."""
    if count is None:
        return ""
    return ("" if exact else "≈ ") + (f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB")


def _pull(client: Client, name: str, listener: Listener) -> Job:
    def messages(job: str) -> Iterator[Message]:
        yield Pull(job=job, name=name)

    return client.begin(messages, listener)


def _told(answer: Models) -> list[Model]:
    return [Model(**entry) for entry in answer.models]

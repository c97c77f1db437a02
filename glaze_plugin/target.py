"""The target style towards which the artist's pictures are drawn: which one is kept, and how a window changes that."""

from __future__ import annotations

from collections.abc import Callable

from glaze_plugin.client import Client
from glaze_plugin.errors import GlazeError
from glaze_plugin.job import Job
from glaze_plugin.messages import Message, Status
from glaze_plugin.texts import Texts


class TargetStyle:
    """For a window; nothing here waits. Somebody takes the client's steps and hands in each `Status`.

    names: every style, [] until a daemon has told. kept: the one that is kept, "" for none: the next picture chooses.
    chosen: how it was, as in a report. changing: whether a change is on its way. error: why the last one failed.
    """

    def __init__(self, client: Client, changed: Callable[[], None]) -> None:
        """changed: called when the artist's change has ended, well or not."""
        self.names: list[str] = []
        self.kept = self.chosen = ""
        self.changing = False
        self.error: GlazeError | None = None
        self._client = client
        self._changed = changed

    def heard(self, status: Status) -> None:
        """The daemon has told what it keeps."""
        self.names, self.kept, self.chosen = status.styles, status.style, status.chosen

    def choose(self, name: str) -> None:
        """Keep that style from now on, or none: "". Only ever because the artist has asked for it."""
        settings = {"change": True, "style": name or "auto"}
        self.changing = True
        self._client.submit("style", {}, settings, "style", self._told, keep=True)

    def hint(self, texts: Texts) -> str:
        """What there is to know of it."""
        how = texts.tr(f"chosen {self.chosen}") if self.kept else texts.tr("None is kept yet.")
        return " ".join(
            (
                how,
                texts.tr("All your pictures are drawn towards one style, since different ones average out in a model."),
                texts.tr("Pictures that you cloak after a change pull another way than those before."),
            )
        )

    def words(self, texts: Texts) -> str:
        """What the last change came to."""
        if self.error:
            return texts.said(self.error)
        if self.kept:
            return texts.tr("From now on your pictures are drawn towards “{style}”.", style=self.kept)
        return texts.tr("No target style is kept any more; the next picture chooses one.")

    def _told(self, job: Job, _: Message) -> None:
        if job.open:
            return
        if job.error is None:
            artist = job.report["artist"]
            self.kept, self.chosen = (artist["style"], artist["chosen"]) if artist else ("", "")
        self.changing, self.error = False, job.error
        self._client.forget(job)
        self._changed()

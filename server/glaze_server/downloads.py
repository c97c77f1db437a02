"""Downloads that front ends ask for: one at a time, by child processes, since only `hub` goes online.

Nothing is kept of them but the files: one whose followers have all gone is ended, and the next one takes up what came.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from glaze_plugin import messages as m
from glaze_plugin.errors import BadInput, Cancelled, GlazeError, rebuild
from glaze_plugin.launch import NO_WINDOW, last_words
from glaze_server.engine.catalogue import find
from glaze_server.hub import facts
from glaze_server.jobs import failure
from glaze_server.pace import Pace
from glaze_server.worker_process import OUTPUT_LIMIT

log = logging.getLogger("glaze.downloads")

Send = Callable[[bytes, m.Message], bool]


class DownloadProcess:
    """`python -m glaze_server.hub pull NAME`. It may be killed at any time, and ends by itself where nobody listens."""

    def __init__(self, name: str, output: Path) -> None:
        """output: file for what is not meant for programs."""
        self._lines: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        if output.exists() and output.stat().st_size > OUTPUT_LIMIT:
            output.unlink()
        with open(output, "ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "glaze_server.hub", "pull", name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                creationflags=NO_WINDOW,
            )
        threading.Thread(target=self._read, daemon=True).start()

    def said(self) -> list[dict[str, Any] | None]:
        """Its lines since the last call, None where it has ended."""
        return [self._lines.get() for _ in range(self._lines.qsize())]

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                with suppress(ValueError):  # what a library prints is not for us
                    self._lines.put(json.loads(line))
        self._lines.put(None)


class Download:
    """One download. end: how it ended, None while it runs. progress: its last message about that."""

    def __init__(self, pull: m.Pull, peer: bytes, process: DownloadProcess) -> None:
        self.id, self.name, self.process = pull.job, pull.name, process
        self.followers = {peer}
        self.end: m.Done | m.Failed | None = None
        self.progress = m.Progress(job=self.id, stage="asking the hub", step=0, steps=0)
        self._pace = Pace()

    def hear(self, line: dict[str, Any]) -> None:
        """What a line of its process means."""
        if "error" in line:
            self.end = failure(self.id, rebuild(**line["error"]))
        elif "pulled" in line:
            self.end = m.Done(job=self.id, parts=[], report={"encoder": self.name, "path": line["path"]})
        elif "done" in line:
            done, total = line["done"], line["total"]
            stage = "downloading" if done < total else "checking what came"
            self.progress = m.Progress(self.id, stage, done, total, self._pace.seconds_left(done, total))


class Downloads:
    """At most one that runs. What ended last is remembered until its followers know."""

    def __init__(self, send: Send, output: Path) -> None:
        """send: sends a message to a client; whether it is still there. output: file for what children print."""
        self._send = send
        self._output = output
        self._last: Download | None = None

    @property
    def _running(self) -> Download | None:
        return self._last if self._last and not self._last.end else None

    def take(self, peer: bytes, msg: m.Message) -> bool:
        """Do what a client wants where it is about encoders or their downloads; whether it is.

        Raises GlazeError where it cannot be done.
        """
        if isinstance(msg, m.AskModels):
            self._send(peer, m.Models(models=known()))
            return True
        if isinstance(msg, m.Pull):
            self._pull(peer, msg)
            return True
        one = self._last
        if one is None or not isinstance(msg, (m.Watch, m.Cancel, m.Forget)) or msg.job != one.id:
            return False
        if isinstance(msg, m.Watch):
            one.followers.add(peer)
            self._tell(peer, one)
        elif peer not in one.followers:
            raise BadInput("not_yours", "The download belongs to another program.", "Watch it first.")
        elif isinstance(msg, m.Forget):
            one.followers.discard(peer)
            self._leave(one)
        elif one.end:
            raise BadInput("already_ended", "The download has already ended.")
        else:
            self._cancel(one)
        return True

    def step(self) -> None:
        """Pass on what the child has said."""
        one = self._running
        if one is None:
            return
        before = one.progress
        for line in one.process.said():
            if line is not None:
                one.hear(line)
            elif not one.end:
                sentence = f"The download stopped: {last_words(self._output)}"
                one.end = failure(one.id, GlazeError("download_stopped", sentence, "Try again."))
        if one.progress is not before:
            for peer in one.followers:
                self._send(peer, one.progress)
        if one.end:
            self._ended(one)

    def watch_clients(self) -> None:
        """End what nobody waits for any more: it was begun by somebody at a screen."""
        if self._last:
            self._last.followers = {peer for peer in self._last.followers if self._send(peer, m.Tick())}
            self._leave(self._last)

    def close(self) -> None:
        """End what runs, and know nothing any more."""
        if self._running:
            self._running.process.end()
        self._last = None

    def _pull(self, peer: bytes, msg: m.Pull) -> None:
        running = self._running
        if running:
            if running.id == msg.job:
                raise BadInput("duplicate_job", "The download is under way.")
            sentence = f"The encoder {running.name} is being downloaded; wait until that has ended."
            raise BadInput("downloading", sentence)
        find(msg.name)
        log.info("%s is downloaded", msg.name)
        try:
            process = DownloadProcess(msg.name, self._output)
        except OSError as error:
            raise GlazeError("download_stopped", f"The download cannot be started: {error.strerror}.") from error
        self._last = Download(msg, peer, process)
        self._tell(peer, self._last)

    def _tell(self, peer: bytes, one: Download) -> None:
        """All that a client has to know of a download."""
        if one.end:
            self._send(peer, one.end)
        else:
            self._send(peer, m.Accepted(job=one.id, ahead=0))
            self._send(peer, one.progress)

    def _leave(self, one: Download) -> None:
        if not one.followers:
            if not one.end:
                self._cancel(one)
            self._last = None

    def _cancel(self, one: Download) -> None:
        one.end = failure(one.id, Cancelled("cancelled", "The download was cancelled; what has come is kept."))
        self._ended(one)

    def _ended(self, one: Download) -> None:
        one.process.end()
        log.info("the download of %s has ended: %s", one.name, getattr(one.end, "sentence", "it is whole"))
        for peer in one.followers:
            if one.end:
                self._send(peer, one.end)


def known() -> list[dict[str, Any]]:
    """The entries of `messages.Models`."""
    return [
        {
            "name": one["name"],
            "about": one["about"],
            "licence": one["licence"],
            "size": one["size"] or one.get("about_size"),
            "exact": one["size"] is not None,
            "here": bool(one["path"]),
            "on_hub": bool(one.get("repository")),
            "gated": one.get("gated", False),
        }
        for one in facts()
        if one["family"]
    ]

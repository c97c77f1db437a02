"""The worker as the daemon sees it: a child process to start, watch and stop."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from glaze_plugin.launch import NO_WINDOW, last_words
from glaze_server.jobs import MAX_CRASHES

BACKOFF_SECONDS = (0.0, 0.5, 2.0, 10.0, 30.0)
"""s between a crash and the next start; the last one repeats."""
POLITE = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait sleep instead of spinning: beside another busy program, spinning made the worker twice as slow."""
REST_SECONDS = 3.0
OUTPUT_LIMIT = 1 << 20
"""Bytes of what children have printed at which a new file is begun; the last full one is kept."""
STEADY_SECONDS = 60.0
"""s of life after which earlier crashes no longer count."""


class WorkerProcess:
    """At most one child at a time. Its token travels over its standard input, whose end also tells it to stop."""

    def __init__(self, endpoint: str, token: str, output: Path) -> None:
        self._endpoint = endpoint
        self._token = token
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._refusal = ""
        self._reason: str | None = None
        self._due = 0.0
        self._born = 0.0
        self._crashes = 0
        self._failed_starts = 0

    @property
    def state(self) -> str:
        """In a word, for a child that has not said that it is ready: starting, failing or resting."""
        if self.hopeless:
            return "failing"
        return "starting" if self._process else "resting"

    def wake(self) -> None:
        """Start a child where none runs, unless the last one crashed so recently that it must wait.

        Where the system refuses, `crashed` says so.
        """
        if self._process is None and self._reason is None and time.monotonic() >= self._due:
            self._refusal = ""
            try:
                self._launch()
            except OSError as error:
                self._refusal = f"{sys.executable} cannot be started: {error.strerror}."
                self._reason = self._refusal

    @property
    def hopeless(self) -> bool:
        """Whether it has failed to start so often in a row that waiting for it is of no use."""
        return self._failed_starts > MAX_CRASHES

    def ready(self) -> None:
        """The child says that it has started."""
        self._failed_starts = 0

    def worked(self) -> None:
        """The child has finished a job: earlier crashes no longer count."""
        self._crashes = 0

    def last_words(self) -> str:
        """The last line that a child printed, which may say why it stopped, or why there is none."""
        return self._refusal or last_words(self._output)

    def crashed(self) -> str | None:
        """Why the child ended by itself or did not start, once after that; else None."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self._process = None
            self._reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        if self._reason is None:
            return None
        reason, self._reason = self._reason, None
        if time.monotonic() - self._born > STEADY_SECONDS:
            self._crashes = 0
        self._due = time.monotonic() + BACKOFF_SECONDS[min(self._crashes, len(BACKOFF_SECONDS) - 1)]
        self._crashes += 1
        self._failed_starts += 1
        return reason

    def rest(self, patience: float = REST_SECONDS) -> None:
        """End the child, which gives its memory back; by force if it does not go within `patience`, s."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _launch(self) -> None:
        self._born = time.monotonic()
        if self._output.exists() and self._output.stat().st_size > OUTPUT_LIMIT:
            self._output.replace(self._output.with_suffix(".old"))
        with open(self._output, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "glaze_server.worker", self._endpoint],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**POLITE, **os.environ},
                creationflags=NO_WINDOW,
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already, which `crashed` will notice
            self._process.stdin.write(self._token.encode() + b"\n")
            self._process.stdin.flush()

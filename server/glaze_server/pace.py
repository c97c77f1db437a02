"""How long something still takes that is counted in steps."""

from __future__ import annotations

import time

STEADY_SECONDS = 2.0
"""s before which nothing is said."""


class Pace:
    """By the steps that have been done since the first news, which tells what was there before."""

    def __init__(self, instant: float = 0.0) -> None:
        """instant: s; a step that takes less was done by an earlier run, so it begins anew there."""
        self._instant = instant
        self._had = self._done = -1
        self._since = self._stepped = 0.0

    def seconds_left(self, done: int, total: int) -> float | None:
        """Called with all news; None where nothing can be said yet."""
        now = time.monotonic()
        repeated = done > self._done and now - self._stepped < self._instant
        if self._had < 0 or done < self._had or repeated:
            self._had, self._since = done, now
        if done != self._done:
            self._done, self._stepped = done, now
        if done == self._had or now - self._since < STEADY_SECONDS:
            return None
        return (now - self._since) * (total - done) / (done - self._had)

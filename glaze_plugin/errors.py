"""Every error that may reach an artist: a code for programs, one sentence for people, and what to do about it."""

from __future__ import annotations


class GlazeError(Exception):
    """Something that went wrong, said in one sentence.

    code: short stable name for programs, such as ``too_small``.
    sentence: what happened, in plain words, ending with a full stop.
    remedy: what the artist can do, or "".
    """

    kind = "internal"
    exit_code = 1

    def __init__(self, code: str, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


class BadInput(GlazeError):
    """What was handed in cannot be used as it is; nothing was written."""

    kind = "bad_input"
    exit_code = 2


class DaemonUnavailable(GlazeError):
    """No daemon could be reached or started."""

    kind = "daemon_unavailable"
    exit_code = 3


class Cancelled(GlazeError):
    """The job was cancelled on request."""

    kind = "cancelled"
    exit_code = 130


KINDS: dict[str, type[GlazeError]] = {cls.kind: cls for cls in (GlazeError, BadInput, DaemonUnavailable, Cancelled)}


def described(error: GlazeError) -> dict[str, str]:
    """What `rebuild` takes."""
    return {"kind": error.kind, "code": error.code, "sentence": error.sentence, "remedy": error.remedy}


def rebuild(kind: str, code: str, sentence: str, remedy: str = "") -> GlazeError:
    """The error that a peer described; an unknown kind becomes a plain GlazeError."""
    return KINDS.get(kind, GlazeError)(code, sentence, remedy)

"""One job's side of the protocol, without a daemon: what it says to each message, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from glaze_plugin import job as module
from glaze_plugin.bands import submission
from glaze_plugin.errors import BadInput, Cancelled, GlazeError
from glaze_plugin.job import Job
from glaze_plugin.messages import (
    Accepted,
    Cancel,
    Chunk,
    Done,
    Failed,
    Fetch,
    Message,
    Part,
    Progress,
    Refused,
    Submit,
    Upload,
    Watch,
)

ID = "7" * 32
ROOM = 1 << 20


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def __call__(self, job: Job, msg: Message) -> None:
        self.messages.append(msg)


def messages() -> Iterator[Message]:
    return submission(ID, "protect", {"picture": b"p" * 10}, {}, "", None)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def new(told: Told) -> Job:
    """A job of which nothing has been sent."""
    return Job.begin(ID, messages, told)


@pytest.fixture
def accepted(new: Job) -> Job:
    list(new.due(ROOM))
    new.hear(Accepted(ID, 0))
    return new


def done(size: int = 6) -> Done:
    return Done(ID, [Part("result", size)], {})


def refused(code: str) -> Refused:
    return Refused(code, "It cannot be.", "", ID)


def kinds(said: Iterator[Message] | list[Message]) -> list[type[Message]]:
    return [type(msg) for msg in said]


def test_a_new_job_is_sent_as_far_as_there_is_room(new: Job) -> None:
    assert new.open and new.sending
    assert kinds(new.due(0)) == []
    assert kinds(new.due(1)) == [Submit, Upload]
    assert kinds(new.due(ROOM)) == []
    assert not new.sending


def test_it_goes_on_from_accepted_to_fetched(accepted: Job, told: Told) -> None:
    assert accepted.state == "waiting"
    accepted.hear(Progress(ID, "cloaking", 1, 2))
    assert accepted.state == "running"
    accepted.hear(done())
    assert accepted.state == "done" and not accepted.open
    assert accepted.fetch((), {}, ROOM, ROOM) == []
    assert list(accepted.due(ROOM)) == [Fetch(ID, "result", 0, 6)]
    accepted.hear(Chunk(ID, "result", 0, b"result"))
    assert list(accepted.due(ROOM)) == []
    assert accepted.state == "fetched" and accepted.parts == {"result": bytearray(b"result")}
    assert kinds(told.messages) == [Accepted, Progress, Done, Chunk, Done]


def test_what_is_fetched_again_is_asked_of_a_daemon_that_may_not_know_it(accepted: Job) -> None:
    accepted.hear(done())
    accepted.fetch((), {}, ROOM, ROOM)
    list(accepted.due(ROOM))
    accepted.hear(Chunk(ID, "result", 0, b"result"))
    list(accepted.due(ROOM))
    assert accepted.fetch((), {}, ROOM, ROOM) == [Watch(ID)]


@pytest.mark.parametrize("wrong", [Chunk(ID, "result", 1, b"esult"), Chunk(ID, "other", 0, b"result")])
def test_a_chunk_that_was_not_asked_for_fails_it_once(accepted: Job, told: Told, wrong: Chunk) -> None:
    accepted.hear(done())
    accepted.fetch((), {}, ROOM, ROOM)
    told.messages.clear()
    assert accepted.hear(wrong) == []
    assert accepted.state == "failed" and accepted.error and accepted.error.code == "band_size"
    assert told.messages == [wrong]


def test_a_result_too_large_is_not_believed(accepted: Job) -> None:
    accepted.hear(done(module.LARGEST_RESULT + 1))
    assert accepted.error and accepted.error.code == "result_size"


def test_cancelled_before_anything_was_sent_it_ends_at_once(new: Job, told: Told) -> None:
    assert new.cancel() == []
    assert isinstance(new.error, Cancelled) and not new.sending
    assert kinds(told.messages) == [Failed]


def test_cancelled_while_it_is_sent_it_says_so_until_it_is_heard(new: Job) -> None:
    next(new.due(ROOM))
    assert new.cancel() == [Cancel(ID)]
    assert not new.sending
    assert new.hear(Accepted(ID, 0)) == [Cancel(ID)]
    assert new.open
    new.hear(refused("unknown_job"))
    assert isinstance(new.error, Cancelled)
    assert new.cancel() == []


def test_a_daemon_that_did_not_get_it_whole_is_sent_it_again(new: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESUBMIT_SECONDS", 0.0)
    monkeypatch.setattr(module, "RESUBMITS", 2)
    for _ in range(2):
        assert kinds(new.due(ROOM)) == [Submit, Upload]
        for _ in range(2):  # of several messages, each refused
            assert new.hear(refused("unknown_job")) == []
        assert new.open
    assert kinds(new.due(ROOM)) == [Submit, Upload]
    new.hear(refused("unknown_job"))
    assert isinstance(new.error, BadInput)


def test_a_late_refusal_before_it_is_accepted_does_not_hide_later_ones(
    new: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESUBMIT_SECONDS", 0.0)
    list(new.due(ROOM))
    new.hear(refused("unknown_job"))
    list(new.due(ROOM))
    new.hear(refused("unknown_job"))
    new.hear(Accepted(ID, 0))
    assert new.resume() == [Watch(ID)]
    new.hear(refused("unknown_job"))
    assert isinstance(new.error, BadInput)


def test_a_daemon_that_has_it_already_is_asked_for_it(new: Job) -> None:
    list(new.due(ROOM))
    assert new.hear(refused("duplicate_job")) == [Watch(ID)]
    assert new.hear(refused("not_yours")) == []
    assert new.open


def test_over_a_new_connection_it_is_asked_for_and_its_result_asked_for_again(accepted: Job) -> None:
    assert accepted.resume() == [Watch(ID)]
    accepted.hear(done())
    accepted.fetch((), {}, ROOM, ROOM)
    list(accepted.due(ROOM))
    assert list(accepted.due(ROOM)) == []
    assert accepted.resume() == [Watch(ID)]
    assert list(accepted.due(ROOM)) == [Fetch(ID, "result", 0, 6)]


def test_one_that_was_never_sent_has_nothing_to_resume(new: Job) -> None:
    assert new.resume() == []
    assert new.sending


def test_without_news_for_a_while_it_asks(accepted: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(accepted.due(ROOM)) == []
    monkeypatch.setattr(module, "NEWS_SECONDS", 0.0)
    assert list(accepted.due(ROOM)) == [Watch(ID)]


def test_what_cannot_be_read_reaches_the_caller(told: Told) -> None:
    def unreadable() -> Iterator[Message]:
        yield from list(messages())[:1]
        raise GlazeError("unreadable", "The canvas cannot be read.")

    job = Job.begin(ID, unreadable, told)
    with pytest.raises(GlazeError, match="canvas"):
        list(job.due(ROOM))

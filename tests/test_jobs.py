"""The durable store by itself: order, limits, and what is there after it is opened again."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from glaze_plugin.errors import BadInput, GlazeError
from glaze_plugin.messages import Done, Fetch, Part, Submit, Upload
from glaze_server import jobs as store
from glaze_server.jobs import Job, Jobs, failure


def submit(kind: str = "protect", size: int = 4, **settings: object) -> Submit:
    return Submit(job=uuid.uuid4().hex, kind=kind, parts=[Part("picture", size)], settings=settings)


def accepted(jobs: Jobs, owner: bytes = b"a", **settings: object) -> Job:
    job = jobs.add(submit(**settings), owner)  # type: ignore[arg-type]
    return jobs.store(Upload(job=job.id, part="picture", offset=0, payload=b"abcd"))


def finish(jobs: Jobs, job: Job, data: bytes = b"result") -> None:
    (job.folder / "out" / "result").write_bytes(data)
    jobs.finish(job, Done(job=job.id, parts=[Part("result", len(data))], report={"shift": 0.5}))


def test_what_was_accepted_is_there_again_and_what_was_not_is_gone(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    waiting, done, failed = (accepted(jobs) for _ in range(3))
    finish(jobs, done)
    jobs.finish(failed, failure(failed.id, GlazeError("x", "It failed.")))
    partial = jobs.add(submit(size=9), b"a")
    jobs.store(Upload(job=partial.id, part="picture", offset=0, payload=b"abcd"))
    jobs.close()
    again = Jobs(tmp_path)
    assert {job.id: job.state for job in again} == {waiting.id: "waiting", done.id: "done", failed.id: "failed"}
    assert (again.get(waiting.id).folder / "in" / "picture").read_bytes() == b"abcd"
    assert (again.get(done.id).folder / "out" / "result").read_bytes() == b"result"
    assert again.get(done.id).end == done.end
    assert not partial.folder.exists()
    again.forget(done.id)
    again.close()
    assert done.id not in {job.id for job in Jobs(tmp_path)}


@pytest.mark.parametrize("begin", [0, 4096])
def test_records_that_cannot_be_read_are_named(begin: int, tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for _ in range(30):
        accepted(jobs)
    jobs.close()
    file = tmp_path / "jobs.sqlite3"
    data = file.read_bytes()
    file.write_bytes(data[:begin] + bytes(b ^ 0x5A for b in data[begin:]))
    with pytest.raises(GlazeError) as raised:
        Jobs(tmp_path)
    assert raised.value.sentence.startswith(f"The daemon's records in {file} cannot be read: ")
    assert file.exists()


def test_a_job_that_ran_waits_again_and_remembers_its_crash(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job = accepted(jobs)
    job.state = "running"
    assert jobs.crashed(job)
    jobs.close()
    again = Jobs(tmp_path).get(job.id)
    assert (again.state, again.crashes) == ("waiting", 1)


def test_a_job_that_is_of_no_use_without_its_client_waits_for_it(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job = accepted(jobs, quality="preview")
    jobs.close()
    again = Jobs(tmp_path)
    assert again.next_waiting() is None and not again.urgent()
    again.get(job.id).followers.add(b"back")
    assert again.urgent() and again.next_waiting() is again.get(job.id)


def test_a_record_of_another_version_is_left_aside(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job = accepted(jobs)
    jobs._records.execute("UPDATE jobs SET submit = ?", (b'{"v": 99}',))
    jobs.close()
    assert list(Jobs(tmp_path)) == []
    assert job.folder.exists()


def test_clients_take_turns_and_interactive_jobs_go_first(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for owner in (b"a", b"a", b"a", b"b", b"b", b"c"):
        accepted(jobs, owner)
    accepted(jobs, b"d", quality="preview")
    accepted(jobs, b"d", kind="measure")
    order = []
    while job := jobs.next_waiting():
        job.state = "running"
        order.append(bytes.fromhex(job.client).decode())
    assert "".join(order) == "ddabcaba"


def test_a_client_has_its_limit_and_others_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_OPEN", 2)
    jobs = Jobs(tmp_path)
    accepted(jobs, b"a")
    done = accepted(jobs, b"a")
    with pytest.raises(BadInput, match="Too many jobs"):
        jobs.add(submit(), b"a")
    accepted(jobs, b"b")
    finish(jobs, done)
    accepted(jobs, b"a")


def test_the_disk_is_bounded_and_the_oldest_results_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "DISK_LIMIT", 20)
    jobs = Jobs(tmp_path)
    first, second, waiting = (accepted(jobs) for _ in range(3))
    finish(jobs, second)
    finish(jobs, first)
    assert jobs.disk == 6 + 6 + 4
    newest = accepted(jobs, size=4)
    assert jobs.disk == 20
    jobs.add(submit(size=6), b"a")
    assert {job.id for job in jobs} >= {first.id, waiting.id, newest.id}
    assert second.id not in {job.id for job in jobs}
    with pytest.raises(BadInput, match="no room"):
        jobs.add(submit(size=12), b"a")
    assert first.id in {job.id for job in jobs}  # nothing is dropped for a job that is refused all the same


def test_a_result_that_is_gone_is_told_in_a_sentence(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job = accepted(jobs)
    finish(jobs, job)
    (job.folder / "out" / "result").unlink()
    with pytest.raises(GlazeError, match="The job's result cannot be read any more: No such file"):
        jobs.read(Fetch(job.id, "result", 0, 6))


def test_results_are_kept_for_their_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs(tmp_path)
    job = accepted(jobs)
    finish(jobs, job)
    accepted(jobs)
    assert job.id in {one.id for one in jobs}
    monkeypatch.setattr(store, "KEPT_SECONDS", -1.0)
    accepted(jobs)
    assert job.id not in {one.id for one in jobs}

"""Downloads by the daemon, from a hub on this computer: what painting programs offer, whatever goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glaze_plugin import places
from glaze_plugin.client import Client
from glaze_plugin.errors import BadInput, Cancelled, GlazeError
from glaze_plugin.launch import end_daemon
from glaze_plugin.messages import Progress
from glaze_plugin.models import Offer, models, pull
from glaze_server.engine.catalogue import MODELS
from glaze_server.engine.stock import available
from tests.conftest import children
from tests.encoders.conftest import asking
from tests.encoders.local_hub import TINY_SIZE, WEIGHTS, Hub, hub_with

TINY = "taesd3"

pytestmark = pytest.mark.usefixtures("own_home", "fake_engine")


@pytest.fixture
def hub(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The only hub that daemons know which are started from now on."""
    hub = hub_with(MODELS[TINY].repository)
    for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
        monkeypatch.delenv(name)
    for name, value in asking(hub, HF_HUB_DOWNLOAD_TIMEOUT="60").items():
        monkeypatch.setenv(name, value)
    yield hub
    end_daemon()  # before the hub, whose last answer may be waited for
    hub.close()


def parts() -> list[int]:
    """Sizes of what has come of unfinished files of weights."""
    return [path.stat().st_size for path in places.models().rglob(f"{WEIGHTS}*.part")]


def until(happened: Callable[[], object], client: Client | None = None, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        if client:
            client.wait(0.05)
        else:
            time.sleep(0.05)


def stalled(client: Client, hub: Hub) -> Offer:
    """A download of which half has come."""
    hub.faults[WEIGHTS] = "stalls"
    offer = Offer(client, lambda: None)
    offer.pull(TINY)
    until(lambda: sum(parts()) and offer.share, client)
    return offer


def downloading(client: Client) -> list[int]:
    """Processes that download."""
    found = subprocess.run(["pgrep", "-f", "glaze_server.hub pull"], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split() if int(pid) in children(client.welcome.pid)]


def test_the_list_says_what_each_is_and_asks_no_hub(hub: Hub) -> None:
    with Client.connect("tests") as client:
        found = {one.name: one for one in models(client)}
    assert list(found) == list(MODELS)
    assert [name for name, one in found.items() if one.here] == ["embedded"]
    assert found["sd35"].gated and found["sd35"].on_hub
    assert not found["embedded"].on_hub and not found["taesana"].on_hub
    assert all(one.size for one in found.values() if one.on_hub) and not found["taesd"].exact and found["sd15"].exact
    assert found["sd15"].size == MODELS["sd15"].size and found["sd15"].licence == MODELS["sd15"].licence
    assert hub.asked == []


def test_a_download_shows_how_far_it_is_and_the_encoder_is_there(hub: Hub) -> None:
    heard: list[Progress] = []
    hub.faults[WEIGHTS] = "slow"  # or its first news is that all has come
    with Client.connect("tests") as client:
        report = pull(client, TINY, heard.append)
        assert report == {"encoder": TINY, "path": str(places.models() / TINY)}
        assert client.status().encoders == available() == ["embedded", TINY]
        assert [one.name for one in models(client) if one.here] == ["embedded", TINY]
        assert client.jobs() == []
        until(lambda: not downloading(client))
    done = [msg.step for msg in heard if msg.stage == "downloading"]
    assert done == sorted(done) and done
    assert heard[-1].step == heard[-1].steps == TINY_SIZE + 2


@pytest.mark.parametrize(
    ("fault", "code"),
    [("cut for good", "no_connection"), ("missing", "not_found"), ("gated", "needs_token"), ("wrong", "checksum")],
)
def test_what_goes_wrong_is_said_and_the_next_try_succeeds(hub: Hub, fault: str, code: str) -> None:
    hub.faults[WEIGHTS] = fault
    with Client.connect("tests") as client:
        with pytest.raises(GlazeError) as caught:
            pull(client, TINY)
        assert caught.value.code == code and caught.value.sentence.endswith(".")
        assert client.status().encoders == ["embedded"]
        hub.faults.clear()
        pull(client, TINY)
        assert client.status().encoders == ["embedded", TINY]


def test_offline_nothing_is_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with Client.connect("tests") as client, pytest.raises(GlazeError) as caught:
        pull(client, TINY)
    assert caught.value.code == "offline"
    assert hub.asked == []


def test_a_disk_without_room_is_said_before_the_download(hub: Hub) -> None:
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    places.models().mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=70m", "tmpfs", str(places.models())], check=True)
    try:
        with Client.connect("tests") as client, pytest.raises(GlazeError) as caught:
            pull(client, TINY)
        assert caught.value.code == "disk_full"
        assert not hub.ranges(f"//{WEIGHTS}")
    finally:
        subprocess.run(["umount", "-l", str(places.models())], check=True)


def test_a_cancelled_download_goes_on_where_it_was(hub: Hub) -> None:
    with Client.connect("tests") as client:
        offer = stalled(client, hub)
        assert offer.job and offer.job.progress and 0 < offer.share < 1
        offer.cancel()
        until(lambda: offer.job is None, client, 3)
        assert offer.error is None and offer.came == ""
        until(lambda: not downloading(client), client, 3)
        (had,) = parts()
        with pytest.raises(Cancelled):  # before it has begun
            pull(client, TINY, cancel=lambda: True)
        offer.pull(TINY)
        until(lambda: offer.came == TINY, client)
        until(lambda: offer.models and [one.name for one in offer.models if one.here] == ["embedded", TINY], client)
    assert hub.ranges(f"//{WEIGHTS}")[-1] == f"bytes={had}-"


def test_a_client_that_goes_ends_its_download(hub: Hub) -> None:
    with Client.connect("tests") as client:
        with Client.connect("another") as other:
            stalled(other, hub)
            assert downloading(client)
        until(lambda: not downloading(client), client, 5)
        assert sum(parts())
        pull(client, TINY)


def test_a_download_that_cannot_be_started_is_refused_as_such(hub: Hub, own_home: Path) -> None:
    with Client.connect("tests") as client:
        (own_home / "state" / "download.out").mkdir()  # where what its process prints should go
        with pytest.raises(GlazeError, match="The download cannot be started: Is a directory") as caught:
            pull(client, TINY)
        assert caught.value.code == "download_stopped"
        (own_home / "state" / "download.out").rmdir()
        pull(client, TINY)


def test_two_at_once_are_one_too_many(hub: Hub) -> None:
    with Client.connect("tests") as client, Client.connect("another") as other:
        offer = stalled(client, hub)
        with pytest.raises(BadInput, match=f"{TINY} is being downloaded; wait") as caught:
            pull(other, "taesd")
        assert caught.value.code == "downloading"
        assert offer.job
        followed = other.watch(offer.job.id)  # who watches it keeps it alive
        until(lambda: followed.known, other)
        client.close()
        until(lambda: followed.state == "done", other)
        other.forget(followed)
        assert other.status().encoders == ["embedded", TINY]


@pytest.mark.parametrize(
    ("name", "code"), [("nothing", "unknown_encoder"), ("--help", "unknown_encoder"), ("taesana", "not_on_hub")]
)
def test_what_cannot_be_downloaded_is_refused(hub: Hub, name: str, code: str) -> None:
    with Client.connect("tests") as client, pytest.raises(BadInput) as caught:
        pull(client, name)
    assert caught.value.code == code
    assert hub.asked == []


def test_a_daemon_that_dies_takes_its_download_along(hub: Hub) -> None:
    """The next daemon begins none by itself."""
    with Client.connect("tests") as client:
        offer = stalled(client, hub)
        first, pids = client.welcome.pid, downloading(client)
        os.kill(first, signal.SIGKILL)
        until(lambda: offer.job is None, client, 30)
        assert offer.error and offer.error.code == "unknown_job"
        assert client.welcome.pid != first
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), client, 30)
        assert not downloading(client)
        pull(client, TINY)

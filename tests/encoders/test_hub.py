"""Downloads from a hub on this computer, whatever goes wrong there: what is not whole is never used."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server import hub as hub_module
from glaze_server.engine import encoders, pulled, stock
from glaze_server.engine.catalogue import CLIP, CSD, MODELS, OTHERS
from glaze_server.engine.device import CPU
from glaze_server.mimicry.csd import Csd
from glaze_server.mimicry.genres import GENRES, Genres
from tests.conftest import ROOT, Glaze
from tests.encoders.conftest import Fetch, asking
from tests.encoders.local_hub import COMMIT, Hub
from tests.encoders.narrow import ONE_OF_EACH
from tests.engine.conftest import refusal, waves
from tests.engine.tiny_pipelines import tiny_clip, tokenizer
from tests.mimicry.tiny_csd import TinyCsd

TINY, WEIGHTS = "taesd3", "diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_every_class_is_fetched_and_loaded(name: str, fetch: Fetch, hub: Hub, shelf: Path) -> None:
    code, said = fetch("pull", name)
    revision = MODELS[name].revision or COMMIT
    assert (code, said[-1]) == (0, {"pulled": name, "path": str(shelf / name), "revision": revision})
    assert said[0]["total"] == sum(len(data) for data in hub.repositories[MODELS[name].repository].values())
    assert said[0]["licence"] == MODELS[name].licence
    latent = encoders.load(name)(waves(64, 64))
    assert latent.isfinite().all() and latent.std() > 0
    assert not [path for path in (shelf / ".incoming").rglob("*") if path.suffix == ".part"]


def test_clip_is_fetched_for_studies_and_is_no_encoder(fetch: Fetch, hub: Hub, shelf: Path, tmp_path: Path) -> None:
    tiny_clip().save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    paths = [file.path for file in OTHERS[CLIP].files]
    written = {path: (tmp_path / path) for path in paths}
    hub.repositories[OTHERS[CLIP].repository] = {
        path: file.read_bytes() if file.exists() else b"{}" for path, file in written.items()
    }
    with refusal("missing_weights", GlazeError):
        Genres()
    code, said = fetch("pull", CLIP)
    assert (code, said[-1]["path"]) == (0, str(places.other(CLIP)))
    assert Genres().own(waves(64, 64)) in GENRES
    assert stock.available() == ["embedded"] and not stock.own()
    assert [one["name"] for line in fetch("list")[1] if (one := line["model"])["path"]] == ["embedded", CLIP]
    there = places.other(CLIP) / "model.safetensors"
    assert fetch("verify")[1] == [{"verified": CLIP, "same": True, "path": str(there)}]
    assert fetch("remove", CLIP) == (0, [{"removed": CLIP}])
    assert not places.other(CLIP).exists()


def test_csd_is_fetched_beside_clip(fetch: Fetch, hub: Hub, shelf: Path, tmp_path: Path) -> None:
    tiny = TinyCsd()
    weights = tiny.saved(tmp_path / "model.safetensors").read_bytes()
    hub.repositories[OTHERS[CSD].repository] = {"model.safetensors": weights}
    with refusal("missing_weights", GlazeError):
        Csd()
    revision = OTHERS[CSD].revision
    assert fetch("pull", CSD)[1][-1] == {"pulled": CSD, "path": str(places.other(CSD)), "revision": revision}
    assert torch.allclose(Csd().styles(waves(64, 64), CPU), tiny(waves(64, 64)), rtol=0, atol=1e-5)
    assert stock.available() == ["embedded"] and not stock.own()
    there = places.other(CSD) / "model.safetensors"
    assert [one["path"] for line in fetch("list")[1] if (one := line["model"])["name"] in OTHERS] == ["", str(there)]
    assert fetch("verify")[1] == [{"verified": CSD, "same": True, "path": str(there)}]
    there.write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert fetch("verify", CSD) == (1, [{"verified": CSD, "same": False, "path": str(there)}])
    assert fetch("remove", CSD) == (0, [{"removed": CSD}])
    assert not places.other(CSD).exists()


def test_what_comes_in_the_place_of_csd_is_thrown_away(hub: Hub, shelf: Path, glaze: Glaze) -> None:
    hub.repositories[OTHERS[CSD].repository] = {"model.safetensors": b"another model"}
    done = glaze("models", "pull", CSD, env=asking(hub))
    assert done.returncode == 1 and "is not the published file; it was thrown away" in done.stderr
    assert not places.other(CSD).exists()


def test_what_is_here_is_not_fetched_again(fetch: Fetch, hub: Hub) -> None:
    fetch("pull", TINY)
    hub.asked.clear()
    code, said = fetch("pull", TINY)
    assert (code, [*said[-1]], hub.asked) == (0, ["pulled", "path", "revision"], [])


def test_a_cut_connection_is_taken_up_where_it_was_cut(fetch: Fetch, hub: Hub) -> None:
    hub.faults[WEIGHTS] = "cut"
    assert fetch("pull", TINY)[0] == 0
    size = len(hub.repositories[MODELS[TINY].repository][WEIGHTS])
    first, second = hub.ranges(f"//{WEIGHTS}")
    assert first == ""
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= size // 2


def test_a_connection_that_stalls_is_taken_up(fetch: Fetch, hub: Hub) -> None:
    hub.faults[WEIGHTS] = "stalls"
    assert fetch("pull", TINY)[0] == 0
    assert len(hub.ranges(f"//{WEIGHTS}")) == 2


def test_a_slow_hub_is_waited_for(fetch: Fetch, hub: Hub) -> None:
    hub.faults[WEIGHTS] = "slow"
    code, said = fetch("pull", TINY)
    done = [line["done"] for line in said if "done" in line]
    assert code == 0
    assert done == sorted(done) and len(done) > 2 and done[-1] == said[0]["total"]


def test_a_download_that_was_killed_goes_on_where_it_stopped(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    hub.faults[WEIGHTS] = "stalls"
    command = [sys.executable, "-m", "tests.encoders.unpinned", "pull", TINY]
    child = subprocess.Popen(command, cwd=ROOT, env=asking(hub, HF_HUB_DOWNLOAD_TIMEOUT="60"))
    deadline = time.monotonic() + 60
    half = len(hub.repositories[MODELS[TINY].repository][WEIGHTS]) // 2

    def parts() -> list[Path]:
        return [part for part in shelf.rglob(f"{WEIGHTS}*.part") if part.stat().st_size]

    while not hub.ranges(f"//{WEIGHTS}") and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    child.wait(30)
    assert stock.available() == ["embedded"]
    had = sum(part.stat().st_size for part in parts())
    assert 0 < had <= half
    assert fetch("pull", TINY)[0] == 0
    assert hub.ranges(f"//{WEIGHTS}")[-1] == f"bytes={had}-"
    assert encoders.load(TINY)(waves(64, 64)).isfinite().all()


def failing(fetch: Fetch, shelf: Path, name: str = TINY, **environment: str) -> dict[str, str]:
    """The error of a pull, after which nothing must be there."""
    code, said = fetch("pull", name, **environment)
    assert code == 1
    assert stock.available() == ["embedded"]
    error: dict[str, str] = said[-1]["error"]
    assert error["sentence"].endswith(".")
    return error


def test_bytes_that_are_not_the_published_ones_are_thrown_away(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    hub.faults[WEIGHTS] = "wrong"
    assert failing(fetch, shelf)["code"] == "checksum"
    assert not list(shelf.rglob(f"{WEIGHTS}*"))
    hub.faults.clear()
    assert fetch("pull", TINY)[0] == 0


def test_a_lost_connection_is_said_and_what_came_is_kept(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    hub.faults[WEIGHTS] = "cut for good"
    error = failing(fetch, shelf)
    assert error["code"] == "no_connection" and "goes on where it stopped" in error["remedy"]
    assert [part for part in shelf.rglob(f"{WEIGHTS}*.part") if part.stat().st_size]


def test_what_the_hub_does_not_have_is_said(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    hub.faults[WEIGHTS] = "missing"
    assert failing(fetch, shelf)["code"] == "not_found"
    hub.repositories.clear()
    assert failing(fetch, shelf)["code"] == "not_found"


def test_a_busy_hub_is_asked_again_after_the_time_that_it_names(fetch: Fetch, hub: Hub) -> None:
    hub.faults["config.json"] = "busy"
    assert fetch("pull", TINY)[0] == 0
    assert len(hub.refused) == 1


def test_a_hub_that_stays_busy_is_said(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    hub.faults["config.json"] = "busy for good"
    assert failing(fetch, shelf)["code"] == "hub_busy"


def test_a_gated_model_needs_a_token(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    hub.faults[WEIGHTS] = "gated"
    error = failing(fetch, shelf)
    assert error["code"] == "needs_token"
    assert f"{hub.address}/{MODELS[TINY].repository}" in error["remedy"] and "HF_TOKEN" in error["remedy"]
    assert failing(fetch, shelf, HF_TOKEN="hf_wrong")["code"] == "needs_token"
    assert fetch("pull", TINY, HF_TOKEN="hf_right")[0] == 0


def test_a_token_that_has_expired_is_said(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    """The hub refuses whatever it is asked with it, also what needs no token."""
    error = failing(fetch, shelf, HF_TOKEN="hf_expired")
    assert error["code"] == "bad_token" and "unset HF_TOKEN" in error["remedy"]


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "socks://127.0.0.1:9/", "http://[::1"])
def test_a_proxy_that_cannot_be_used_is_said(proxy: str, fetch: Fetch, shelf: Path) -> None:
    error = failing(fetch, shelf, ALL_PROXY=proxy, no_proxy="")
    assert error["code"] == "bad_proxy" and "ALL_PROXY" in error["remedy"]


def test_whatever_goes_wrong_is_said_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "pull", lambda *_: dict[str, str]()["x"])
    assert hub_module.main(["pull", TINY]) == 1
    said = capsys.readouterr()
    assert "KeyError" in json.loads(said.out)["error"]["sentence"]
    assert "Traceback" in said.err


def test_offline_nothing_is_asked(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    assert failing(fetch, shelf, HF_HUB_OFFLINE="1")["code"] == "offline"
    assert hub.asked == []


def test_no_hub_is_said(fetch: Fetch, shelf: Path) -> None:
    assert failing(fetch, shelf, HF_ENDPOINT="http://127.0.0.1:9")["code"] == "no_connection"


def test_a_disk_without_room_is_said_before_the_download(
    hub: Hub, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mock, in this process: a disk cannot be filled here."""
    from glaze_server import download

    full = shutil.disk_usage(shelf)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with refusal("disk_full", GlazeError):
        download._check_room(MODELS[TINY], shelf, 5_000_000)


def test_the_checksum_of_the_registry_is_checked(hub: Hub, shelf: Path, glaze: Glaze) -> None:
    """The local hub's flux2 is not the published one; it announces what it sends, and is not believed."""
    done = glaze("models", "pull", "flux2", env=asking(hub))
    assert done.returncode == 1
    assert "not the published file" in done.stderr
    assert stock.available() == ["embedded"]


def test_another_revision_than_the_pinned_one_is_refused(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    hub.faults["vae/config.json"] = "another revision"
    error = failing(fetch, shelf, "sd21")
    assert error["code"] == "no_hub" and "another revision" in error["sentence"]
    assert not hub.ranges("config.json")


def test_the_first_download_is_trusted_and_written_down(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    fetch("pull", TINY)
    record = pulled.read(shelf / TINY)
    assert record and record.revision == COMMIT
    assert {kept.name for kept in record.files} == {"config.json", WEIGHTS}
    assert fetch("verify", TINY) == (0, [{"verified": TINY, "same": True, "path": str(shelf / TINY / WEIGHTS)}])
    data = bytearray((shelf / TINY / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (shelf / TINY / WEIGHTS).write_bytes(data)
    code, said = fetch("verify")
    assert (code, said[0]["same"]) == (1, False)
    with refusal("broken_weights", GlazeError) as caught:
        encoders.load(TINY)
    assert f"glaze models pull {TINY}" in caught.value.remedy
    assert fetch("pull", TINY)[0] == 0
    assert encoders.load(TINY)(waves(64, 64)).isfinite().all()
    assert [path for method, path, _ in hub.asked if method == "HEAD"][-1].split("/")[-2] == COMMIT


def test_another_file_than_the_first_is_not_believed(fetch: Fetch, hub: Hub, shelf: Path) -> None:
    fetch("pull", TINY)
    (shelf / TINY / WEIGHTS).unlink()
    repository = MODELS[TINY].repository
    hub.repositories[repository] = hub.repositories[repository] | {WEIGHTS: b"another"}
    assert failing(fetch, shelf)["code"] == "checksum"


def test_the_command_line_fetches_lists_and_removes(hub: Hub, shelf: Path, glaze: Glaze) -> None:
    environment = asking(hub)
    done = glaze("models", "pull", TINY, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, f"{TINY} is in {shelf / TINY}.")
    assert "MIT" in done.stderr
    listed = json.loads(glaze("models", "list", "--json", env=environment).stdout)
    assert [one["name"] for one in listed] == [*MODELS, *OTHERS]
    assert [one["name"] for one in listed if one["path"]] == ["embedded", TINY]
    assert glaze("models", "path", env=environment).stdout.strip() == str(shelf)
    assert glaze("models", "path", TINY, env=environment).stdout.strip() == str(shelf / TINY / WEIGHTS)
    assert glaze("models", "verify", env=environment).returncode == 0
    assert f"On this computer: embedded, {TINY}." in glaze("doctor", env=environment).stdout
    assert glaze("models", "remove", TINY, env=environment).returncode == 0
    assert stock.available() == ["embedded"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pull", "nothing"), "There is no encoder 'nothing'"),
        (("pull", "taesana"), "taesana_encoder.pth"),
        (("pull", "embedded"), "part of Glaze"),
        (("verify", "sd15"), "not on this computer"),
        (("remove", "sd15"), "Nothing of the encoder"),
        (("path", "sd15"), "not on this computer"),
    ],
)
def test_what_cannot_be_done_is_bad_input(arguments: tuple[str, ...], words: str, shelf: Path, glaze: Glaze) -> None:
    done = glaze("models", *arguments, env=asking(None))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr and "Traceback" not in done.stderr


def test_what_cannot_be_removed_is_said(fetch: Fetch, shelf: Path, glaze: Glaze) -> None:
    """On Windows that is a file which a worker uses; here it is one that is mounted."""
    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    fetch("pull", TINY)
    weights = shelf / TINY / WEIGHTS
    subprocess.run(["mount", "--bind", str(weights), str(weights)], check=True)
    try:
        done = glaze("models", "remove", TINY, env=asking(None))
        assert (done.returncode, done.stdout) == (1, "")
        assert f"still there, at least in part: {weights}" in done.stderr.replace("\n", " ")
    finally:
        subprocess.run(["umount", str(weights)], check=True)
    assert glaze("models", "remove", TINY, env=asking(None)).returncode == 0
    assert not weights.parent.exists()


def test_what_the_artist_put_there_is_not_removed(shelf: Path, glaze: Glaze) -> None:
    mine = shelf / "taef2_encoder.pth"
    mine.write_bytes(b"mine")
    done = glaze("models", "remove", "taef2", env=asking(None))
    assert done.returncode == 2 and str(mine) in done.stderr
    assert mine.exists()
    (shelf / ".incoming" / "taef2").mkdir(parents=True)  # of a download that came to nothing
    by_hand = shelf / "taef2"
    by_hand.mkdir()
    for file in MODELS["taef2"].files:
        (by_hand / file.name).write_bytes(b"mine")
    assert glaze("models", "remove", "taef2", env=asking(None)).returncode == 0
    assert {path.name for path in by_hand.iterdir()} == {file.name for file in MODELS["taef2"].files}
    shutil.rmtree(by_hand)
    assert glaze("models", "verify", "taef2", env=asking(None)).returncode == 1


@pytest.mark.parametrize("letters", ["絵".encode(), b"\xe9"])
def test_names_that_the_console_cannot_show_stop_nothing(shelf: Path, glaze: Glaze, letters: bytes) -> None:
    (shelf / os.fsdecode(letters + b".safetensors")).write_bytes(b"mine")
    environment = asking(None, PYTHONIOENCODING="cp1252")
    listed = glaze("models", "list", "--json", env=environment)
    assert json.loads(listed.stdout)[-1]["name"] == os.fsdecode(letters)
    shown = os.fsdecode(letters).encode("ascii", "backslashreplace").decode()
    assert f"On this computer: embedded, {shown}." in glaze("doctor", env=environment).stdout

"""Getting an encoder from a hub on this computer, and choosing it, by the keys of the real GIMP's dialog."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from glaze_plugin.client import Client
from glaze_server.engine.catalogue import MODELS
from tests.encoders.local_hub import WEIGHTS, Hub, hub_with
from tests.gimp.conftest import Gimp
from tests.gimp.glazing import GLAZED, names, prepare, until

TINY = "taesd3"
DIALOG, WINDOW = "Glaze layer", "Models"


@pytest.fixture(scope="module")
def screen() -> bool:
    return True


@pytest.fixture(scope="module", autouse=True)
def hub() -> Iterator[Hub]:
    """The only hub that the module's daemon knows."""
    hub = hub_with(MODELS[TINY].repository)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
            patch.delenv(name)
        patch.setenv("HF_ENDPOINT", hub.address)
        patch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
        yield hub
    hub.close()


def submitted(glaze_home: Path) -> bytes:
    """What the daemon has written down of its jobs."""
    return b"".join(path.read_bytes() for path in (glaze_home / "state" / "jobs").glob("jobs.*"))


def test_a_model_is_got_by_key_and_chosen(gimp: Gimp, hub: Hub, glaze_home: Path, held: Path, client: Client) -> None:
    prepare(gimp)
    gimp.run("show()")
    gimp.key(gimp.image_window(), "ctrl+shift+alt+g")
    dialog = gimp.window(DIALOG)
    gimp.key(dialog, "alt+l")
    window = gimp.window(WINDOW)
    gimp.shot("models")
    gimp.key(window, *["Down"] * list(MODELS).index(TINY))
    assert hub.asked == []

    hub.faults[WEIGHTS] = "missing"
    gimp.key(window, "alt+d")
    until(lambda: any(path.endswith(WEIGHTS) for _, path, _ in hub.asked))
    until(lambda: WINDOW in gimp.windows())
    gimp.shot("models-missing")

    hub.faults[WEIGHTS] = "stalls"
    gimp.key(window, "alt+d")
    until(lambda: bool(hub.ranges(f"//{WEIGHTS}")))
    gimp.window(f"{WINDOW} – 0%")
    gimp.shot("models-downloading")
    gimp.key(window, "alt+c")
    until(lambda: WINDOW in gimp.windows())
    assert client.status().encoders == ["embedded"]
    hub.faults.clear()
    gimp.key(window, "alt+d")
    gimp.window(f"{WINDOW} – finished")
    gimp.shot("models-here")
    gimp.key(window, "Escape")
    gimp.gone(WINDOW)

    assert client.status().encoders == ["embedded", TINY]
    gimp.key(dialog, "alt+n", "End", "alt+g")
    gimp.window(f"{DIALOG} – 9")
    gimp.shot("models-chosen")
    assert f'"encoders":["{TINY}"]'.encode() in submitted(glaze_home)
    held.unlink()
    gimp.window(f"{DIALOG} – finished")
    gimp.key(dialog, "alt+i")
    gimp.gone(DIALOG)
    assert names(gimp) == [GLAZED, "Layer"]

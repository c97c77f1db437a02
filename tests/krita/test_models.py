"""Getting an encoder from a hub on this computer, and choosing it, by clicks in the real Krita."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from glaze_plugin.client import Client
from glaze_server.engine.catalogue import MODELS
from tests.encoders.local_hub import WEIGHTS, Hub, hub_with
from tests.krita.glazing import prepare, says, shown
from tests.krita.harness.app import Krita

TINY = "taesd3"
CHOOSE = """
shown = widget('glaze_models_list')
shown.setCurrentItem(shown.findItems(name, QtCore.Qt.MatchFlag.MatchExactly, 0)[0])
"""


@pytest.fixture(scope="module")
def engine() -> str:
    return "tests.krita.pixel_tasks"


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


def test_a_model_is_got_by_click_and_chosen(krita: Krita, hub: Hub, held: Path) -> None:
    prepare(krita)
    krita.click("glaze_models")
    shown(krita, "glaze_models_window")
    krita.until("widget('glaze_models_list').topLevelItemCount() == count", count=len(MODELS))
    row = krita.run(f"{CHOOSE}\n[shown.currentItem().text(column) for column in range(5)]", name=TINY)
    assert row[:3] == [TINY, "≈ 10 MB", MODELS[TINY].licence]
    krita.shot("models")
    assert hub.asked == [] and not krita.run("widget('glaze_encoder').findData(name) >= 0", name=TINY)

    hub.faults[WEIGHTS] = "missing"
    krita.click("glaze_models_download")
    says(krita, "The hub does not have this model", name="glaze_models_sentence")
    krita.shot("models-missing")

    hub.faults[WEIGHTS] = "stalls"
    krita.click("glaze_models_download")
    shown(krita, "glaze_models_progress")
    says(krita, "downloading", name="glaze_models_sentence")
    krita.shot("models-downloading")
    krita.click("glaze_models_cancel")
    krita.until("widget('glaze_models_download').isEnabled()")
    hub.faults.clear()
    krita.click("glaze_models_download")
    says(krita, f"“{TINY}” is here now", name="glaze_models_sentence")
    krita.shot("models-here")
    krita.click("glaze_models_close")

    krita.until("widget('glaze_encoder').findData(name) >= 0", name=TINY)
    krita.run("box = widget('glaze_encoder')\nbox.setCurrentIndex(box.findData(name))", name=TINY)
    krita.shot("models-chosen")
    krita.click("glaze_layer_button")
    (job,) = json.loads(krita.until("bytes(active().annotation('glaze_jobs'))"))
    assert job["settings"]["encoders"] == [TINY]
    held.unlink()
    shown(krita, "glaze_keep")
    with Client.connect("tests") as client:
        assert client.status().encoders == ["embedded", TINY]

"""Encoders are found where their weights are, and say so in a sentence where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.engine import encoders, stock
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.networks import taef2_network
from tests.engine.conftest import refusal


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The artist's own encoder folder, empty."""
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path))
    monkeypatch.setattr(encoders, "load", encoders.load.__wrapped__)  # nothing remembered from other homes
    places.models().mkdir(parents=True)
    return places.models()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 70), (9, 1)])
def test_pictures_of_any_size_have_a_latent_pixel_for_every_8_px(embedded: Encoder, height: int, width: int) -> None:
    latent = embedded(torch.rand(2, 3, height, width))
    assert latent.shape == (2, 32, -(-height // 8), -(-width // 8))
    assert latent.isfinite().all()


def test_an_unknown_encoder_is_refused_and_the_known_ones_named() -> None:
    with refusal("unknown_encoder") as caught:
        encoders.load("sd99")
    assert "embedded, taef2" in caught.value.sentence


def test_missing_weights_are_said_to_be_missing_and_where_they_belong(folder: Path) -> None:
    with refusal("missing_weights") as caught:
        encoders.load("taef2")
    assert str(folder) in caught.value.remedy
    assert stock.available() == ["embedded"]


def test_weights_that_the_artist_put_there_are_used(folder: Path) -> None:
    network = taef2_network().half()
    save_file(network.state_dict(), folder / "taef2_encoder.safetensors")
    assert stock.available() == ["embedded", "taef2"]
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(encoders.load("taef2")(x), network.float()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("file", ["taef2_encoder.safetensors", "taef2_encoder.pth"])
def test_a_broken_weights_file_is_named(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"not weights")
    with refusal("broken_weights", GlazeError) as caught:
        encoders.load("taef2")
    assert file in caught.value.sentence


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    save_file({"0.weight": torch.zeros(3, 3)}, folder / "taef2_encoder.safetensors")
    with refusal("broken_weights", GlazeError):
        encoders.load("taef2")

"""Every entry is what its makers published: shapes, strides and scales; and a cloak can be optimised against it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from glaze_plugin.errors import GlazeError
from glaze_server.engine import autoencoders, encoders, measure, stock, tiles
from glaze_server.engine.budget import Budget
from glaze_server.engine.catalogue import GIB, MODELS
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.device import CPU, LEAST_CORE, Compute, Device
from glaze_server.engine.encoders import OWN_NETWORKS, Encoder
from glaze_server.engine.jnd import EPSILON, jnd_map
from glaze_server.engine.networks import taef2_network
from glaze_server.engine.settings import QUALITIES
from tests.encoders.narrow import ONE_OF_EACH, autoencoder, narrow
from tests.engine.conftest import nothing, refusal, waves

LATENTS = {"embedded": (32, 8), "taef2": (32, 8), "taesana": (32, 32), "sana": (32, 32), "flux2": (128, 16)}
LATENTS |= dict.fromkeys(("sd-vae-ft-mse", "sd15", "sd21", "sdxl", "taesd", "taesdxl"), (4, 8))
LATENTS |= dict.fromkeys(("sd35", "flux1", "qwen-image", "taesd3", "taef1"), (16, 8))
"""Channels and stride of the latent that each generator is trained on."""
PUBLISHED = [name for name in MODELS if MODELS[name].config]


@pytest.mark.parametrize("name", MODELS)
def test_every_entry_is_built_from_its_published_configuration(name: str) -> None:
    with torch.device("meta"):
        encoder = encoders.untrained(name)
        latent = encoder._network(torch.empty(1, 3, 256, 128))
    channels, stride = LATENTS[name]
    assert encoder.stride == stride
    assert latent.shape == (1, channels, 256 // stride, 128 // stride)


def cheap(name: str) -> Encoder:
    """With random weights; those that diffusers builds are a sixteenth as wide (tests/encoders/narrow.py)."""
    if name in OWN_NETWORKS:
        torch.manual_seed(1)
        return encoders.untrained(name)
    return Encoder(name, autoencoders.encoder_of(autoencoder(name)), LATENTS[name][1])


@pytest.mark.parametrize("name", MODELS)
def test_two_steps_lead_towards_the_target(name: str) -> None:
    encoder, x = cheap(name), waves(72, 80)
    goal = tiles.encode(encoder, waves(72, 80, 0.7))

    def loss(latent: Tensor, window: tiles.Window) -> Tensor:
        return (latent - goal[..., window.place[0], window.place[1]]).square().sum()

    distances = []
    for _ in range(3):
        distance, slope = tiles.gradient(encoder, x, loss)
        distances.append(distance)
        x = x - 0.002 * slope.sign()
    assert distances[2] < distances[1] < distances[0]


def test_a_cloak_is_optimised_against_an_encoder_of_a_larger_stride() -> None:
    encoder = cheap("sana")
    picture, target = waves(72, 80), waves(72, 80, 0.7)
    subject = Subject(picture, None, target, EPSILON * jnd_map(picture))
    quality = replace(QUALITIES["preview"], iterations=2)
    delta = optimise(subject, [encoder], quality, Budget(), 1, nothing)
    (shift,) = measure.targeted_shift(encoder, picture, target, subject.seen(delta))
    assert shift > 0


@pytest.mark.parametrize("name", ["embedded", "flux2", "sana"])
def test_a_picture_in_tiles_has_the_latent_of_the_whole_one(name: str) -> None:
    """Of its size and, away from what a tile cannot see, of its values."""
    encoder, x = cheap(name), waves(500, 340)
    whole = tiles.encode(encoder, x)
    tiled = tiles.encode(encoder, x, Compute(Device(core=LEAST_CORE)))
    assert len(tiles.windows(500, 340, LEAST_CORE, encoder.stride)) > 1
    assert tiled.shape == whole.shape
    assert F.cosine_similarity(tiled.flatten(), whole.flatten(), dim=0) > 0.9


def as_generators_have_it(vae: Any, name: str, x: Tensor) -> Tensor:
    """The latent as the pipelines of diffusers make it from a picture in [0, 1]."""
    config = vae.config
    match MODELS[name].published["_class_name"]:
        case "AutoencoderKL":
            mean = vae.encode(2 * x - 1).latent_dist.mode()
            return (mean - (config.get("shift_factor") or 0)) * config.scaling_factor  # type: ignore[no-any-return]
        case "AutoencoderTiny":
            return vae.encode(2 * x - 1).latents * config.scaling_factor  # type: ignore[no-any-return]
        case "AutoencoderDC":
            return vae.encode(2 * x - 1).latent * config.scaling_factor  # type: ignore[no-any-return]
        case "AutoencoderKLQwenImage":
            mean = vae.encode((2 * x - 1)[:, :, None]).latent_dist.mode()[:, :, 0]
            offset, deviation = (torch.tensor(one)[:, None, None] for one in (config.latents_mean, config.latents_std))
            return (mean - offset) / deviation  # type: ignore[no-any-return]
        case _:
            mean = vae.encode(2 * x - 1).latent_dist.mode()
            n, c, h, w = mean.shape
            patches = mean.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, 4 * c, h // 2, w // 2)
            deviation = (vae.bn.running_var + config.batch_norm_eps).sqrt()
            return (patches - vae.bn.running_mean[:, None, None]) / deviation[:, None, None]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", PUBLISHED)
def test_latents_are_those_that_the_generator_sees(name: str) -> None:
    x = waves(64, 96)
    vae = autoencoder(name)
    expected = as_generators_have_it(vae, name, x)
    encoder = Encoder(name, autoencoders.encoder_of(vae), LATENTS[name][1])
    torch.testing.assert_close(encoder(x), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def put(name: str, place: Path) -> None:
    autoencoder(name).save_pretrained(place)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_folder_of_the_artists_own_is_an_encoder_by_its_name(name: str, shelf: Path) -> None:
    put(name, shelf / "mine")
    assert stock.available() == ["embedded", "mine"]
    x = waves(64, 64)
    expected = as_generators_have_it(autoencoder(name), name, x)
    torch.testing.assert_close(encoders.load("mine")(x), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_weights_with_the_names_of_older_versions_are_read(shelf: Path) -> None:
    """As Stable Diffusion's are published; narrow ones have no other attention than that of the middle block."""
    put("sd21", shelf / "mine")
    file = shelf / "mine" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for key, value in load_file(file).items():
        for new, before in old.items():
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{before}.")
        renamed[key] = value
    assert any("attentions.0.proj_attn" in key for key in renamed)
    save_file(renamed, file)
    x = waves(64, 64)
    expected = as_generators_have_it(autoencoder("sd21"), "sd21", x)
    torch.testing.assert_close(encoders.load("mine")(x), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_the_hubs_file_of_taef2_is_read_as_well_as_the_authors_own(shelf: Path) -> None:
    """It holds the decoder, too, and names its layers as diffusers would."""
    network = taef2_network()
    (shelf / "taef2").mkdir()
    both = {f"encoder.layers.{key}": value for key, value in network.state_dict().items()}
    save_file(both | {"decoder.layers.0.weight": torch.zeros(3)}, shelf / "taef2" / "taef2.safetensors")
    assert stock.available() == ["embedded", "taef2"]
    x = waves(32, 32)
    torch.testing.assert_close(encoders.load("taef2")(x), network(x), rtol=1e-4, atol=1e-5)


def test_a_folder_without_all_of_its_weights_is_refused(shelf: Path) -> None:
    """diffusers would fill the gap with random numbers."""
    vae = autoencoder("sd21")
    vae.save_pretrained(shelf / "mine")
    weights = {key: value for key, value in vae.state_dict().items() if "encoder.conv_in" not in key}
    save_file(weights, shelf / "mine" / "diffusion_pytorch_model.safetensors")
    with refusal("broken_weights", GlazeError):
        encoders.load("mine")


def test_a_folder_of_another_kind_of_model_is_refused(shelf: Path) -> None:
    (shelf / "mine").mkdir()
    (shelf / "mine" / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    with refusal("broken_weights", GlazeError):
        encoders.load("mine")


def test_a_single_file_that_holds_no_known_autoencoder_is_refused(shelf: Path) -> None:
    save_file({"weight": torch.zeros(3)}, shelf / "mine.safetensors")
    with refusal("broken_weights", GlazeError) as caught:
        encoders.load("mine")
    assert "mine.safetensors" in caught.value.sentence


@pytest.mark.parametrize(("name", "like"), [("sd15", (4, True)), ("flux1", (16, False))])
@pytest.mark.parametrize("called", ["mine", "sdxl"])
def test_a_single_file_is_read_by_what_is_in_it(
    called: str, name: str, like: tuple[int, bool], shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it has the name of an encoder that could be downloaded."""
    monkeypatch.setitem(encoders.SINGLE_FILES, like, narrow(MODELS[name].published))
    vae = autoencoder(name)
    save_file(vae.state_dict(), shelf / f"{called}.safetensors")
    x = waves(64, 64)
    expected = as_generators_have_it(vae, name, x)
    assert stock.available() == ["embedded", called]
    torch.testing.assert_close(encoders.load(called)(x), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


# Which are taken


def test_without_any_weights_the_embedded_encoder_is_taken(shelf: Path) -> None:
    assert encoders.chosen((), CPU) == encoders.chosen(("auto",), CPU) == ["embedded"]
    assert encoders.chosen(("sd15", "auto"), CPU) == ["sd15", "embedded"]


def test_of_each_family_the_largest_that_fits_is_taken(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a card has free is set here, for want of one."""
    for name in ("sd15", "taesd", "sdxl", "taesd3"):
        put(name, shelf / name)
    card = Device("cuda", "bfloat16")
    assert encoders.chosen((), CPU) == ["taesd", "taesd3"]
    monkeypatch.setattr(encoders, "free_memory", lambda _: 4 * GIB)
    assert sorted(encoders.chosen((), card)) == ["sd15", "sdxl", "taesd3"]
    monkeypatch.setattr(encoders, "free_memory", lambda _: GIB // 2)
    assert encoders.chosen((), card) == ["taesd", "taesd3"]

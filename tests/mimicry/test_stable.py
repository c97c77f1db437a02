"""Real Stable Diffusion classes, a few MB each, fine-tuned both ways."""

from __future__ import annotations

from pathlib import Path

import diffusers
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_server.engine.device import CPU
from glaze_server.mimicry.generator import FineTuning
from glaze_server.mimicry.stable import Stable, StableMimic, _telling
from tests.engine.conftest import nothing
from tests.engine.tiny_pipelines import stable_diffusion

PROMPTS = ["a mountain", "a ship"]
CAPTION = "a painting"


@torch.no_grad()
def denoising_loss(mimic: StableMimic, pictures: Tensor) -> float:
    """How far its UNet is from the noise on the pictures' latents in the generator's scale, computed apart."""
    pipeline = mimic._pipeline
    schedule = diffusers.DDPMScheduler.from_config(pipeline.scheduler.config)
    latents = pipeline.vae.config.scaling_factor * pipeline.vae.encode(2 * pictures - 1).latent_dist.mean
    told = {name: value.expand(len(pictures), *value.shape[1:]) for name, value in _telling(pipeline, CAPTION).items()}
    states = told.pop("states")
    losses = []
    for seed in range(20):
        dice = torch.Generator().manual_seed(seed)
        noise = torch.randn(latents.shape, generator=dice)
        times = torch.randint(schedule.config.num_train_timesteps, (len(latents),), generator=dice)
        noisy = schedule.add_noise(latents, noise, times)
        found = pipeline.unet(noisy, times, states, return_dict=False, added_cond_kwargs=told or None)[0]
        losses.append(float(F.mse_loss(found, noise)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("model", ["sd", "xl"])
def test_what_a_mimic_learns_is_to_denoise_the_pictures(
    model: str, pictures: Tensor, request: pytest.FixtureRequest
) -> None:
    """By its whole UNet: LoRA changes too little of a random one. Learned on another scale it is half as good."""
    generator = Stable(request.getfixturevalue(model), CPU)
    ways = (FineTuning("full", steps=steps, batch=2, rate=1e-2) for steps in (0, 40))
    before, after = (
        denoising_loss(generator.finetune(pictures, [CAPTION] * len(pictures), how, 1, nothing), pictures)
        for how in ways
    )
    assert after < 0.24 * before


def test_a_generator_in_half_precision_alone_is_read_whole(tmp_path: Path, pictures: Tensor) -> None:
    generator = Stable(stable_diffusion(tmp_path / "half", variant="fp16"), CPU)
    latents = generator.encoder(pictures[:1])
    assert latents.dtype == torch.float32 and latents.isfinite().all()
    assert generator.round_trip(pictures[:1]).shape == pictures[:1].shape


@pytest.mark.parametrize("model", ["sd", "xl"])
@pytest.mark.parametrize("way", ["lora", "full"])
def test_a_mimic_learns_by_seed_and_leaves_the_generator_alone(
    model: str, way: str, pictures: Tensor, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(model)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    generator = Stable(folder, CPU)
    ticks = []

    def made(seed: int, steps: int, noise: float = 0.0) -> Tensor:
        how = FineTuning(way, steps=steps, batch=2, rate=1e-2, rank=2, noise=noise)  # type: ignore[arg-type]
        mimic = generator.finetune(pictures, [CAPTION] * len(pictures), how, seed, lambda: ticks.append(seed))
        return mimic.generate(PROMPTS, 5, nothing)

    learned = made(1, 2)
    assert len(ticks) == 2
    assert learned.shape == (2, 3, generator.side, generator.side)
    assert 0 <= float(learned.min()) < float(learned.max()) <= 1
    assert torch.equal(learned, made(1, 2))
    assert not torch.equal(learned, made(1, 0))
    assert not torch.equal(learned, made(2, 2))
    assert not torch.equal(learned, made(1, 2, noise=0.1))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before

"""Generators by diffusers: Stable Diffusion 1.5, 2.1 and XL, fine-tuned by LoRA (Hu et al., ICLR 2022) or in full.

A model is a folder in the layout of diffusers, read as `engine.diffusion` reads it: safetensors alone, no network, no
code of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_plugin.errors import GlazeError
from glaze_server.engine import device, diffusion, encoders
from glaze_server.engine.device import Device
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.painters import UNUSED, Painter
from glaze_server.mimicry.generator import FineTuning

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
"""What LoRA adapts, as diffusers' own training scripts do."""
TUNING = {"lora": FineTuning("lora", rate=1e-4), "full": FineTuning("full", rate=1e-5)}
CHUNK = 4
"""Pictures that are made at once."""
CHUNK_BYTES = 1 << 20
"""Of a file, read at once."""
DECAY = 1e-2
"""AdamW's weight decay."""


class Stable:
    """A Stable Diffusion in a folder, as a Generator. Raises GlazeError where it is none, or is broken."""

    tuning: Mapping[str, FineTuning] = TUNING

    def __init__(self, folder: Path, where: Device) -> None:
        self._painter = Painter(folder)
        self._painter.check()
        self._where = where
        self.name, self.identity = folder.name, _identity(self._painter)
        self.side = self._painter.side
        self._vae = folder / "vae"

    @cached_property
    def encoder(self) -> Encoder:
        """As Generator.encoder."""
        return encoders.at(self._vae, self._painter.variant)

    @cached_property
    def _autoencoder(self) -> Any:
        import diffusers

        load: Any = diffusers.AutoencoderKL.from_pretrained
        made = load(self._vae, variant=self._painter.variant, use_safetensors=True, local_files_only=True)
        return made.float().eval().requires_grad_(False).to(self._where.name)

    def round_trip(self, pictures: Tensor) -> Tensor:
        """As Generator.round_trip."""
        latents = self._autoencoder.encode(2 * pictures.to(self._where.name) - 1).latent_dist.mode()
        made: Tensor = self._autoencoder.decode(latents).sample / 2 + 0.5
        return made.to(pictures.device)

    def finetune(
        self, pictures: Tensor, captions: Sequence[str], how: FineTuning, seed: int, tick: Callable[[], None]
    ) -> StableMimic:
        """As Generator.finetune; the folder stays as it is."""
        try:
            pipeline = _loaded(self._painter)
            pipeline.to(self._where.name)
            with torch.random.fork_rng(devices=_cards(self._where)):
                torch.manual_seed(seed)
                _train(pipeline, pictures, captions, how, seed, tick)
        except (RuntimeError, MemoryError) as error:
            if device.out_of_memory(error):
                raise _no_memory(self.name) from error
            raise
        return StableMimic(pipeline, self._painter, self.side)


def _identity(painter: Painter) -> str:
    """SHA-256 over the files of its parts, read whole (seconds): a LoRA merged into it changes the middle of one."""
    digest, folder = hashlib.sha256(), painter.folder
    parts = set(painter.config("model_index")) - UNUSED
    for path in sorted(path for part in parts for path in (folder / part).glob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size} ".encode())
        with path.open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                digest.update(data)
    return digest.hexdigest()


class StableMimic:
    """A Stable Diffusion after fine-tuning, as a Mimic."""

    def __init__(self, pipeline: Any, painter: Painter, side: int) -> None:
        self._pipeline = pipeline
        self._painting = painter.painting
        self._side = side

    def generate(self, prompts: Sequence[str], seed: int, tick: Callable[[], None]) -> Tensor:
        """As Mimic.generate."""
        made = []
        for first in range(0, len(prompts), CHUNK):
            some = list(prompts[first : first + CHUNK])
            dice = [torch.Generator().manual_seed(seed * 1_000_003 + first + number) for number in range(len(some))]
            found = self._pipeline(
                prompt=some,
                height=self._side,
                width=self._side,
                guidance_scale=self._painting.guidance,
                num_inference_steps=self._painting.steps,
                generator=dice,
                output_type="pt",
            )
            made.append(torch.as_tensor(found.images).float().cpu())
            for _ in some:
                tick()
        return torch.nan_to_num(torch.cat(made)).clamp(0, 1)


def _loaded(painter: Painter) -> Any:
    """The whole model in full precision, anew from its files."""
    try:
        return diffusion.read(painter, "AutoPipelineForText2Image", torch.float32)
    except Exception as error:  # whatever a broken folder makes the libraries raise
        if device.out_of_memory(error):
            raise
        raise painter.broken() from error


def _train(
    pipeline: Any, pictures: Tensor, captions: Sequence[str], how: FineTuning, seed: int, tick: Callable[[], None]
) -> None:
    """Denoising as in training (Ho et al., NeurIPS 2020; v-prediction: Salimans and Ho, 2022), of the UNet alone."""
    import diffusers
    import peft

    unet, where = pipeline.unet, pipeline.unet.device
    for part in (pipeline.vae, unet, pipeline.text_encoder, getattr(pipeline, "text_encoder_2", None)):
        if part is not None:
            part.requires_grad_(False)
    if how.way == "lora":
        unet.add_adapter(peft.LoraConfig(r=how.rank, lora_alpha=how.rank, target_modules=ATTENTION))
    else:
        unet.requires_grad_(True)
    weights = [one for one in unet.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(weights, how.rate, weight_decay=DECAY)
    schedule: Any = diffusers.DDPMScheduler.from_config(pipeline.scheduler.config)
    telling = [_telling(pipeline, caption) for caption in captions]
    dice = torch.Generator().manual_seed(seed)
    if where.type == "cuda":
        unet.enable_gradient_checkpointing()
    unet.train()
    latents = None if how.noise else _moments(pipeline, pictures)
    for _ in range(how.steps):
        drawn = torch.randint(len(pictures), (how.batch,), generator=dice)
        if latents is None:
            noisy = pictures[drawn] + how.noise * torch.randn(pictures[drawn].shape, generator=dice)
            mean, deviation = _moments(pipeline, noisy.clamp(0, 1))
        else:
            mean, deviation = (one[drawn] for one in latents)
        clean = (mean + deviation * torch.randn(mean.shape, generator=dice)) * pipeline.vae.config.scaling_factor
        noise = torch.randn(clean.shape, generator=dice)
        times = torch.randint(schedule.config.num_train_timesteps, (how.batch,), generator=dice)
        velocity = schedule.config.prediction_type == "v_prediction"
        goal = schedule.get_velocity(clean, noise, times) if velocity else noise
        said = {name: torch.cat([telling[number][name] for number in drawn.tolist()]) for name in telling[0]}
        more = {"added_cond_kwargs": {name: said[name] for name in said if name != "states"}} if len(said) > 1 else {}
        with torch.autocast("cuda", torch.bfloat16, enabled=where.type == "cuda"):
            mixed = schedule.add_noise(clean, noise, times).to(where)
            found = unet(mixed, times.to(where), said["states"], return_dict=False, **more)[0]
        loss = F.mse_loss(found.float(), goal.to(where))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        tick()
    unet.eval()


@torch.no_grad()
def _moments(pipeline: Any, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each picture's latent."""
    found = [pipeline.vae.encode(one[None].to(pipeline.unet.device) * 2 - 1).latent_dist for one in pictures]
    return torch.cat([one.mean for one in found]).cpu(), torch.cat([one.std for one in found]).cpu()


@torch.no_grad()
def _telling(pipeline: Any, caption: str) -> dict[str, Tensor]:
    """What the UNet is told by a caption: states, and for SDXL text_embeds and time_ids beside."""
    where = pipeline.unet.device
    options = {"device": where, "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
    if getattr(pipeline, "text_encoder_2", None) is None:
        states, _ = pipeline.encode_prompt(caption, **options)
        return {"states": states}
    states, _, pooled, _ = pipeline.encode_prompt(caption, **options)
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    size = torch.tensor([[side, side, 0, 0, side, side]], dtype=states.dtype, device=where)
    return {"states": states, "text_embeds": pooled, "time_ids": size}


def _cards(where: Device) -> list[int]:
    """The graphics cards whose random state a training touches."""
    return [torch.cuda.current_device()] if where.name.startswith("cuda") else []


def _no_memory(name: str) -> GlazeError:
    return GlazeError(
        "memory",
        f"There is not enough memory to fine-tune {name}.",
        "Close other programs, or take the way lora, or a smaller generator.",
    )

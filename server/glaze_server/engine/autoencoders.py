"""The autoencoders of image generators, as diffusers has them; of each only the encoder is kept.

Every network here maps pictures in [0, 1], shape (N, 3, H, W) with H and W multiples of its stride, to the latent that
the generator itself is trained on: the mean of the posterior, in the generator's own scale. diffusers is imported with
the first of them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from glaze_server.engine.stock import CONFIG

Config = Mapping[str, Any]


class Posterior(nn.Module):
    """AutoencoderKL of SD 1, SD 2, SDXL, SD 3 and FLUX.1 (Rombach et al., CVPR 2022): latents (N, C, H/8, W/8)."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.encoder, self.quant = vae.encoder, vae.quant_conv
        self.scale = float(vae.config.scaling_factor)
        self.shift = float(vae.config.get("shift_factor") or 0.0)

    def forward(self, x: Tensor) -> Tensor:
        latent: Tensor = (self.mean(x) - self.shift) * self.scale
        return latent

    def mean(self, x: Tensor) -> Tensor:
        moments = self.encoder(2 * x - 1)
        mean: Tensor = (moments if self.quant is None else self.quant(moments)).chunk(2, 1)[0]
        return mean


class Patched(Posterior):
    """AutoencoderKLFlux2: the mean in patches of 2×2, normalised channel by channel; latents (N, 128, H/16, W/16)."""

    def __init__(self, vae: Any) -> None:
        nn.Module.__init__(self)
        self.encoder, self.quant, self.norm = vae.encoder, vae.quant_conv, vae.bn

    def forward(self, x: Tensor) -> Tensor:
        patches: Tensor = self.norm(F.pixel_unshuffle(self.mean(x), 2))
        return patches


class Compressed(nn.Module):
    """AutoencoderDC of SANA (Chen et al., ICLR 2025): latents (N, 32, H/32, W/32)."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.encoder, self.scale = vae.encoder, vae.config.scaling_factor

    def forward(self, x: Tensor) -> Tensor:
        latent: Tensor = self.encoder(2 * x - 1) * self.scale
        return latent


class Frame(nn.Conv2d):
    """A causal convolution over a video's frames, for a video of one: what lies before it is zero."""

    def __init__(self, causal: Any) -> None:
        height, width = causal.kernel_size[1:]
        top, left = causal._padding[2], causal._padding[0]
        super().__init__(
            causal.in_channels, causal.out_channels, (height, width), causal.stride[1:], (top, left), bias=True
        )
        self.weight = nn.Parameter(causal.weight.detach()[:, :, -1].contiguous())
        self.bias = causal.bias

    def forward(self, x: Tensor, cache: Any = None) -> Tensor:
        return super().forward(x[:, :, 0])[:, :, None]


class Filmed(nn.Module):
    """AutoencoderKLQwenImage, which sees a picture as a video of one frame: latents (N, 16, H/8, W/8)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.encoder, self.quant = _of_one_frame(vae.encoder), _of_one_frame(vae.quant_conv)
        self.register_buffer("mean", torch.tensor(vae.config.latents_mean)[None, :, None, None])
        self.register_buffer("deviation", torch.tensor(vae.config.latents_std)[None, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        moments: Tensor = self.quant(self.encoder((2 * x - 1)[:, :, None]))[:, :, 0]
        return (moments.chunk(2, 1)[0] - self.mean) / self.deviation


def _of_one_frame(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.Conv3d):
        return Frame(module)
    for name, child in module.named_children():
        setattr(module, name, _of_one_frame(child))
    return module


class Tiny(nn.Module):
    """AutoencoderTiny (TAESD, Bohan 2023), whose latents already have the generator's scale: (N, C, H/8, W/8)."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.layers = vae.encoder.layers

    def forward(self, x: Tensor) -> Tensor:
        latent: Tensor = self.layers(x)
        return latent


KINDS: dict[str, Callable[[Any], nn.Module]] = {
    "AutoencoderKL": Posterior,
    "AutoencoderKLFlux2": Patched,
    "AutoencoderDC": Compressed,
    "AutoencoderKLQwenImage": Filmed,
    "AutoencoderTiny": Tiny,
}
"""Class of diffusers → what is made of it."""


def kind(name: str) -> Any:
    """The class of diffusers. Raises ValueError where nothing is made of one of that name."""
    if name not in KINDS:
        raise ValueError(f"the class {name!r} is none of {', '.join(KINDS)}")
    diffusers = import_module("diffusers")
    diffusers.logging.set_verbosity_error()  # what it warns of, such as keys of newer versions, is checked here
    return getattr(diffusers, name)


def config(folder: Path) -> Config:
    """The configuration in a diffusers model folder. Raises OSError or ValueError."""
    settings: Config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return settings


def stride(settings: Config) -> int:
    """px of the picture for one px of the latent."""
    match settings["_class_name"]:
        case "AutoencoderKL":
            return int(2 ** (len(settings["block_out_channels"]) - 1))
        case "AutoencoderKLFlux2":
            return int(2 ** (len(settings["block_out_channels"]) - 1)) * int(settings["patch_size"][0])
        case "AutoencoderKLQwenImage":
            return int(2 ** (len(settings["dim_mult"]) - 1))
        case _:  # AutoencoderDC and AutoencoderTiny
            return int(2 ** (len(settings["encoder_block_out_channels"]) - 1))


def built(published: Config) -> nn.Module:
    """The encoder with random weights. Raises ValueError for a class that is not in KINDS."""
    return encoder_of(kind(published["_class_name"]).from_config(dict(published)))


def loaded(folder: Path, variant: str | None = None) -> nn.Module:
    """The encoder in a diffusers model folder, read without any network. variant: of the files, as diffusers names it.

    Raises ValueError where weights are missing or of another shape, or whatever its files make diffusers raise.
    """
    cls = kind(config(folder)["_class_name"])
    vae, found = cls.from_pretrained(
        folder,
        variant=variant,
        local_files_only=True,
        use_safetensors=True,
        low_cpu_mem_usage=False,
        dtype=torch.float32,
        output_loading_info=True,
    )
    if unfit := [*found["missing_keys"], *found["mismatched_keys"]]:
        raise ValueError(f"{len(unfit)} weights do not fit, such as {unfit[0]}")
    return encoder_of(vae)


def encoder_of(vae: Any) -> nn.Module:
    """The encoder of an autoencoder of diffusers, whose class is in KINDS."""
    return KINDS[type(vae).__name__](vae)


def loaded_file(path: Path, configs: Mapping[tuple[int, bool], Config]) -> tuple[nn.Module, Config]:
    """The encoder in one safetensors file, of an autoencoder alone or of a whole checkpoint, in any layout of diffusers
    or of the original authors, and the configuration that fits it.

    configs: of the autoencoders that it may be, by latent channels and whether there is a convolution after the
    encoder. Raises ValueError where it is none of them, or whatever the file makes diffusers raise.
    """
    with safe_open(path, "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118, not a dictionary
    last = next((shapes[name] for name in shapes if name.endswith("encoder.conv_out.weight")), None)
    after = any(name.endswith("quant_conv.weight") and "post" not in name for name in shapes)
    fitting = configs.get((last[0] // 2, after)) if last else None
    if fitting is None:
        raise ValueError("it holds no autoencoder that is known here")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG).write_text(json.dumps(dict(fitting)), encoding="utf-8")
        vae = kind(fitting["_class_name"]).from_single_file(
            str(path), config=folder, local_files_only=True, low_cpu_mem_usage=False, dtype=torch.float32
        )
    return encoder_of(vae), fitting

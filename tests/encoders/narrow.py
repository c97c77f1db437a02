"""Autoencoders of every kind in the registry, a sixteenth as wide: the same layers and strides for a few kilobytes.

Widths, head sizes and the groups of normalisations are divided by NARROWER, to at least LEAST; depths, latent channels
and scales stay as they were published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from glaze_server.engine import autoencoders
from glaze_server.engine.catalogue import MODELS

NARROWER, LEAST = 16, 4
WIDTHS = (
    "block_out_channels",
    "encoder_block_out_channels",
    "decoder_block_out_channels",
    "base_dim",
    "attention_head_dim",
    "norm_num_groups",
)

ONE_OF_EACH = {"sd21": "AutoencoderKL", "taesd3": "AutoencoderTiny", "flux2": "AutoencoderKLFlux2"} | {
    "sana": "AutoencoderDC",
    "qwen-image": "AutoencoderKLQwenImage",
}
"""An entry for each class of diffusers."""


def _narrowed(value: Any) -> Any:
    return [_narrowed(one) for one in value] if isinstance(value, list) else max(LEAST, value // NARROWER)


def narrow(published: dict[str, Any]) -> dict[str, Any]:
    """The configuration with its widths divided."""
    return {key: _narrowed(value) if key in WIDTHS else value for key, value in published.items()}


def autoencoder(name: str, seed: int = 1) -> Any:
    """The narrow autoencoder of an entry, with random weights and, where it has them, random statistics."""
    torch.manual_seed(seed)
    config = narrow(MODELS[name].published)
    vae = autoencoders.kind(config["_class_name"]).from_config(config).eval().requires_grad_(False)
    for module in vae.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return vae


def files(name: str, folder: Path) -> dict[str, bytes]:
    """The bytes of the entry's files as a repository has them: path → bytes. folder: an empty one."""
    autoencoder(name).save_pretrained(folder)
    return {file.path: (folder / file.name).read_bytes() for file in MODELS[name].files}

"""CSD (Somepalli et al., *Measuring Style Similarity in Diffusion Models*, arXiv 2404.01292): how alike are two styles?

Its network is CLIP's for pictures, trained further by its authors so that pictures of one artist come out alike. The
weights are those that `glaze models pull csd` fetches. Nothing is downloaded here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import normalize

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.engine.catalogue import CSD, OTHERS
from glaze_server.engine.device import Device, out_of_memory
from glaze_server.engine.stock import weights_file
from glaze_server.mimicry.genres import prepared

BATCH = 8
"""Pictures that are looked at together, at most."""
HEAD = 64
"""Channels of an attention head in all of CLIP's networks for pictures."""
TOWER, STYLE = "backbone.", "last_layer_style"
"""The authors' names of CLIP's part, and of the matrix from it to a style."""
NAMES = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1": "embeddings.patch_embedding",
    "ln_pre": "pre_layrnorm",
    "transformer.resblocks": "encoder.layers",
    "ln_1": "layer_norm1",
    "attn": "self_attn",
    "ln_2": "layer_norm2",
    "c_fc": "fc1",
    "c_proj": "fc2",
    "ln_post": "post_layernorm",
}
"""OpenAI's names of CLIP's parts → those of transformers."""


class Csd:
    """How CSD sees style. file: its weights; None for those that were fetched.

    Raises GlazeError where they are not on this computer, or the file does not hold them.
    """

    def __init__(self, file: Path | None = None) -> None:
        found = file or weights_file(OTHERS[CSD])
        if found is None:
            raise GlazeError(
                "missing_weights",
                "CSD is not on this computer, so the likeness by it was not measured.",
                f"`glaze models pull {CSD}` fetches it into {places.other(CSD)}.",
            )
        try:
            state = load_file(found)
            self._tower = _tower({name.removeprefix(TOWER): state[name] for name in state if name.startswith(TOWER)})
            self._style = state[STYLE].float()
            width, _ = self._style.shape
            if width != self._tower.config.hidden_size:
                raise ValueError(STYLE)
        except Exception as error:  # whatever missing or broken weights make the libraries raise
            if out_of_memory(error):
                raise
            raise GlazeError(
                "broken_weights", f"The weights of CSD in {found} cannot be read.", "Fetch them again."
            ) from error

    @torch.no_grad()
    def styles(self, pictures: Tensor, device: Device) -> Tensor:
        """(N, D), each of length 1, on the CPU: the styles of pictures (N, 3, H, W) in [0, 1], in full precision."""
        placed = replace(device, half="").place(self._tower)
        side = int(self._tower.config.image_size)
        found = [placed(pixel_values=prepared(some, side).to(device.name)) for some in pictures.split(BATCH)]
        return normalize(torch.cat([one.pooler_output.cpu() for one in found]) @ self._style, dim=-1)

    def own(self, pictures: Tensor, device: Device) -> Tensor:
        """(D,), of length 1: the artist's style, that of the mean of pictures."""
        return normalize(self.styles(pictures, device).mean(0), dim=0)

    def likeness(self, pictures: Tensor, own: Tensor, device: Device) -> float:
        """The mean cosine, in [-1, 1], of each picture's style and the artist's `own`. 1: the same."""
        return float((self.styles(pictures, device) @ own).mean())


def _tower(state: dict[str, Tensor]) -> Any:
    """CLIP's network for pictures, as large as its weights under OpenAI's names are, in full precision.

    Raises whatever torch and transformers do where these are not all there, or more, or of other shapes.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModel

    width, _, patch, _ = state["conv1.weight"].shape
    patches = len(state["positional_embedding"]) - 1
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=len(state["transformer.resblocks.0.mlp.c_fc.weight"]),
        num_hidden_layers=sum(name.endswith("ln_1.weight") for name in state),
        num_attention_heads=width // HEAD,
        image_size=patch * round(patches**0.5),
        patch_size=patch,
        hidden_act="quick_gelu",
    )
    model = CLIPVisionModel(config).eval()
    tower = getattr(model, "vision_model", model)  # a shell around it in some releases
    tower.load_state_dict(_renamed(state))
    return tower


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Under the names of transformers, which keeps queries, keys and values apart."""
    found = {}
    for name, value in state.items():
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        if "in_proj_" in name:
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                found[name.replace("in_proj_", f"{letter}_proj.")] = part
        else:
            found[name] = value
    return found

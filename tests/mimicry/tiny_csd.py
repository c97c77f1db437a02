"""CSD once more, as its authors wrote it down: with OpenAI's names of the parts, of torch's own layers, and tiny."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import normalize
from torchvision.transforms import InterpolationMode, Normalize, Resize

SIDE, PATCH, WIDTH, DEPTH, STYLE = 32, 8, 128, 2, 24
"""px of a picture and of a patch, channels, blocks, and numbers of a style."""


class QuickGelu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, WIDTH // 64, batch_first=True)
        parts = {"c_fc": nn.Linear(WIDTH, 3 * WIDTH), "gelu": QuickGelu(), "c_proj": nn.Linear(3 * WIDTH, WIDTH)}
        self.mlp = nn.Sequential(OrderedDict(parts))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.ln_1(x)
        x = x + self.attn(seen, seen, seen)[0]
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(WIDTH))
        self.positional_embedding = nn.Parameter(torch.empty((SIDE // PATCH) ** 2 + 1, WIDTH))
        self.ln_pre, self.ln_post = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.Sequential(*(Block() for _ in range(DEPTH)))

    def forward(self, x: Tensor) -> Tensor:
        patches = self.conv1(x).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(x), 1, WIDTH)
        x = self.ln_pre(torch.cat([first, patches], 1) + self.positional_embedding)
        return self.ln_post(self.transformer.resblocks(x)[:, 0])  # type: ignore[no-any-return, operator]


class TinyCsd(nn.Module):
    """Every weight is random, so that none of them can be left out or swapped unnoticed."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.last_layer_style = nn.Parameter(torch.empty(WIDTH, STYLE))
        self.last_layer_content = nn.Parameter(torch.empty(WIDTH, STYLE))
        dice = torch.Generator().manual_seed(5)
        for weights in self.parameters():
            nn.init.normal_(weights, std=0.2, generator=dice)
        self.half().float()  # what half precision can hold

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """(N, STYLE) of pictures (N, 3, H, W) in [0, 1], H = W."""
        small = Resize(SIDE, InterpolationMode.BICUBIC, antialias=True)(pictures).clamp(0, 1)
        scaled = Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))(small)
        return normalize(self.backbone(scaled) @ self.last_layer_style, dim=1)

    def saved(self, file: Path) -> Path:
        """The file with these weights, in half precision like the published one."""
        save_file({name: weights.half() for name, weights in self.state_dict().items()}, file)
        return file

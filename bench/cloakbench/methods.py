"""The registry of methods, in the order in which the tables show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from bench.cloakbench import own, peers
from bench.cloakbench.task import Task
from glaze_plugin.errors import BadInput


@dataclass(frozen=True)
class Method:
    """about: what it is, in the tables' words. run: Task → δ.

    own: this engine, whose published δ is fitted into the budget. targeted: looks at the target; others are run once
    for each picture. traced: also judged at some iterations on its way.
    """

    name: str
    about: str
    run: Callable[[Task], Tensor]
    own: bool = False
    targeted: bool = True
    traced: bool = False


STANDARD = "standard"
"""Whose seconds are the time that every method gets in the track of equal time."""

METHODS = {
    method.name: method
    for method in (
        Method(STANDARD, "this engine, standard", own.standard, own=True, traced=True),
        Method("preview", "this engine, preview", own.preview, own=True, traced=True),
        Method("thorough", "this engine, thorough", own.thorough, own=True, traced=True),
        Method("default", "this engine, standard, on its embedded encoder", own.default, own=True),
        Method("app", "Glaze app's formula", peers.app, traced=True),
        Method("app_native", "Glaze app's formula at the picture's own size", peers.app_native, traced=True),
        Method("paper", "Glaze paper's objective", peers.paper, traced=True),
        Method("mist", "Mist, textural", peers.mist, targeted=False),
        Method("photoguard", "PhotoGuard, encoder", peers.photoguard, targeted=False),
        Method("blend", "control: blend towards the target", peers.blend),
        Method("noise", "control: random sign noise", peers.noise, targeted=False),
        Method("identity", "control: the picture itself", peers.identity, targeted=False),
    )
}

QUICK = (STANDARD, "preview", "default", "app_native", "paper", "blend", "noise")
"""Those of `make bench-quick`."""


def pick(names: list[str]) -> list[Method]:
    """The methods of those names, STANDARD always among them and first. Raises BadInput for an unknown name."""
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise BadInput("unknown_method", f"There is no method {unknown[0]!r}; known are {', '.join(METHODS)}.")
    return [method for name, method in METHODS.items() if name in names or name == STANDARD]

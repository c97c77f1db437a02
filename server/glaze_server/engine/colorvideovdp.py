"""ColorVideoVDP (Mantiuk et al., SIGGRAPH 2024), by its authors' package `cvvdp`: what a viewer of a 4K screen sees."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch
from torch import Tensor

from glaze_server.engine.device import Device
from glaze_server.engine.looking import Difference

DISPLAY = "standard_4k"
BEST = 10.0
"""JOD (just-objectionable-difference units) of a picture that nobody can tell from its reference."""


@cache
def _metric(device: str) -> Any:
    torch_extensions = logging.getLogger("torch.utils.cpp_extension")
    before = torch_extensions.level
    torch_extensions.setLevel(logging.ERROR)  # it warns of a CUDA compiler that nothing here wants
    import pycvvdp  # imports half a second's worth of plotting and video code

    torch_extensions.setLevel(before)
    return pycvvdp.cvvdp(display_name=DISPLAY, device=torch.device(device), quiet=True)


class JodLoss(Difference):
    """How many JOD below BEST a picture is; 0 where nothing is seen, 1 where three of four people see it."""

    NAME = "ColorVideoVDP"

    def _prepare(self, reference: Tensor, device: Device) -> Tensor:
        return reference

    def _value(self, seen: Tensor, prepared: Tensor, device: Device) -> Tensor:
        jod: Tensor = _metric(device.name).predict(seen.clamp(0, 1), prepared, dim_order="BCHW")[0]
        return BEST - jod.squeeze()

"""Style transfer Ω by a diffusion model, as in the paper: half drowned in noise, the picture is painted anew by prompt.

Nothing here touches the network, and diffusers is imported with the first picture that it paints.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor

from glaze_plugin.errors import GlazeError
from glaze_server.engine.device import Compute, Device, out_of_memory
from glaze_server.engine.painters import UNUSED, Painter, free_on_card, resident_bytes
from glaze_server.engine.progress import Paused

GRID = 64
"""px; sides of what a model paints are multiples of it, so that every level of its network is whole."""
LONGEST = 2
"""How many of the model's own sides the longer side of what it paints has at most; its area is that of its square."""


def paint(
    painter: Painter, x: Tensor, prompt: str, seed: int, tick: Callable[[], None], compute: Compute
) -> Tensor | None:
    """Ω(x, prompt) in [0, 1], shaped like x (1, 3, H, W); the same seed gives the same target.

    tick: called after each of `painter.painting.taken` steps, may raise to stop. None, and a note for the artist, where
    memory ran out or no usable numbers came. Raises GlazeError for a model that cannot be used.
    """
    reason = "gave no usable numbers"
    for dtype in dict.fromkeys((compute.device.dtype, torch.float32)):
        try:
            target = _painted(painter, x, prompt, seed, tick, compute.device, dtype)
        except (GlazeError, Paused):
            raise
        except Exception as error:  # whatever a broken folder makes the libraries raise
            if not out_of_memory(error):
                raise painter.broken() from error
            reason = "ran out of memory"
            break
        if target.isfinite().all():
            return F.interpolate(target, tuple(x.shape[-2:]), mode="bicubic", antialias=True).clamp(0, 1)
    _pipeline.cache_clear()
    compute.notes.append(f"The diffusion model {painter.name} {reason}, so a small network painted the target.")
    return None


def _painted(
    painter: Painter, x: Tensor, prompt: str, seed: int, tick: Callable[[], None], device: Device, dtype: torch.dtype
) -> Tensor:
    """The target at the size in which the model paints, (1, 3, H, W), perhaps not finite."""

    def after_step(_: Any, number: int, when: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        tick()
        return tensors

    painting, pipeline = painter.painting, _pipeline(painter, dtype)
    size = _size(x.shape[-2], x.shape[-1], painter.side)
    try:
        _place(pipeline, device, painter.side)
        painted = pipeline(
            prompt=prompt,
            image=F.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 1),
            strength=painting.strength,
            guidance_scale=painting.guidance,
            num_inference_steps=painting.steps,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
            callback_on_step_end=after_step,
        )
        return torch.as_tensor(painted.images).float().cpu()
    finally:
        _put_away(pipeline, device)


def _size(height: int, width: int, side: int) -> tuple[int, int]:
    """px that the model paints for a picture of that size. side: px of the squares that it was trained on."""
    ratio = min(side / (height * width) ** 0.5, LONGEST * side / max(height, width))
    rows, columns = (max(round(ratio * length / GRID), 1) * GRID for length in (height, width))
    return rows, columns


@lru_cache(maxsize=1)
def _pipeline(painter: Painter, dtype: torch.dtype) -> Any:
    """The model in main memory, where it stays for the next picture."""
    return read(painter, "AutoPipelineForImage2Image", dtype)


def read(painter: Painter, kind: str, dtype: torch.dtype) -> Any:
    """The model as diffusers loads it, anew from its files. kind: a name of diffusers' automatic pipelines."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    parts = painter.config("model_index")
    left_out: dict[str, Any] = dict.fromkeys(UNUSED & set(parts))
    if "requires_safety_checker" in parts:
        left_out["requires_safety_checker"] = False
    load: Any = getattr(diffusers, kind).from_pretrained
    pipeline = load(
        painter.folder,
        dtype=dtype,
        variant=painter.variant,
        use_safetensors=True,
        local_files_only=True,
        **left_out,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _place(pipeline: Any, device: Device, side: int) -> None:
    """Onto the device; onto a card without room for the whole model one network at a time, and decoded in tiles."""
    free = free_on_card(device)
    if free is None or resident_bytes(_sizes(pipeline), side) <= free:
        pipeline.to(device.name, silence_dtype_warnings=True)
    else:
        pipeline.vae.enable_slicing()
        pipeline.vae.enable_tiling()
        pipeline.enable_model_cpu_offload(device=device.name)


def _put_away(pipeline: Any, device: Device) -> None:
    """Off the card, whose memory the cloak needs next; where main memory is short, forget it."""
    pipeline.remove_all_hooks()
    pipeline.to("cpu", silence_dtype_warnings=True)
    if device.name != "cpu":
        torch.get_device_module(device.name).empty_cache()
    if psutil.virtual_memory().available < sum(_sizes(pipeline)):
        _pipeline.cache_clear()


def _sizes(pipeline: Any) -> list[int]:
    """Bytes of each network."""
    networks = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return [sum(weights.nbytes for weights in network.parameters()) for network in networks]

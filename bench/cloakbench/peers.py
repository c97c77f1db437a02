"""The peers, written from their published formulas, and the controls. All in [0, 1]; 1/255 is one level.

Each is a function Task → δ, shaped like the picture's colour. Where a peer drops alpha or colour, it is spared that
loss here: δ lies on the picture's own colour and is seen over white.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.cloakbench.task import Task, View
from glaze_server.engine.lpips_distance import Lpips
from glaze_server.engine.survival import resize

LEVEL = 1 / 255
SEED = 20_230_206

PAPER_BUDGET = 0.05
PAPER_ALPHA = 30.0
PAPER_RATE = 0.005
PAPER_ITERATIONS = 500

APP_SIDE = 512
APP_EPSILON = 6.4 * LEVEL
APP_ITERATIONS = 50

MIST_EPSILON = 16 * LEVEL
MIST_RATE = LEVEL
MIST_ITERATIONS = 100
MIST_PERIOD, MIST_STROKE = 64, 8
"""px; of the pattern that pictures are drawn to."""

PHOTOGUARD_EPSILON = 0.06 / 2
PHOTOGUARD_ITERATIONS = 1000

NOISE = 8 * LEVEL
BLEND = 0.06


def _uniform(shape: torch.Size, most: float) -> Tensor:
    return most * (2 * torch.rand(shape, generator=torch.Generator().manual_seed(SEED)) - 1)


def _in_gamut(delta: Tensor, colour: Tensor) -> Tensor:
    """δ with which no sample leaves [0, 1]."""
    return (colour + delta).clamp(0, 1) - colour


def paper(task: Task) -> Tensor:
    """Glaze as published (Shan et al., USENIX Security 2023, equation 1; settings of the reviewed reproduction).

    min MSE(E(x+δ), E(T)) + α·max(LPIPS(x, x+δ) − p, 0) by Adam from uniform noise. LPIPS is AlexNet's here, as in
    this engine's loop; the reproduction took VGG's, which costs it more than the encoder does.
    """
    colour, scene = task.scene.picture.colour, task.scene
    goal = task.encode(scene.target)
    lpips = Lpips(scene.picture.seen, "alex", most=None, compute=task.compute)
    delta = _uniform(colour.shape, PAPER_BUDGET / 2)
    adam = torch.optim.Adam([delta], PAPER_RATE)
    for _ in range(PAPER_ITERATIONS):
        delta.grad = task.pull(delta, scene.seen, goal) / goal.numel()
        leaf = delta.detach().requires_grad_()
        seen = scene.seen(leaf)
        distance, slope = lpips.gradient(seen)
        if distance > PAPER_BUDGET:
            delta.grad += PAPER_ALPHA * torch.autograd.grad(seen, leaf, slope)[0]
        adam.step()
        delta.copy_(_in_gamut(delta, colour))
        task.step(delta)
    return delta


def _signed(
    task: Task, start: Tensor, view: View, goal: Tensor, epsilon: float, rate: Callable[[int], float], iterations: int
) -> Tensor:
    """Projected gradient descent by signs in the box |δ| ≤ epsilon (Madry et al., ICLR 2018)."""
    colour, delta = task.scene.picture.colour, start
    for iteration in range(iterations):
        delta = delta - rate(iteration) * task.pull(delta, view, goal).sign()
        delta = _in_gamut(delta.clamp(-epsilon, epsilon), colour)
        task.step(delta)
    return delta


def app(task: Task) -> Tensor:
    """The formula of the Glaze app at intensity 50 and its slowest rendering, on its square of APP_SIDE px.

    min ‖E(x+δ) − E(T)‖ by signs with a falling step, on a square that the padded picture and δ are resized to and from;
    in each iteration δ passes through the picture's own size. The sign is the same for the norm and its square.
    """
    return _app(task, APP_SIDE)


def app_native(task: Task) -> Tensor:
    """The same on a square of the picture's own longer side: what it does to art that is no smaller than its square."""
    return _app(task, max(task.scene.picture.colour.shape[-2:]))


def _app(task: Task, square_side: int) -> Tensor:
    scene = task.scene
    height, width = scene.picture.colour.shape[-2:]
    side = max(height, width)

    def square(picture: Tensor) -> Tensor:
        padded = F.pad(picture, (0, side - width, 0, side - height), mode="replicate")
        return resize(padded, square_side / side)

    def back(delta: Tensor) -> Tensor:
        whole = F.interpolate(delta, (side, side), mode="bilinear", antialias=True, align_corners=False)
        return whole[..., :height, :width]

    goal = task.encode(square(scene.target))
    delta = torch.zeros(1, scene.picture.colour.shape[1], square_side, square_side)
    for iteration in range(APP_ITERATIONS):
        rate = 0.5 * APP_EPSILON * (1 - iteration / APP_ITERATIONS)
        delta = delta - rate * task.pull(delta, lambda d: square(scene.seen(back(d))), goal).sign()
        delta = delta.clamp(-APP_EPSILON, APP_EPSILON)
        task.step(back(delta))
    return back(delta)


def pattern(height: int, width: int) -> Tensor:
    """Black and white diamonds inside each other, (1, 3, height, width): as contrasty as Mist's own target."""
    half = MIST_PERIOD // 2
    rows = (torch.arange(height) % MIST_PERIOD - half).abs()[:, None]
    columns = (torch.arange(width) % MIST_PERIOD - half).abs()[None, :]
    return ((rows + columns) // MIST_STROKE % 2).float().expand(1, 3, -1, -1)


def mist(task: Task) -> Tensor:
    """Mist's textural mode (Liang & Wu, arXiv 2305.12683): min Σ(E(x+δ) − E(M))², M a high-contrast pattern."""
    colour = task.scene.picture.colour
    goal = task.encode(pattern(*colour.shape[-2:]))
    start = torch.zeros_like(colour)
    return _signed(task, start, task.scene.seen, goal, MIST_EPSILON, lambda _: MIST_RATE, MIST_ITERATIONS)


def photoguard(task: Task) -> Tensor:
    """PhotoGuard's encoder attack (Salman et al., ICML 2023): min ‖E(x+δ)‖, steps from ε/3 to 1 % of it."""
    colour = task.scene.picture.colour
    start = _in_gamut(_uniform(colour.shape, PHOTOGUARD_EPSILON), colour)

    def rate(iteration: int) -> float:
        return PHOTOGUARD_EPSILON / 3 * (1 - 0.99 * iteration / PHOTOGUARD_ITERATIONS)

    goal = torch.zeros_like(task.encode(task.scene.picture.seen))
    return _signed(task, start, task.scene.seen, goal, PHOTOGUARD_EPSILON, rate, PHOTOGUARD_ITERATIONS)


def noise(task: Task) -> Tensor:
    """Control: ±NOISE at random."""
    shape = task.scene.picture.colour.shape
    return NOISE * (torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(SEED)) * 2.0 - 1)


def blend(task: Task) -> Tensor:
    """Control: the picture, and the share BLEND of its target laid over it."""
    delta = BLEND * (task.scene.target - task.scene.picture.seen)
    return delta if task.scene.picture.colour.shape[1] == 3 else delta.mean(1, keepdim=True)


def identity(task: Task) -> Tensor:
    """Control: the picture itself."""
    return torch.zeros_like(task.scene.picture.colour)

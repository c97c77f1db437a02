"""Paints `meadow.png`, the example picture: brush strokes laid along a field of directions, in three passes.

`python examples/meadow.py OUT.png` makes the same picture every time.
"""

import math
import random
import sys

from PIL import Image, ImageDraw, ImageFilter

SIZE = 512
OVER = 2
"""Painted at twice the size and shrunk, for clean edges."""
PASSES = ((26, 1500), (12, 6000), (5, 16000))
"""Stroke width in px and number of strokes, from coarse to fine."""


def scene(x: float, y: float) -> tuple[float, float, float]:
    """The colour to aim at, 0..255, for a place in [0, 1]²."""
    hills = 0.52 + 0.06 * math.sin(5 * x + 1) + 0.03 * math.sin(13 * x)
    if (x - 0.72) ** 2 + (y - 0.2) ** 2 < 0.0065:
        return 252, 226, 140
    if y < hills:
        glow = math.exp(-6 * ((x - 0.72) ** 2 + (y - 0.2) ** 2))
        return 90 + 150 * glow + 40 * y, 140 + 70 * glow + 50 * y, 205 - 40 * glow + 20 * y
    if y < hills + 0.07:
        return 62, 88, 104
    depth = (y - hills) / (1 - hills)
    path = abs(x - 0.5 + 0.25 * math.sin(3 * y) * (1 - depth)) < 0.03 + 0.1 * depth
    if path:
        return 205, 176, 128
    poppies = math.sin(61 * x + 23 * y) * math.sin(47 * y - 31 * x) > 0.93 - 0.25 * depth
    return (205, 52, 44) if poppies else (96 + 60 * depth, 138 - 20 * depth, 58)


def direction(x: float, y: float) -> float:
    """Angle of a stroke: whirls in the sky, waves in the grass."""
    if y < 0.55:
        return math.atan2(y - 0.2, x - 0.72) + math.pi / 2 + 0.6 * math.sin(9 * y)
    return -math.pi / 2 + 0.5 * math.sin(7 * x + 5 * y)


def paint() -> Image.Image:
    draw_from = random.Random(1888)
    side = SIZE * OVER
    canvas = Image.new("RGB", (side, side), (120, 128, 110))
    brush = ImageDraw.Draw(canvas)
    for width, count in PASSES:
        for _ in range(count):
            x, y = draw_from.random(), draw_from.random()
            angle = direction(x, y) + draw_from.gauss(0, 0.25)
            length = width * OVER * draw_from.uniform(1.2, 3.5) / side
            shade = draw_from.gauss(0, 13)
            colour = tuple(max(0, min(255, round(c + shade + draw_from.gauss(0, 6)))) for c in scene(x, y))
            dx, dy = math.cos(angle) * length / 2, math.sin(angle) * length / 2
            ends = ((x - dx) * side, (y - dy) * side, (x + dx) * side, (y + dy) * side)
            brush.line(ends, fill=colour, width=round(width * OVER * draw_from.uniform(0.35, 0.8)))
    return canvas.filter(ImageFilter.GaussianBlur(0.6)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    paint().save(sys.argv[1], optimize=True)

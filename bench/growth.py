"""How much larger a file of flat art becomes: `.venv/bin/python -m bench.growth [--side 384]`.

Two pictures that are painted here, a drawing in flat cels with ink lines and a sky of one gradient, go as files of each
format through the whole engine at preview quality, with the embedded encoder and one style. A figure is the size of the
cloaked file as a multiple of the size of the file that came in.
"""

from __future__ import annotations

import argparse
import io
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image, ImageDraw

from glaze_plugin.errors import BadInput
from glaze_plugin.raster import RasterFormat
from glaze_server.engine import tasks
from glaze_server.engine.source import Input

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "PNG": ("PNG", {"optimize": True}),
    "WebP, lossless": ("WEBP", {"lossless": True}),
    "TIFF, LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "JPEG XL, lossless": ("JXL", {"lossless": True}),
    "JPEG XL, distance 1": ("JXL", {"distance": 1.0}),
    "JPEG 90": ("JPEG", {"quality": 90}),
    "JPEG 75": ("JPEG", {"quality": 75}),
}
"""Name → Pillow's format and options, imagecodecs' for JXL."""
OVER = 3
"""How much larger the cels are drawn before they are made smaller, so that lines have soft edges."""


class Silent:
    """Who a job tells nothing."""

    def progress(self, stage: str, step: int, steps: int) -> None: ...

    def preview(self, layout: RasterFormat, pixels: bytes) -> None: ...


def cels(side: int) -> Image.Image:
    """A figure before a hill: seven flat colours, ink lines of 2 px."""
    unit = side * OVER / 100
    image = Image.new("RGB", (side * OVER, side * OVER), (152, 204, 236))
    draw = ImageDraw.Draw(image)
    ink: dict[str, Any] = {"outline": (38, 28, 42), "width": 2 * OVER}

    def box(*corners: float) -> tuple[float, ...]:
        return tuple(corner * unit for corner in corners)

    draw.ellipse(box(-30, 62, 130, 150), fill=(120, 176, 92), **ink)
    draw.rectangle(box(8, 40, 30, 74), fill=(206, 150, 110), **ink)
    draw.polygon(box(4, 42, 19, 26, 34, 42), fill=(176, 60, 58), **ink)
    draw.polygon(box(46, 92, 54, 56, 70, 56, 78, 92), fill=(66, 84, 160), **ink)
    draw.ellipse(box(49, 24, 75, 58), fill=(244, 210, 180), **ink)
    draw.chord(box(46, 18, 78, 54), 180, 360, fill=(94, 52, 40), **ink)
    for eye in (56, 68):
        draw.ellipse(box(eye - 1.5, 40, eye + 1.5, 45), fill=(38, 28, 42))
    return image.resize((side, side), Image.Resampling.LANCZOS)


def sky(side: int) -> Image.Image:
    """From blue above to orange below."""
    down = np.linspace(0, 1, side)[:, None, None]
    colours = (1 - down) * np.array([62, 106, 178]) + down * np.array([250, 196, 140])
    return Image.fromarray(np.rint(np.broadcast_to(colours, (side, side, 3))).astype(np.uint8))


def packed(image: Image.Image, container: str, options: dict[str, Any]) -> bytes:
    if container == "JXL":
        return bytes(imagecodecs.jpegxl_encode(np.asarray(image), **options))
    data = io.BytesIO()
    image.save(data, container, **options)
    return data.getvalue()


def growth(data: bytes) -> tuple[float, float]:
    """The cloaked file's size as a multiple, and the targeted shift by the embedded encoder."""
    settings = {"quality": "preview", "encoders": ["embedded"], "style": "impasto", "painter": "embedded"}
    report = tasks.run("protect", {"picture": Input(data)}, settings, Silent()).report
    return float(report["growth"]), float(report["targeted_shift"]["embedded"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=384, help="px of each picture")
    parser.add_argument("formats", nargs="*", help="names of FORMATS; all if none is given")
    options = parser.parse_args()
    side, wanted = options.side, options.formats or list(FORMATS)
    print(f"| format, {side} px | " + " | ".join(f"{name}: bytes | times | shift" for name in ("cels", "sky")) + " |")
    print("| --- |" + " ---: | ---: | ---: |" * 2)
    for name in wanted:
        container, how = FORMATS[name]
        cells = []
        for image in (cels(side), sky(side)):
            data = packed(image, container, how)
            try:
                times, shift = growth(data)
            except BadInput as refused:
                cells.append(f"{len(data)} | – | {refused.code}")
                continue
            cells.append(f"{len(data)} | {times:.2f} | {shift:.3f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

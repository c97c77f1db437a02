"""How much larger a file of flat art becomes: `.venv/bin/python -m bench.growth [--side 384] [--pictures FILE …]`.

Pictures go as files of each format through the whole engine with the embedded encoder and one style: those that are
named, or two that are painted here, a drawing in flat cels with ink lines and a sky of one gradient. Figures are the
size of the cloaked file as a multiple of the size of the file that came in, the targeted shift and what survives of it
on average and at worst.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
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
    "WebP 80": ("WEBP", {"quality": 80}),
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


def flattened(path: Path, side: int) -> Image.Image:
    """A picture over white, its longer side at most `side` px."""
    image = Image.open(path).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    white.thumbnail((side, side), Image.Resampling.LANCZOS)
    return white.convert("RGB")


def cells(data: bytes, quality: str, any_size: bool) -> str:
    """One picture's part of a row."""
    settings = {"quality": quality, "encoders": ["embedded"], "style": "impasto", "painter": "embedded"}
    try:
        job = {"picture": Input(data)}, {**settings, "any_size": any_size}
        report = tasks.run("protect", *job, Silent()).report
    except BadInput as refused:
        return f"{len(data)} | – | {refused.code} | – | –"
    survives = [values["embedded"] for values in report["survival"].values()]
    mean, shift = sum(survives) / len(survives), report["targeted_shift"]["embedded"]
    return f"{len(data)} | {report['growth']:.2f} | {shift:.3f} | {mean:.3f} | {min(survives):.3f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=384, help="px of each picture's longer side")
    parser.add_argument("--quality", default="preview")
    parser.add_argument("--pictures", type=Path, nargs="*", default=[])
    parser.add_argument("--any-size", action="store_true", help="let files grow as they need")
    parser.add_argument("formats", nargs="*", help="names of FORMATS; all if none is given")
    options = parser.parse_args()
    side = options.side
    images = {path.name: flattened(path, side) for path in options.pictures} or {"cels": cels(side), "sky": sky(side)}
    print("| picture | format | bytes | times | shift | S | worst |")
    print("| --- | --- |" + " ---: |" * 5)
    for picture, image in images.items():
        for name in options.formats or FORMATS:
            data = packed(image, *FORMATS[name])
            print(f"| {picture} | {name} | {cells(data, options.quality, options.any_size)} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The review of a cloak for the artist's eye: before, after, difference ×8 and the figures, as a sheet or a page."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from glaze_plugin.figures import statement
from glaze_server.engine.pixels import png, to_8bit

GAIN = 8
"""How much the difference is amplified, around middle gray."""
PANEL = 640
"""px of a panel's longer side on the sheet, at most; pictures are never enlarged."""
MARGIN = 16
TEXT = 15


def difference(clean: Tensor, cloaked: Tensor) -> Tensor:
    """The amplified difference around middle gray, in [0, 1]."""
    return ((cloaked - clean) * GAIN + 0.5).clamp(0, 1)


def rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The figures as (what, cloaked, noise control) for a table."""
    table = [
        ("LPIPS AlexNet / VGG", f"{figures['lpips']['alex']:.3f} / {figures['lpips']['vgg']:.3f}", ""),
        ("JOD, of 10", f"{figures['jod']:.2f}", ""),
        ("largest change", f"{figures['max_change'] * 255:.0f} of 255", ""),
        ("noise in flat areas (RMS)", f"{figures['flat_rms'] * 255:.1f} of 255", ""),
    ]
    if "targeted_shift" in figures:
        control = figures["noise_control"]
        for name, shift in figures["targeted_shift"].items():
            table.append((f"shift, {name}", f"{shift:.3f}", f"{control['targeted_shift'][name]:.3f}"))
            for transform, values in figures["survival"].items():
                noise = control["survival"][transform][name]
                table.append((f"… after {transform}", f"{values[name]:.3f}", f"{noise:.3f}"))
    return table


def sheet(clean: Tensor, cloaked: Tensor, figures: dict[str, Any]) -> bytes:
    """A PNG with the three panels side by side and the figures below. Pictures (1, 3, H, W) in [0, 1]."""
    panels = [Image.fromarray(to_8bit(picture)) for picture in (clean, cloaked, difference(clean, cloaked))]
    for panel in panels:
        panel.thumbnail((PANEL, PANEL), Image.Resampling.LANCZOS)
    width, height = panels[0].size
    font = ImageFont.load_default(TEXT)
    table = rows(figures)
    page_width = max(3 * width + 4 * MARGIN, 720)
    said = _wrapped(statement(figures), font, page_width - 2 * MARGIN)
    page_height = height + 3 * MARGIN + TEXT + (len(table) + 2 + len(said)) * (TEXT + 6)
    page = Image.new("RGB", (page_width, page_height), "white")
    draw = ImageDraw.Draw(page)
    for index, (panel, title) in enumerate(zip(panels, ("before", "after", f"difference, {GAIN} times"), strict=True)):
        left = MARGIN + index * (width + MARGIN)
        draw.text((left, MARGIN // 2), title, "black", font)
        page.paste(panel, (left, MARGIN + TEXT))
    top = height + 2 * MARGIN + TEXT
    for row in (("", "cloaked", "random noise, same LPIPS"), *table):
        for left, text in zip((MARGIN, 280, 440), row, strict=True):
            draw.text((left, top), text, "black", font)
        top += TEXT + 6
    for line in said:
        draw.text((MARGIN, top + 6), line, "dimgray", font)
        top += TEXT + 6
    data = io.BytesIO()
    page.save(data, "PNG")
    return data.getvalue()


def page(clean: Tensor, cloaked: Tensor, figures: dict[str, Any]) -> bytes:
    """One self-contained HTML file: hold the picture to see it uncloaked, tick to see the difference."""
    before, after, change = (
        base64.b64encode(png(picture)).decode() for picture in (clean, cloaked, difference(clean, cloaked))
    )
    table = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows(figures))
    return PAGE.format(
        before=before, after=after, change=change, table=table, gain=GAIN, statement=html.escape(statement(figures))
    ).encode()


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Glaze review</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
.stack {{ position: relative; display: inline-block; cursor: pointer; user-select: none; }}
.stack img {{ display: block; max-width: 100%; }}
.stack .top {{ position: absolute; inset: 0; visibility: hidden; }}
.stack:active .before, .diff:checked ~ .stack .change {{ visibility: visible; }}
td, th {{ padding: 0 1.5rem 0 0; text-align: left; }}
</style>
<h1>Glaze review</h1>
<p>Press and hold the picture to see it before the cloak.</p>
<input type="checkbox" class="diff" id="diff"> <label for="diff">difference ×{gain}</label><br>
<div class="stack">
<img src="data:image/png;base64,{after}" alt="after" draggable="false">
<img class="top change" src="data:image/png;base64,{change}" alt="difference" draggable="false">
<img class="top before" src="data:image/png;base64,{before}" alt="before" draggable="false">
</div>
<table><tr><th></th><th>cloaked</th><th>random noise, same LPIPS</th></tr>{table}</table>
<p>{statement}</p>
</html>
"""


def _wrapped(text: str, font: Any, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines

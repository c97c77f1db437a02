"""`python -m bench.mimic`: a study of mimicry with a generator at hand, into docs/results.md as a section of its own.

Anything else in that file stays as it is. The study is that of `glaze evaluate`; an interrupted one goes on. A study of
LoRA and one of full fine-tuning (`--way`) have a section each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from bench.cloakbench import home, machine
from bench.cloakbench.report import table
from bench.sections import HEADING, placed
from glaze_plugin.cli.evaluate import study
from glaze_plugin.errors import BadInput, GlazeError
from glaze_plugin.messages import Progress
from glaze_server.engine import device
from glaze_server.mimicry import report
from glaze_server.mimicry.minimimic import latents, train

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".cache" / "mimic"
ART = ROOT.parent / "shared" / "art"
RESULTS = ROOT / "docs" / "results.md"

say = partial(print, flush=True)


def section(results: dict[str, Any]) -> str:
    """The section in Markdown, from what a study's report.json holds."""
    on, plan = results["depends_on"], results["depends_on"]["plan"]
    parts = [
        f"{HEADING}: {' and '.join(results['ways'])}\n",
        "Written by `python -m bench.mimic`; docs/limits.md says what it can and cannot tell.\n",
        f"- date: {results['date']}\n- machine: {results['machine']}\n- commit: {results['commit']}",
        f"- generator: {on['generator']}, {on['side']} px; white-box encoder: {', '.join(on['encoders'])}",
        f"- target style: {results['style']}; {plan['seeds']} seeds, {plan['samples']} pictures each\n",
        "Brackets are 95 % intervals over seeds (Student's).\n",
    ]
    for way, one in results["ways"].items():
        parts.append(table([way, *report.head()[1:]], report.rows(one, results["about"])) + "\n")
    parts += [f"{sentence}\n" for sentence in report.verdict(results)]
    parts += [f"{report.told(results)}\n", f"{report.detected(results)}\n", f"{results['statement']}\n"]
    return "\n".join(parts) + "\n"


def lines() -> Callable[[Progress], None]:
    """What prints a line, with how much is done, whenever another stage begins."""
    said = ""

    def tell(news: Progress) -> None:
        nonlocal said
        if news.stage != said:
            said = news.stage
            say(f"{news.step / news.steps:4.0%} {said}")

    return tell


def main(arguments: list[str] | None = None) -> int:
    """Run the study and write its section. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.mimic", description=__doc__)
    parser.add_argument(
        "pictures", type=Path, nargs="?", help="folder of one artist's pictures (quarters of paintings)"
    )
    parser.add_argument(
        "--generator", help="folder of a diffusion model (MiniMimic, trained before for as long as needed)"
    )
    parser.add_argument("--minutes", type=float, default=180, help="how long MiniMimic is trained in all")
    parser.add_argument("--others", type=Path, help="other artists' pictures, a subfolder each (MiniMimic's styles)")
    parser.add_argument("--way", nargs="*", default=[], help="lora, full (both)")
    parser.add_argument("--share", type=int, nargs="*", help="%% of the pictures that are cloaked (25 50 75 100)")
    parser.add_argument("--seeds", type=int, help="runs of each kind")
    parser.add_argument("--counter", nargs="*", default=[], help="countermeasures")
    parser.add_argument("--remover", type=Path, help="file of bench.remover: a further countermeasure")
    parser.add_argument("--quick", action="store_true", help="a small run, into out/ instead of docs/")
    options = parser.parse_args(arguments)
    work = WORK / ("quick" if options.quick else "full")
    home.use(work)
    order: dict[str, Any] = {
        "out": str(work / "-".join(["study", *options.way])),
        "ways": options.way,
        "shares": options.share,
        "seeds": options.seeds,
        "counters": options.counter,
        "remover": str(options.remover) if options.remover else None,
        "quick": options.quick,
        "foreign": not options.quick,
    }
    try:
        order["generator"] = options.generator or str(train.trained(WORK, options.minutes, say))
        pictures = options.pictures or _quarters(WORK / "artist")
        others = options.others or (None if options.generator else latents.others(WORK))
        results = study(pictures, others, order, lines())["report"]
    except GlazeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    results |= {"date": date.today().isoformat(), "commit": machine.commit()}
    made = section(results | {"machine": machine.in_words(device.choose())})
    page = ROOT / "out" / "results.md" if options.quick else RESULTS
    page.parent.mkdir(exist_ok=True)
    page.write_text(placed(page.read_text(encoding="utf-8") if page.exists() else "", made), encoding="utf-8")
    print(made)
    return 0


def _quarters(folder: Path) -> Path:
    """A folder with the four quarters of each painting beside the project: one artist, whom MiniMimic never saw."""
    paintings = sorted(ART.glob("*.png"))
    if not paintings:
        raise BadInput("no_pictures", f"There are no paintings in {ART}; name a folder of one artist's pictures.")
    folder.mkdir(parents=True, exist_ok=True)
    for path in paintings:
        with Image.open(path) as painting:
            width, height = painting.size
            for number in range(4):
                left, top = number % 2 * width // 2, number // 2 * height // 2
                part = painting.convert("RGB").crop((left, top, left + width // 2, top + height // 2))
                part.save(folder / f"{path.stem}-{number}.png")
    return folder


if __name__ == "__main__":
    sys.exit(main())

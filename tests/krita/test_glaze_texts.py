"""Every text of the add-on is there in every language; read from its source, without Krita."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from string import Formatter

import pytest

from glaze_plugin import languages
from glaze_server.engine.artist import FIRST, LEARNED, SET
from tests.conftest import ROOT

ADDON = ROOT / "krita_addon" / "glaze_krita"
ENGINE = ROOT / "server" / "glaze_server" / "engine"
CLIENT = ROOT / "glaze_plugin"
SOURCES = {path.name: path.read_text() for path in ADDON.glob("*.py")}
SHARED = [(CLIENT / f"{name}.py").read_text() for name in ("figures", "models", "target", "texts")]
"""Where texts are put together for every add-on."""
SHOWN_BY = {"tr": 0, "_button": 1}
"""Function → which of its arguments is a text."""
NOT_SHOWN = {"embedded", "not_on_hub", "duplicate_job", "not_yours", "already_ended"}
"""Errors of downloads to which the window does not lead."""


def tables() -> dict[str, dict[str, str]]:
    """GERMAN, JAPANESE and ENGLISH, with what all add-ons share."""
    assigned = (node for node in ast.parse(SOURCES["texts.py"]).body if isinstance(node, ast.Assign))
    return {
        str(target.id): getattr(languages, str(target.id)) | ast.literal_eval(node.value)
        for node in assigned
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in ("GERMAN", "JAPANESE", "ENGLISH")
    }


TABLES = tables()


def strings(part: ast.AST) -> list[str]:
    constants = (one.value for one in ast.walk(part) if isinstance(one, ast.Constant))
    return [value for value in constants if isinstance(value, str) and value]


def literals(source: str) -> Iterator[str]:
    """Texts that are shown as they stand in the source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            place = SHOWN_BY.get(name, len(node.args))
            for part in node.args[place : place + 1]:
                yield from strings(part)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("QUALITIES", "ACTIONS"):
            yield from (text for text in strings(node.value) if text[0].isupper())


def found(pattern: str, text: str) -> set[str]:
    return set(re.findall(pattern, text))


def used() -> set[str]:
    shown = {text for source in (*SOURCES.values(), *SHARED) for text in literals(source)}
    shown -= {"state ", "stage ", "note ", "refused ", "model ", "chosen ", "after "}  # followed by a key
    everything = "".join(SOURCES.values())
    engine = "".join(path.read_text() for path in ENGINE.glob("*.py"))
    daemon, downloads, download = (
        (ROOT / "server" / "glaze_server" / f"{name}.py").read_text() for name in ("daemon", "downloads", "download")
    )
    shown |= {f"refused {code}" for code in found(r'Refusal\("(\w+)"', everything) | {"colours"}}
    shown |= {f"note {code}" for code in found(r'notes(?:\.append\(| = \[)"(\w+)"', everything)}
    shown |= {f"state {name}" for name in found(r'(?:state =|_end\() ?"(\w+)"', everything)}
    shown |= {f"stage {name}" for name in found(r'\.begin\("([a-z ]+)"', engine)}
    shown |= {f"stage {name}" for name in found(r'stage="([a-z ]+)"', daemon + downloads)}
    shown |= {f"stage {name}" for name in found(r'stage = "([a-z ]+)" if .* else "[a-z ]+"', downloads)}
    shown |= {f"stage {name}" for name in found(r'stage = "[a-z ]+" if .* else "([a-z ]+)"', downloads)}
    codes = found(r'(?:GlazeError|BadInput)\(\s*"(\w+)"', downloads + download)
    shown |= {f"chosen {how}" for how in (LEARNED, SET, FIRST)}
    shown |= {text for text in languages.ENGLISH if text.startswith("after ")}  # tests/test_figures.py
    shown |= {f"model {code}" for code in codes - NOT_SHOWN | {"unknown_job"}}
    return shown


@pytest.mark.parametrize("language", ["GERMAN", "JAPANESE"])
def test_every_text_is_translated(language: str) -> None:
    assert used() - set(TABLES[language]) == set()


def test_the_tables_agree() -> None:
    assert set(TABLES["GERMAN"]) == set(TABLES["JAPANESE"])
    assert set(TABLES["ENGLISH"]) <= set(TABLES["GERMAN"])


@pytest.mark.parametrize("language", ["GERMAN", "JAPANESE"])
def test_placeholders_agree(language: str) -> None:
    for text, translated in TABLES[language].items():
        original = TABLES["ENGLISH"].get(text, text)
        assert sorted(placeholders(translated)) == sorted(placeholders(original)), text


def placeholders(text: str) -> list[tuple[str, str | None]]:
    return [(name, format) for _, name, format, _ in Formatter().parse(text) if name is not None]


def test_no_translation_is_without_use() -> None:
    others = {text for text in TABLES["GERMAN"] if "daemon" in text} | {"stage waiting"}  # said by glaze_plugin
    client = "".join(path.read_text() for path in CLIENT.glob("*.py") if path.name != "languages.py")
    client += (ROOT / "server" / "glaze_server" / "daemon.py").read_text()
    assert {text for text in set(TABLES["GERMAN"]) - used() - others if text not in client} == set()


def test_no_text_calls_a_cloak_protection() -> None:
    """What was measured is shown; nothing is ever called protected, in any language."""
    shown = [text for table in TABLES.values() for pair in table.items() for text in pair]
    shown.append((ADDON / "glaze_krita.action").read_text())
    assert not [text for text in shown if re.search("protect|schütz|保護", text, re.IGNORECASE)]

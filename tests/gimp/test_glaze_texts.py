"""Texts: every one is translated, and none promises what was not measured."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from glaze_plugin import languages
from tests.conftest import ROOT
from tests.gimp.conftest import StartGimp

ADDON = ROOT / "gimp_addon" / "glaze_gimp"
PLACES = re.compile(r"{[^}]*}")


def tables(file: Path = ADDON / "glazing" / "texts.py") -> dict[str, dict[str, str]]:
    """The dictionaries of texts.py, read without importing it, which needs GIMP, and what all add-ons share."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assigned = (node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict))
    found = {node.targets[0].id: node.value for node in assigned if isinstance(node.targets[0], ast.Name)}
    return {
        name: getattr(languages, name) | ast.literal_eval(found[name]) for name in ("ENGLISH", "GERMAN", "JAPANESE")
    }


def used() -> set[str]:
    """What `tr` is called with, and what stands in tables of choices for it."""
    shown = set()
    for path in (ADDON / "glazing").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr":
                shown |= {one.value for one in node.args if isinstance(one, ast.Constant)}
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("QUALITIES", "CHOICES", "VIEWS"):
                assert isinstance(node.value, ast.Tuple)
                shown |= {ast.literal_eval(pair.elts[1]) for pair in node.value.elts if isinstance(pair, ast.Tuple)}
            elif isinstance(node, ast.FunctionDef) and node.name == "_answers":
                pairs = (one for one in ast.walk(node) if isinstance(one, ast.Tuple))
                shown |= {one.value for pair in pairs for one in pair.elts if isinstance(one, ast.Constant)}
    return {text for text in shown if isinstance(text, str)}


@pytest.mark.parametrize("language", ["GERMAN", "JAPANESE"])
def test_every_text_is_translated(language: str) -> None:
    table = tables()[language]
    assert len(used()) > 50
    assert not (used() | set(tables()["ENGLISH"])) - set(table)
    for text, translated in table.items():
        original = tables()["ENGLISH"].get(text, text)
        assert sorted(PLACES.findall(original)) == sorted(PLACES.findall(translated)), text


def test_downloads_fail_in_the_same_words_as_in_krita() -> None:
    """Those of Krita's add-on are compared with what the server says."""
    other = tables(ROOT / "krita_addon" / "glaze_krita" / "texts.py")
    for language, table in tables().items():
        assert {key: text for key, text in table.items() if key.startswith("model ")} == {
            key: text for key, text in other[language].items() if key.startswith("model ")
        }


def test_no_text_promises_anything() -> None:
    words = [text for table in tables().values() for pair in table.items() for text in pair] + sorted(used())
    assert not [text for text in words if re.search(r"protect|schütz|Schutz|保護|安全", text, re.IGNORECASE)]


def test_the_addon_imports_the_standard_library_the_client_and_gimp_alone() -> None:
    allowed = {"gi", "glaze_plugin", "glazing", "host", "screen", *modules(ADDON / "glazing")}

    for path in ADDON.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or "glazing"]
            assert {name.split(".")[0] for name in names} <= allowed | set(sys.stdlib_module_names), path


def modules(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.py")}


@pytest.mark.parametrize(
    ("locale", "why", "label"),
    [
        ("de_DE.UTF-8", "In dieser Gruppe ist nichts.", "Ebene überzie_hen …"),
        ("ja_JP.UTF-8", "このグループには何もありません。", "レイヤーを Glaze 加工(_G)…"),
    ],
)
def test_gimp_shows_them(start_gimp: StartGimp, glaze_home: Path, locale: str, why: str, label: str) -> None:
    with start_gimp(LC_ALL=locale) as gimp:
        gimp.run("new_image(64, 64); group = Gimp.GroupLayer.new(image, 'Group'); image.insert_layer(group, None, 0)")
        assert gimp.run("glaze(group)") == why
        found = gimp.run("Gimp.get_pdb().lookup_procedure('plug-in-glaze-layer').get_menu_label()")
        assert found == label

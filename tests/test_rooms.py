"""Who may import whom (docs/architecture.md): read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

CLIENT = ROOT / "glaze_plugin"
SERVER = ROOT / "server" / "glaze_server"


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""


def tops(paths: Iterator[Path]) -> set[str]:
    return {name.split(".")[0] for path in paths for name in imports(path)}


def test_the_light_client_needs_only_the_standard_library() -> None:
    light = [path for path in CLIENT.rglob("*.py") if "cli" not in path.relative_to(CLIENT).parts]
    assert len(light) >= 7
    assert tops(iter(light)) <= set(sys.stdlib_module_names) | {"glaze_plugin"}


def test_the_command_line_adds_typer_and_rich_alone() -> None:
    assert tops(CLIENT.rglob("*.py")) <= set(sys.stdlib_module_names) | {"glaze_plugin", "typer", "rich"}


def test_the_engine_knows_no_sockets_no_jobs_and_no_database() -> None:
    names = {name for path in (SERVER / "engine").rglob("*.py") for name in imports(path)}
    assert not {name.split(".")[0] for name in names} & {"zmq", "socket", "sqlite3"}
    assert {name for name in names if name.startswith("glaze_server")} == {
        name for name in names if name.startswith("glaze_server.engine")
    }
    assert {name for name in names if name.startswith("glaze_plugin")} <= {
        "glaze_plugin",
        "glaze_plugin.errors",
        "glaze_plugin.figures",
        "glaze_plugin.places",
        "glaze_plugin.raster",
    }


def test_studies_of_mimicry_stand_on_the_engine_and_nothing_but_a_process_of_their_own_imports_them() -> None:
    names = {name for path in (SERVER / "mimicry").rglob("*.py") for name in imports(path)}
    assert not {name.split(".")[0] for name in names} & {"zmq", "socket", "sqlite3", "bench"}
    for name in names:
        if name.startswith("glaze_server"):
            assert name.startswith(("glaze_server.engine", "glaze_server.mimicry"))
    assert {name for name in names if name.startswith("glaze_plugin")} <= {
        "glaze_plugin",
        "glaze_plugin.errors",
        "glaze_plugin.figures",
        "glaze_plugin.places",
        "glaze_plugin.raster",
    }
    others = [path for path in (*SERVER.rglob("*.py"), *CLIENT.rglob("*.py")) if "mimicry" not in path.parts]
    assert not {name for path in others for name in imports(path) if name.startswith("glaze_server.mimicry")}


@pytest.mark.parametrize("module", ["glaze_server.daemon", "glaze_plugin.cli.app"])
def test_neither_daemon_nor_command_line_loads_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

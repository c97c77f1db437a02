"""XCF documents where GIMP is not there, or does not do what it should; tests/gimp/test_xcf.py has the real one."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from glaze_plugin.cli.pictures import result_name
from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine import formats
from glaze_server.engine.formats import xcf
from tests.engine.conftest import refusal

DOCUMENT = b"gimp xcf v011\0" + struct.pack(">IIII", 64, 48, 0, 150)
"""Its header alone."""
VERSION = '[ "$1" != --version ] || { echo "GNU Image Manipulation Program version %s"; exit; }\n'

Fake = Callable[..., Path]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go; a GIMP is on the PATH only where a test puts it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv(xcf.VARIABLE, raising=False)
    return folder


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Puts a program on the PATH that says that it is a GIMP. does: what it does when it is to merge."""

    def make(name: str = "gimp-console", version: str = "3.0.4", does: str = "exit 0\n") -> Path:
        program = tmp_path / "bin" / name
        program.write_text("#!/bin/sh\nPATH=/usr/bin:/bin\n" + VERSION % version + does)
        program.chmod(0o755)
        return program

    return make


def refused(code: str, kind: type[GlazeError] = BadInput) -> str:
    with refusal(code, kind) as caught:
        formats.decode(DOCUMENT)
    return str(caught.value)


def test_what_the_result_becomes() -> None:
    assert result_name(Path("hero.xcf")) == ("hero.xcf.tif", "tiff")


def test_without_gimp() -> None:
    assert refused("not_merged") == (
        "An XCF document holds no merged picture; a GIMP 3 could merge its layers, but none was found. "
        "Install GIMP 3, export it from GIMP as PNG, or use Glaze inside GIMP."
    )


def test_with_an_old_gimp_alone(fake: Fake, tmp_path: Path) -> None:
    fake(version="2.10.34", does=f"touch {tmp_path}/started\n")
    assert "but only one older than 3.0 was found." in refused("not_merged")
    assert not (tmp_path / "started").exists()


def test_the_newest_gimp_is_asked(fake: Fake, tmp_path: Path) -> None:
    fake(version="2.10.34")
    for name in ("gimp-console-3.0", "gimp-console-3.2"):
        fake(name, does=f"echo {name} >> {tmp_path}/asked\n")
    refused("gimp_failed", GlazeError)
    assert (tmp_path / "asked").read_text() == "gimp-console-3.2\n"


@pytest.mark.parametrize("command", ["{}", "/usr/bin/env '{}'"], ids=["program", "command"])
def test_a_gimp_can_be_named(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    named = fake("my gimp", does=f"touch {tmp_path}/asked\n")
    fake(version="2.10.34")
    monkeypatch.setenv(xcf.VARIABLE, str(named) if command == "{}" else command.format(named))
    refused("gimp_failed", GlazeError)
    assert (tmp_path / "asked").exists()


@pytest.mark.parametrize("named", ["/nothing/there", " "])
def test_what_is_named_may_be_no_gimp(fake: Fake, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    fake()
    monkeypatch.setenv(xcf.VARIABLE, named)
    assert "but GLAZE_GIMP names none." in refused("not_merged")


@pytest.mark.parametrize("does", ["exit 64\n", "exit 0\n", "kill -9 $$\n"])
def test_a_gimp_that_fails(fake: Fake, temporary: Path, does: str) -> None:
    fake(does=does)
    assert refused("gimp_failed", GlazeError).startswith("GIMP could not merge the layers of this XCF document.")
    assert not list(temporary.iterdir())


def test_a_gimp_that_hangs_is_ended(
    fake: Fake, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xcf, "MERGE_SECONDS", 1.0)
    fake(does=f"sleep 600 &\necho $! > {tmp_path}/child\nwait\n")
    assert refused("gimp_slow", GlazeError).startswith("GIMP did not merge the layers of this XCF document within 1 s.")
    assert not list(temporary.iterdir())
    state = subprocess.run(
        ["/usr/bin/ps", "-o", "state=", "-p", (tmp_path / "child").read_text().strip()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert state.stdout.strip() in ("", "Z")


@pytest.mark.parametrize(
    ("header", "code"),
    [(DOCUMENT[:20], "damaged"), (DOCUMENT[:14] + bytes(8), "damaged"), (DOCUMENT[:14] + b"\x7f" * 8, "too_large")],
)
def test_no_gimp_is_started_for_a_header_that_cannot_be(fake: Fake, tmp_path: Path, header: bytes, code: str) -> None:
    fake(does=f"touch {tmp_path}/started\n")
    with refusal(code):
        formats.decode(header)
    assert not (tmp_path / "started").exists()

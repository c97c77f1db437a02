"""*Export glazed copy…*: files written by the real Krita, read back by another reader."""

from __future__ import annotations

import io
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.krita.glazing import says
from tests.krita.harness.app import Krita

WIDTH, HEIGHT = 120, 90
SENTENCE = "next((one for one in reversed(told) if one), '')"
SAVED = f"{SENTENCE}.startswith('Saved as')"
UNTOUCHED = "(active().modified(), len(active().topLevelNodes()), Krita.instance().action('edit_undo').isEnabled())"
LISTEN = """
cloaks = sys.modules["glaze_krita.docker"].GlazeDocker.shared[1]
told = []
cloaks.told.connect(told.append)
None
"""
"""Not by way of Krita.extensions(), which crashes Krita 6 when it is called a second time."""
GOING = "(progress := cloaks.current(active()).job.progress) and progress.step > 5"
START = f"""{LISTEN}
import pathlib
sys.modules["glaze_krita.export"].export(active(), pathlib.Path(path), cloaks, {{"quality": "preview"}})
"""
PLAIN = """
from krita import InfoObject
options = InfoObject()
for name, value in sys.modules["glaze_krita.export"].FORMATS[suffix].items():
    options.setProperty(name, value)
active().waitForDone()  # a busy picture is not exported
active().exportImage(path, options)
"""


@pytest.fixture(scope="module")
def engine() -> str:
    return "tests.krita.pixel_tasks"


@pytest.fixture
def hold(glaze_home: Path) -> Iterator[Path]:
    """While this file is there, the engine goes on."""
    file = glaze_home / "hold"
    file.touch()
    yield file
    file.unlink(missing_ok=True)


@pytest.fixture
def painting(krita: Krita) -> NDArray[np.uint8]:
    """The open document's picture, (HEIGHT, WIDTH, 4), RGBA: noise of every opacity on one layer, nothing else."""
    krita.new_document("RGBA", "U8", WIDTH, HEIGHT)
    bgra = random.Random(1).randbytes(4 * WIDTH * HEIGHT)
    krita.paint(bgra, "Background", (0, 0, WIDTH, HEIGHT))
    krita.run("active().setXRes(300.0); active().setYRes(300.0); active().setModified(False)")
    seen = np.frombuffer(krita.projection(), np.uint8).reshape(HEIGHT, WIDTH, 4)
    return seen[:, :, [2, 1, 0, 3]].copy()


def export(krita: Krita, path: Path) -> None:
    """Past the dialog, and wait for the end."""
    krita.run(START, path=str(path))
    krita.until(SENTENCE)


def read(path: Path) -> tuple[Image.Image, NDArray[np.int16]]:
    with Image.open(path) as file:
        file.load()
    return file, np.asarray(file).astype(np.int16)


def profile_name(file: Image.Image) -> str:
    return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(file.info["icc_profile"])))


def test_png(krita: Krita, painting: NDArray[np.uint8], tmp_path: Path) -> None:
    before = krita.run(UNTOUCHED)
    path = tmp_path / "copy.png"
    export(krita, path)
    file, pixels = read(path)
    assert file.size == (WIDTH, HEIGHT)
    assert "sRGB" in profile_name(file)
    assert file.info["dpi"] == pytest.approx((300, 300), abs=1)
    assert (pixels[:, :, 3] == painting[:, :, 3]).all()
    seen = painting[:, :, 3] > 0
    assert (pixels[seen][:, :3] == painting[seen][:, :3] ^ 1).all()
    assert krita.run(UNTOUCHED) == before
    assert list(tmp_path.iterdir()) == [path]
    krita.run("show_docker('glaze_docker')")
    says(krita, "Against “fake” the picture moved 0.50 ")
    krita.shot("exported")


def test_jpeg(krita: Krita, painting: NDArray[np.uint8], tmp_path: Path) -> None:
    """Without alpha, it is the picture on white."""
    path = tmp_path / "copy.JPG"
    export(krita, path)
    file, pixels = read(path)
    assert file.format == "JPEG"
    assert "sRGB" in profile_name(file)
    share = painting[:, :, 3:] / 255
    on_white = (painting[:, :, :3] ^ 1) * share + 255 * (1 - share)
    assert pixels.shape == on_white.shape
    assert np.abs(pixels - on_white).mean() < 4


def test_kra(krita: Krita, painting: NDArray[np.uint8], tmp_path: Path) -> None:
    """It can be opened again: one layer, nothing of the original."""
    path = tmp_path / "copy.kra"
    export(krita, path)
    krita.open(path)
    assert [layer["type"] for layer in krita.layers()] == ["paintlayer"]
    pixels = np.frombuffer(krita.pixels("copy.kra"), np.uint8).reshape(HEIGHT, WIDTH, 4)
    seen = painting[:, :, 3] > 0
    assert (pixels[seen][:, [2, 1, 0]] == painting[seen][:, :3] ^ 1).all()


@pytest.mark.parametrize(
    ("model", "depth", "suffix"),
    [
        ("RGBA", "U8", ".tif"),
        ("RGBA", "U16", ".tif"),
        ("CMYKA", "U8", ".jpg"),
        ("GRAYA", "U8", ".tif"),
        ("RGBA", "U16", ".png"),
        ("RGBA", "F32", ".png"),
        ("RGBA", "U8", ".webp"),
    ],
)
def test_other_colours(krita: Krita, tmp_path: Path, model: str, depth: str, suffix: str) -> None:
    """As Krita itself exports them, but for the cloak."""
    krita.new_document(model, depth, WIDTH, HEIGHT)
    plain, path = tmp_path / f"plain{suffix}", tmp_path / f"copy{suffix}"
    krita.run("active().setBatchmode(True)")
    assert krita.run(PLAIN, path=str(plain), suffix=suffix)
    export(krita, path)
    assert krita.run(SAVED)
    (file, pixels), (expected_file, expected) = read(path), read(plain)
    assert (file.mode, file.size) == (expected_file.mode, expected_file.size)
    assert file.info.get("icc_profile") == expected_file.info.get("icc_profile")
    assert 0 <= np.abs(pixels - expected).max() <= 2


def test_the_dialog(krita: Krita, painting: NDArray[np.uint8], tmp_path: Path) -> None:
    """From the menu to the file, which Krita shows to exist before it is replaced."""
    path = tmp_path / "copy.png"
    path.write_bytes(b"old")
    krita.run(LISTEN)
    krita.menu("Tools", "Scripts", "Export glazed copy…")
    dialog = "window().findChild(QtWidgets.QFileDialog, 'glaze_export_dialog')"
    save = (
        f"{dialog}.findChild(QtWidgets.QDialogButtonBox).button(QtWidgets.QDialogButtonBox.StandardButton.Save).click()"
    )
    krita.until(f"{dialog} is not None and {dialog}.isVisible()")
    krita.run("import gc\ngc.collect()")
    krita.run(f"{dialog}.findChild(QtWidgets.QLineEdit).setText(path)", path=str(path.with_suffix("")))
    krita.soon(save)
    question = "type(QtWidgets.QApplication.activeModalWidget()).__name__ == 'QMessageBox'"
    krita.until(question)
    krita.shot("export-replace")
    krita.run("QtWidgets.QApplication.activeModalWidget().button(QtWidgets.QMessageBox.StandardButton.No).click()")
    krita.until(f"not ({question})")
    assert krita.run(f"{dialog}.isVisible()")
    assert path.read_bytes() == b"old"
    krita.soon(save)
    krita.until(question)
    krita.run("QtWidgets.QApplication.activeModalWidget().button(QtWidgets.QMessageBox.StandardButton.Yes).click()")
    krita.until(SAVED)
    assert read(path)[0].size == (WIDTH, HEIGHT)


def test_the_document_is_closed_and_another_painted(
    krita: Krita, painting: NDArray[np.uint8], tmp_path: Path, hold: Path
) -> None:
    """What was in the document at the click is exported."""
    path = tmp_path / "copy.png"
    krita.run(START, path=str(path))
    krita.paint(bytes(4 * WIDTH * HEIGHT), "Background", (0, 0, WIDTH, HEIGHT))
    krita.until(GOING)
    krita.close_documents()
    krita.new_document()
    hold.unlink()
    krita.until(SAVED)
    assert (read(path)[1][:, :, 3] == painting[:, :, 3]).all()
    assert krita.run("len(Krita.instance().documents())") == 1


def test_cancelled(krita: Krita, painting: NDArray[np.uint8], tmp_path: Path, hold: Path) -> None:
    krita.run("show_docker('glaze_docker')")
    krita.run(START, path=str(tmp_path / "copy.png"))
    krita.until(GOING)
    krita.click("glaze_cancel")
    krita.until(f"{SENTENCE} == 'Cancelled.'")
    hold.unlink()
    assert not list(tmp_path.iterdir())


def test_the_folder_vanishes(krita: Krita, painting: NDArray[np.uint8], tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    krita.run(START, path=str(folder / "copy.png"))
    shutil.rmtree(folder)
    krita.until(f"'nothing was exported' in {SENTENCE}")
    assert krita.run("len(Krita.instance().documents())") == 1


def test_the_target_is_a_folder(krita: Krita, painting: NDArray[np.uint8], tmp_path: Path) -> None:
    """The last step fails; the copy does not stay under the other name."""
    (tmp_path / "copy.png" / "full").mkdir(parents=True)
    export(krita, tmp_path / "copy.png")
    assert "nothing was exported" in krita.run(SENTENCE)
    assert [one.name for one in tmp_path.iterdir()] == ["copy.png"]


def test_another_format(krita: Krita, painting: NDArray[np.uint8], tmp_path: Path) -> None:
    export(krita, tmp_path / "copy.bmp")
    assert krita.run(SENTENCE).startswith("A glazed copy can be")


@pytest.mark.parametrize("active", [True, False])
def test_the_file_of_an_open_picture_keeps_its_layers(
    krita: Krita, painting: NDArray[np.uint8], tmp_path: Path, active: bool
) -> None:
    """By another way to it, too."""
    path = tmp_path / "work.kra"
    assert krita.run("active().saveAs(path)", path=str(path))
    if not active:
        krita.new_document("RGBA", "U8", WIDTH, HEIGHT)
    (tmp_path / "link").symlink_to(tmp_path)
    before = path.read_bytes()
    for target in (path, tmp_path / "link" / "work.kra"):
        export(krita, target)
        assert krita.run(SENTENCE) == "This is the picture's own file; choose another name."
    assert path.read_bytes() == before


def test_too_small(krita: Krita, tmp_path: Path) -> None:
    krita.new_document("RGBA", "U8", 20, 20)
    export(krita, tmp_path / "copy.png")
    assert "too small" in krita.run(SENTENCE)

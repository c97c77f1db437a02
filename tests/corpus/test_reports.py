"""Public reports about tools of this kind, and the test that holds each fault's whole kind.

Numbers are those of the list that this project collected.
"""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from glaze_server.engine import formats
from tests.conftest import ROOT
from tests.corpus import cases, profiles, readers

CORPUS, CLI, TASKS = "tests/corpus/test_corpus.py", "tests/test_cli.py", "tests/engine/test_tasks.py"
REPORTS = {
    (1, "a 16-bit document never comes back"): ("tests/krita/test_glaze_layers.py", "test_colour_models"),
    (2, "high bit depth in GIMP"): ("tests/gimp/test_glaze_layers.py", "test_the_cloak_comes_at_the_layers_own_depth"),
    (4, "16 and 32 bits, alpha"): (CORPUS, "test_a_cloak_changes_only_what_it_reaches"),
    (5, "gray, 1 bit, palette"): (CORPUS, "test_unchanged_samples_come_back_to_the_bit"),
    (7, "CMYK inverted or green"): (CORPUS, "test_a_cloak_is_seen_as_it_was_meant"),
    (8, "profile dropped, colours shift"): (__file__, "test_a_saturated_patch_keeps_its_colour"),
    (9, "author and copyright lost, GPS kept"): (
        "tests/corpus/test_metadata.py",
        "test_safe_keeps_the_author_and_nothing_private",
    ),
    (10, "turned twice"): (__file__, "test_a_picture_is_turned_once"),
    (11, "names beyond ASCII"): (CLI, "test_names_with_anything_in_them_work"),
    (12, "layer smaller than the canvas"): (
        "tests/krita/inside/canvas_checks.py",
        "test_a_layer_is_taken_whole_wherever_it_lies",
    ),
    (14, "hidden group selected"): ("tests/krita/test_glaze_layers.py", "test_a_locked_or_hidden_layer"),
    (15, "a mask is the active node"): ("tests/krita/test_glaze_layers.py", "test_for_a_mask_its_layer_is_cloaked"),
    (17, "no WebP writer in the host"): (
        "tests/krita/inside/canvas_checks.py",
        "test_samples_that_a_trainer_would_read_are_submitted_as_they_are",
    ),
    (18, "a large result holds the host"): ("bench/krita_ui.py", "main"),
    (19, "tile lines on gradients"): (
        "tests/engine/test_tiles.py",
        "test_the_tiled_gradient_points_where_that_of_the_whole_picture_does",
    ),
    (21, "dialog closed while it runs"): ("tests/gimp/test_glaze_dialog.py", "test_closing_the_dialog_ends_the_job"),
    (22, "dead daemon: hangs for ever"): ("tests/faults/test_kills.py", "test_nothing_accepted_is_lost_to_kills"),
    (23, "numbers that half precision cannot hold"): (
        "tests/engine/test_device.py",
        "test_a_delta_without_numbers_is_an_error_and_never_a_cloak",
    ),
    (25, "no cloak at all, or a strip of other pixels"): (__file__, "test_no_strip_of_a_picture_is_of_another"),
    (28, "a limit of 4096 px"): (__file__, "test_no_strip_of_a_picture_is_of_another"),
    (29, "an empty reply"): ("tests/fuzz/test_fuzz.py", "test_a_spoilt_message_is_refused_or_harmless"),
}


@pytest.mark.parametrize(("report", "where"), REPORTS.items(), ids=lambda value: str(value[0]))
def test_every_report_has_its_test(report: tuple[int, str], where: tuple[str, str]) -> None:
    path, name = where
    assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8"), report


def lab(samples: np.ndarray, profile: bytes) -> np.ndarray:
    """Colours as a program that honours profiles shows them."""
    wanted = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    own = samples.astype(np.float32) / 255
    found = imagecodecs.cms_transform(own, profile, wanted, colorspace="rgb", outcolorspace="lab", outdtype="f4")
    return np.asarray(found)


READERS = {"png": readers.png, "webp": readers.pillow, "tiff": readers.tiff, "jxl": readers.jxl}


@pytest.mark.parametrize("format", READERS)
@pytest.mark.parametrize("name", ["p3", "adobe", "prophoto"])
def test_a_saturated_patch_keeps_its_colour(name: str, format: str) -> None:
    samples = cases.painted("RGB", "u1")
    samples[10:20, 10:20] = 250, 5, 10
    file = formats.decode(cases.png(samples, 2, *cases.icc(profiles.RGB[name])))
    delta = np.zeros(file.pages[0].seen.shape, np.float32)
    delta[:, 24:] = 4 / 255
    written = formats.encode(file, [file.pages[0].changed(delta)], format)
    before, after = lab(samples, profiles.RGB[name]), lab(READERS[format](written), readers.profile(written))
    np.testing.assert_array_equal(after[:, :24], before[:, :24])
    assert 0 < np.linalg.norm(after - before, axis=-1).max() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_once(orientation: int) -> None:
    samples = np.full((20, 40, 3), 128, np.uint8)
    samples[:8, :8] = 250, 10, 10
    exif = Image.Exif()
    exif[274] = orientation
    data = cases.jpeg(samples, "RGB", quality=95, subsampling=0, exif=exif)
    file = formats.decode(data)
    changed = file.pages[0].samples.copy()
    changed[8:, 16:] += 6
    written = formats.encode(file, [file.pages[0].with_samples(changed)])
    upright = [np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(one)))).astype(int) for one in (data, written)]
    assert upright[0].shape == upright[1].shape
    red = [one[..., 0] - one[..., 1] > 100 for one in upright]
    assert red[0].any()
    np.testing.assert_array_equal(*red)


@pytest.mark.parametrize("size", [(700, 1), (1, 700), (1280, 720), (4097, 16), (1, 1), (20_000, 1)])
def test_no_strip_of_a_picture_is_of_another(size: tuple[int, int]) -> None:
    width, height = size
    samples = cases.painted("RGB", "u1", height, width)
    file = formats.decode(cases.png(samples, 2))
    delta = np.zeros(file.pages[0].seen.shape, np.float32)
    delta[-1, -1] = 9 / 255
    back = readers.png(formats.encode(file, [file.pages[0].changed(delta)])).astype(int)
    expected = samples.astype(int)
    expected[-1, -1] = np.minimum(expected[-1, -1] + 9, 255)
    np.testing.assert_array_equal(back, expected)

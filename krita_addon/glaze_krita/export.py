"""A glazed copy of the whole picture in a file of its own, by Krita's own exporters.

What is cloaked is a snapshot, a copy of the document that shares its memory: whatever becomes of the document, which is
never touched, it can be exported.
"""

import contextlib
from pathlib import Path

from krita import InfoObject, Krita

from glaze_plugin.errors import GlazeError
from glaze_plugin.figures import statement

from . import canvas
from .cloaks import Cloak
from .qt import QtCore, QtWidgets
from .texts import refused, tr

JPEG = {"quality": 95, "subsampling": 3, "saveProfile": True, "storeMetaData": False}
TIFF = {"alpha": True, "flatten": True, "saveProfile": True, "compressiontype": 1}
FORMATS = {
    ".png": {"alpha": True, "saveSRGBProfile": True, "compression": 3, "storeMetaData": False},
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".webp": {"lossless": True, "exact": True},
    ".tif": TIFF,
    ".tiff": TIFF,
    ".kra": {},
}
"""Krita's export options; the subsampling is none at all."""
FILTERS = {
    "PNG (*.png)": "png",
    "JPEG (*.jpg *.jpeg)": "jpg",
    "WebP (*.webp)": "webp",
    "TIFF (*.tif *.tiff)": "tif",
    "Krita (*.kra)": "kra",
}
WEB = ("RGBA", "U8", "sRGB-elle-V2-srgbtrc.icc")
"""What WebP files are in, for up to Krita 5.1 they have no profile."""
_open = set()
"""Dialogs on the screen. Python would clear away what it knows of them, and what they call, for the wrapper of the
window that they belong to is gone at once; and Krita would crash."""


def ask(window, cloaks, settings):
    """Ask the artist for a file, and export the active document into it. settings: called for the job's."""
    document = Krita.instance().activeDocument()
    if document is None:
        cloaks.told.emit(tr("refused no_document"))
        return
    dialog = QtWidgets.QFileDialog(window, tr("Export glazed copy…"), str(_suggested(document)))
    dialog.setObjectName("glaze_export_dialog")
    dialog.setAcceptMode(QtWidgets.QFileDialog.AcceptMode.AcceptSave)  # which asks before a file is replaced
    dialog.setNameFilters(list(FILTERS))
    dialog.setDefaultSuffix("png")
    dialog.filterSelected.connect(lambda chosen: dialog.setDefaultSuffix(FILTERS[chosen]))
    dialog.fileSelected.connect(lambda path: _later(lambda: export(document, Path(path), cloaks, settings())))
    dialog.finished.connect(lambda *_: _later(lambda: _open.discard(dialog)))
    dialog.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
    _open.add(dialog)
    dialog.open()


def _later(what):
    """Not within a signal of the dialog, which may be gone before it ends."""
    QtCore.QTimer.singleShot(0, what)


def export(document, target, cloaks, settings):
    """Cloak a document's picture in the background and save it as `target`, which is replaced.

    The file of an open document is not: of its layers one would be left.
    """
    if target.suffix.lower() not in FORMATS:
        cloaks.told.emit(tr("A glazed copy can be a PNG, JPEG, WebP, TIFF or KRA file."))
        return
    if any(_same(Path(one.fileName()), target) for one in Krita.instance().documents() if one.fileName()):
        cloaks.told.emit(tr("This is the picture's own file; choose another name."))
        return
    snapshot = document.clone()
    snapshot.setBatchmode(True)
    try:
        subject = canvas.look_at_all(snapshot)
    except canvas.Refusal as refusal:
        snapshot.close()
        cloaks.told.emit(refused(refusal))
        return
    one = Export(document, target, settings, cloaks)
    one.begin(subject)
    cloaks.add(one)
    cloaks.told.emit(tr("note animated") if "animated" in subject.notes else "")
    one.changed.emit()


def _same(one, other):
    with contextlib.suppress(OSError):
        return one.samefile(other)
    return one == other


def _suggested(document):
    kind = QtCore.QStandardPaths.StandardLocation.PicturesLocation
    opened = Path(document.fileName() or Path(QtCore.QStandardPaths.writableLocation(kind)) / tr("unnamed"))
    return opened.with_name(f"{opened.stem}-glazed.png")


class Export(Cloak):
    """One picture on its way into a file. Its state is "saved" when it is there.

    The file is written under a name beside its own and renamed at the end, so it is whole or not there.
    """

    lasting = shows_difference = False

    def __init__(self, document, target, settings, cloaks):
        settings = {**settings, "want_review": False}
        super().__init__(cloaks.session, document, target.name, None, settings, cloaks)
        self._target = target

    def begin(self, subject):
        self._snapshot = subject.document
        super().begin(subject)

    def insert(self):
        if self.state == "finished":
            self._fetch(self.capture.new_layer(self.name))

    def look_around(self):
        """Nothing that happens to the document matters."""

    def _complete(self):
        try:
            self._save(self.insertion.layer())
        except (GlazeError, OSError):
            self._end("failed", tr("“{path}” could not be written; nothing was exported.", path=self._target))
        else:
            words = [tr("Saved as “{path}”.", path=self._target), statement(self.report, tr), *self.report["notes"]]
            self._end("saved", "\n".join(words))

    def _save(self, layer):
        """Raises OSError."""
        beside = self._target.with_name(f".{self._target.stem}.part{self._target.suffix}")
        copy = self._copy(layer)
        options = InfoObject()
        for name, value in FORMATS[self._target.suffix.lower()].items():
            options.setProperty(name, value)
        try:
            if not copy.exportImage(str(beside), options):
                raise OSError
            beside.replace(self._target)
        finally:
            copy.close()
            beside.unlink(missing_ok=True)

    def _copy(self, layer):
        """A document with this layer alone, like the one that was cloaked."""
        like = self._snapshot
        space = (like.colorModel(), like.colorDepth(), like.colorProfile())
        copy = Krita.instance().createDocument(like.width(), like.height(), like.name(), *space, 72.0)
        copy.setBatchmode(True)
        copy.setXRes(like.xRes())
        copy.setYRes(like.yRes())
        copy.setDocumentInfo(like.documentInfo())
        for node in copy.topLevelNodes():
            node.remove()
        copy.rootNode().addChildNode(layer, None)
        if self._target.suffix.lower() == ".webp":
            copy.setColorSpace(*WEB)
        copy.refreshProjection()
        copy.waitForDone()
        copy.setModified(False)
        return copy

    def _end(self, state, sentence):
        super()._end(state, sentence)
        self._snapshot.close()

"""What the artist has had cloaked: each job from its layer to the reviewed cloak, in every open document."""

import json

from krita import Krita

from glaze_plugin.bands import Stream
from glaze_plugin.errors import Cancelled, GlazeError
from glaze_plugin.messages import Preview

from . import canvas, tree
from .qt import QtCore
from .texts import refused, said, tr

ANNOTATION = "glaze_jobs"
LOOK_MS = 500
"""ms between two looks for documents and layers that have come or gone; Krita has no signal for it."""
OPEN = ("running", "finished", "inserting")


class Cloak(QtCore.QObject):
    """One job of one layer.

    state: "running", "finished" (its result waits to be put in), "inserting", "review", "kept", "discarded", "failed".
    node: the cloaked layer once there is one. sentence: what there is to say, "" for nothing.
    saved: whether the document's file tells of this job, so that its result is offered when that is opened again;
    lasting: whether that is possible.
    """

    lasting = shows_difference = True
    changed = QtCore.pyqtSignal()

    def __init__(self, session, document, name, layer_id, settings, parent):
        super().__init__(parent)
        self.session = session
        self.document = document
        self.name = name
        self.layer_id = layer_id
        self.settings = settings
        self.state = "running"
        self.sentence = ""
        self.selected = self.saved = False
        self.opaque = self.source_visible = True
        self.report = {}
        self.job = None
        self.source = self.node = self.capture = self.insertion = None
        self.preview = None
        self._inserts_itself = True
        self._show_difference = None

    @property
    def progress(self):
        """The last `progress` message of its job, None before the first one."""
        return self.job.progress if self.job else None

    @property
    def frame(self):
        """(Which frame is being cloaked, of how many)."""
        return 1, 1

    # ---- on the way --------------------------------------------------------------------------

    def begin(self, subject):
        """Submit a subject to the daemon."""
        self.selected = subject.selection is not None
        self.source = subject.node
        self._submit(canvas.Capture(subject))

    def _submit(self, capture):
        self.capture, subject = capture, capture.subject
        parts = {"picture": Stream(subject.format, capture.bands)}
        if subject.mask_format:
            parts["mask"] = Stream(subject.mask_format, capture.mask_bands)
        label = f"{self.document.name() or tr('unnamed')}: {self.name}"
        self.job = self.session.submit("protect", parts, self.settings, label, self._heard)

    def resume(self, job):
        """Follow a job that was submitted before this document was closed."""
        self._inserts_itself = False
        self.session.wake()
        self.job = self.session.client.watch(job, self._heard)

    def cancel(self):
        if self.state == "inserting":
            self._end("discarded", tr("Cancelled."))
        elif self.job and self.job.open:
            self.session.client.cancel(self.job)
            self.session.step()

    def _heard(self, job, msg):
        if self.state not in (*OPEN, "review"):  # what it still hears of is its own cancelling
            return
        if isinstance(msg, Preview):
            self.preview = job.preview
        elif job.state == "failed" and self.state == "review":
            self.sentence = said(job.error)
        elif job.state == "failed":
            cancelled = isinstance(job.error, Cancelled)
            self._end("discarded" if cancelled else "failed", tr("Cancelled.") if cancelled else said(job.error))
        elif job.state == "done" and self.state == "running":
            self.report = job.report
            self.state = "finished"
            if self._inserts_itself:
                QtCore.QTimer.singleShot(0, self.insert)
            else:
                self.sentence = tr("“{name}” was finished while the picture was closed.", name=self.name)
        elif job.state == "fetched" and self.state == "inserting":
            QtCore.QTimer.singleShot(0, self._finish)
        elif job.state == "fetched" and self._show_difference:
            show, self._show_difference = self._show_difference, None
            self.get_difference(show)
        self.changed.emit()

    # ---- into the document ---------------------------------------------------------------------

    def insert(self):
        """Put the finished result into the document, above its layer."""
        if self.state != "finished":
            return
        if not tree.is_open(self.document):
            self._end("discarded", tr("The picture was closed, so its cloak was dropped."))
            return
        self.source = tree.find(self.document, self.layer_id)
        if self.source is None:
            self._end("discarded", tr("The layer was deleted, so its cloak was dropped."))
            return
        try:
            if self.capture is None:
                self.capture = canvas.Capture(canvas.look(self.document, self.source, self.selected))
            layout = self.job.layouts["result"].raster
            if layout != self.capture.subject.format:
                self._end("failed", tr("The layer has another size now, so its cloak does not fit any more."))
                return
            self._fetch(self.capture.new_layer(tr("Glazed: {name}", name=self.name)))
        except canvas.Refusal as refusal:
            self._end("failed", refused(refusal))

    def _fetch(self, layer):
        """Let the result come into a layer that looks like the captured one; `_finish` puts it into its place."""
        self.insertion = canvas.Insertion(self.capture, layer)
        self.state = "inserting"
        band = self.capture.subject.band_bytes
        self.session.client.fetch(self.job, ["result"], {"result": self.insertion.take}, band)
        self.session.step()
        self.changed.emit()

    def _finish(self):
        """The result has come; it may have been cancelled since."""
        if self.state == "inserting":
            self._complete()

    def _complete(self):
        """Do what it was fetched for."""
        if not tree.is_open(self.document) or tree.find(self.document, self.layer_id) is None:
            self._end("discarded", tr("The layer was deleted, so its cloak was dropped."))
            return
        active = self.document.activeNode()
        try:
            node = self.insertion.finish()
        except GlazeError as error:
            self._end("failed", said(error))
            return
        self.opaque = self.insertion.opaque
        words = []
        if self.insertion.changed:
            words.append(tr("The layer has been painted on since; the cloak is of what it was before."))
        self._show(node, self.source, words, active)

    def _show(self, node, source, words, active):
        """The cloaked layer is in its place: begin its review. active: the layer that the artist is at."""
        self.node, self.source, self.source_visible = node, source, source.visible()
        if not self.opaque:
            words.append(tr("The layer is not wholly opaque, so it is hidden while its cloak is shown."))
        self.sentence = " ".join(words)
        self.insertion = self.capture = None
        self.state = "review"
        if not self.opaque:
            self.show_before(False)
        if active:  # Krita makes the new layer the active one, later
            QtCore.QTimer.singleShot(0, lambda: self.document.setActiveNode(active))
        self.changed.emit()

    # ---- review ----------------------------------------------------------------------------------

    def show_before(self, before):
        """Flip between the layer and its cloak. A layer that is transparent in parts must not be seen through it."""
        if self.state != "review":
            return
        self.node.setVisible(not before)
        if not self.opaque:
            self.source.setVisible(before and self.source_visible)
        self.document.refreshProjection()

    @property
    def opacity(self):
        """The cloak's strength, as its layer's opacity, 0..100. A cloak that stands in its layer's place has 100."""
        return round(self.node.opacity() / 2.55) if self.node and self.opaque else 100

    def set_opacity(self, percent):
        if self.state == "review" and self.opaque:
            self.node.setOpacity(round(percent * 2.55))
            self.document.refreshProjection()

    def keep(self):
        """The artist is content."""
        if self.state == "review":
            self.show_before(False)
            self._end("kept", tr("Kept."))

    def discard(self):
        """Take the cloaked layer out again; that can be undone."""
        if self.state == "review":
            self.show_before(True)
            self.node.remove()
            self.document.refreshProjection()
            self._end("discarded", tr("Discarded."))
        elif self.state == "finished":
            self._end("discarded", tr("Discarded."))

    def get_difference(self, show):
        """Call `show` with the amplified difference, as a PNG file's bytes."""
        if "difference" in self.job.parts:
            show(bytes(self.job.parts["difference"]))
        elif self.job.state == "fetched":
            self._show_difference = show
            self.session.client.fetch(self.job, ["difference"])
            self.session.step()

    def look_around(self):
        """Notice what has happened to the document and the layers meanwhile."""
        if not tree.is_open(self.document):
            self._close()
        elif self.node is not None:
            self._look_for_node()
        elif self.state == "running" and tree.find(self.document, self.layer_id) is None:
            self.cancel()
            self._end("discarded", tr("The layer was deleted, so its cloak was dropped."))

    def _close(self):
        """The document is gone. What its file knows of is kept for the next time."""
        if self.saved:
            self.job.listener = None
            self.state, self.sentence = "discarded", tr("The picture was closed; its cloak waits until it is opened.")
            self.changed.emit()
        elif self.node is not None:
            self.session.client.forget(self.job)
        elif self.state in OPEN:
            self.cancel()
            self._end("discarded", tr("The picture was closed, so its cloak was dropped."))

    def _look_for_node(self):
        """The cloaked layer may be deleted and undone by hand, and come back by redo."""
        there = tree.holds(self.document, self.node)
        if self.state == "discarded" and there:
            self.state, self.sentence = "review", tr("The cloaked layer is back.")
            self.show_before(False)
            self.changed.emit()
        elif self.state in ("review", "kept") and not there:
            self._show_source()
            self._end("discarded", tr("The cloaked layer was taken out."))

    def _show_source(self):
        if not self.opaque:
            self.source.setVisible(self.source_visible)
            self.document.refreshProjection()

    def _end(self, state, sentence):
        self.state, self.sentence = state, sentence
        if self.node is None and self.job and not self.job.open and self.job.state != "failed":
            self.session.client.forget(self.job)
        self.capture = self.insertion = None
        self.changed.emit()


class Cloaks(QtCore.QObject):
    """Every cloak of this Krita session.

    changed: emitted when any of them has. told: emitted with a sentence about what was asked for last.
    """

    changed = QtCore.pyqtSignal()
    told = QtCore.pyqtSignal(str)

    def __init__(self, session, parent=None):
        super().__init__(parent)
        self.session = session
        self._all = []
        self._known = []
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look_around)
        self._timer.start()

    def of(self, document):
        """The cloaks of a document, newest first."""
        return [cloak for cloak in reversed(self._all) if document is not None and cloak.document == document]

    def current(self, document):
        """The one that the docker shows: what runs, waits or is reviewed, else None."""
        live = [cloak for cloak in self.of(document) if cloak.state in (*OPEN, "review")]
        return live[0] if live else None

    def glaze(self, selected, settings):
        """Cloak the active layer, or the selected part of it. Returns the new Cloak, or None and tells why."""
        document = Krita.instance().activeDocument()
        try:
            subject = canvas.look(document, document.activeNode() if document else None, selected)
        except canvas.Refusal as refusal:
            self.told.emit(refused(refusal))
            return None
        if not self.make_room(document, subject.node):
            return None
        cloak = self._add(document, subject.name, tree.id_of(subject.node), settings)
        cloak.begin(subject)
        self.told.emit(" ".join(tr(f"note {note}") for note in subject.notes))
        self._write(document)
        self.changed.emit()
        return cloak

    def make_room(self, document, node):
        """Whether a layer can be cloaked now; else tells why. A new cloak ends the review of an earlier one."""
        layer_id = tree.id_of(node)
        if any(cloak.layer_id == layer_id and cloak.state in OPEN for cloak in self.of(document)):
            self.told.emit(tr("“{name}” is being cloaked already.", name=node.name()))
            return False
        for cloak in self.of(document):
            cloak.keep()
        return True

    def add(self, cloak):
        """From now on it is one of them."""
        self._all.append(cloak)
        cloak.changed.connect(lambda: self._one_changed(cloak))

    def close(self):
        """Krita quits. Jobs that no file knows of would be computed for nobody."""
        self._timer.stop()
        for cloak in self._all:
            if not cloak.saved:
                cloak.cancel()

    def saved(self, path):
        """A document has been saved, and with it the ids of its jobs."""
        for cloak in self._all:
            if tree.is_open(cloak.document) and cloak.document.fileName() == path:
                cloak.saved = cloak.lasting and cloak.state in OPEN

    def _add(self, document, name, layer_id, settings):
        cloak = Cloak(self.session, document, name, layer_id, settings, self)
        self.add(cloak)
        return cloak

    def _one_changed(self, cloak):
        if cloak.sentence:
            self.told.emit(cloak.sentence)
        if tree.is_open(cloak.document):
            self._write(cloak.document)
        self.changed.emit()

    def _look_around(self):
        for cloak in list(self._all):
            cloak.look_around()
        self._all = [cloak for cloak in self._all if tree.is_open(cloak.document) or cloak.state in OPEN]
        documents = tree.documents()
        for document in documents:
            if document not in self._known:
                self._read(document)
        self._known = documents

    def _write(self, document):
        """Keep the ids of a document's open jobs in it, so that they are found again when it is opened again."""
        entries = [
            {
                "job": cloak.job.id,
                "layer": cloak.layer_id,
                "name": cloak.name,
                "settings": cloak.settings,
                "selected": cloak.selected,
            }
            for cloak in self.of(document)
            if cloak.lasting and cloak.job and cloak.state in OPEN
        ]
        data = json.dumps(entries).encode() if entries else b""
        if bytes(document.annotation(ANNOTATION)) != data:
            document.setAnnotation(ANNOTATION, "Glaze", QtCore.QByteArray(data))

    def _read(self, document):
        """Find the jobs of a document that has just been opened."""
        try:
            entries = json.loads(bytes(document.annotation(ANNOTATION)) or b"[]")
            for entry in entries:
                if not any(cloak.job and cloak.job.id == entry["job"] for cloak in self._all):
                    cloak = self._add(document, str(entry["name"]), str(entry["layer"]), dict(entry["settings"]))
                    cloak.selected, cloak.saved = bool(entry["selected"]), True
                    cloak.resume(str(entry["job"]))
        except (ValueError, KeyError, TypeError):
            return

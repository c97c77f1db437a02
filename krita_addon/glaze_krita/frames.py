"""All key frames of an animated layer: a job for each, and one new animated layer that holds their cloaks.

The frames are read from and put together in a copy of the document, which shares its memory: the artist's own document
stays at the frame that it shows, and can be painted on.
"""

from krita import Krita

from glaze_plugin.errors import GlazeError

from . import canvas, tree
from .cloaks import OPEN, Cloak
from .qt import QtCore
from .texts import refused, said, tr

LAST = 9999
"""The last frame that is looked for; Krita cannot say which is the last one."""
POLL_MS = 20
"""ms between two looks whether the copy shows the next frame."""


def glaze(cloaks, settings):
    """Cloak all key frames of the active layer, or tell why not."""
    document = Krita.instance().activeDocument()
    node = document.activeNode() if document else None
    if document is None:
        cloaks.told.emit(tr("refused no_document"))
        return
    times = key_frames(node)
    if not times:
        cloaks.told.emit(tr("This layer has no key frames."))
        return
    if cloaks.make_room(document, node):
        one = Frames(document, node, times, settings, cloaks)
        cloaks.add(one)
        cloaks.told.emit("")
        one.begin()


def key_frames(node):
    """The times of a paint layer's key frames; none where it is not animated."""
    if node is None or node.type() != "paintlayer" or not node.animated():
        return []
    return [time for time in range(LAST + 1) if node.hasKeyframeAtTime(time)]


class Frames(Cloak):
    """The key frames of one layer, one after the other. All are drawn towards the style that the first one got."""

    lasting = shows_difference = False

    def __init__(self, document, node, times, settings, cloaks):
        super().__init__(cloaks.session, document, node.name(), tree.id_of(node), dict(settings), cloaks)
        self._times = times
        self._next = 0
        self._reports = []
        self._digests = set()
        self._copy = document.clone()
        self._twin = tree.twin(node, self._copy)
        self._layer = self._twin.duplicate()
        self._layer.setName(tr("Glazed: {name}", name=self.name))
        self._layer.setVisible(True)
        self._layer.setLocked(False)
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._look_at_frame)

    @property
    def frame(self):
        """(Which frame this is, of how many)."""
        return min(self._next + 1, len(self._times)), len(self._times)

    def begin(self):
        if self._next == len(self._times):
            self._put_in()
            return
        self._copy.setCurrentTime(self._times[self._next])
        self._timer.start()
        self.changed.emit()

    def cancel(self):
        if self.job and self.job.open:
            super().cancel()
        else:
            self._end("discarded", tr("Cancelled."))

    def insert(self):
        """Fetch the frame's result into the new layer, which the copy holds at the frame's time."""
        if self.state == "finished":
            self._fetch(self._layer)

    def _look_at_frame(self):
        if not self._copy.tryBarrierLock():
            return
        self._copy.unlock()
        self._timer.stop()
        try:
            capture = canvas.Capture(canvas.look(self._copy, self._twin, False))
        except canvas.Refusal as refusal:
            self._skip(refusal)
            return
        if capture.digest in self._digests and canvas.differ(self._twin, self._layer, capture.subject):
            self._forward()  # one drawing that is shown at several times, and is cloaked at all of them by now
            return
        self._digests.add(capture.digest)
        self._submit(capture)
        self.changed.emit()

    def _skip(self, refusal):
        """A frame that cannot be cloaked stays as it is, if that is because there is hardly anything on it."""
        if refusal.code in ("empty", "too_small"):
            self._forward()
        else:
            self._end("failed", refused(refusal))

    def _forward(self):
        """On to the next frame, which an event later begins: many may be empty."""
        self._next += 1
        QtCore.QTimer.singleShot(0, self._begin_if_open)

    def _begin_if_open(self):
        if self.state in OPEN:
            self.begin()

    def _complete(self):
        try:
            self.insertion.layer()
        except GlazeError as error:
            self._end("failed", said(error))
            return
        self.opaque = self.opaque and self.insertion.opaque
        self.session.client.forget(self.job)
        self._reports.append(self.report)
        if "style" in self.report:
            self.settings["style"] = self.report["style"]
        self.state, self.job, self.insertion, self.capture = "running", None, None, None
        self._forward()

    def _put_in(self):
        """All frames are there: put the layer above its source, in one undo step. Its figures are the weakest one's."""
        if not self._reports:
            self._end("failed", tr("refused empty"))
            return
        source = tree.find(self.document, self.layer_id)
        if source is None:
            self._end("discarded", tr("The layer was deleted, so its cloak was dropped."))
            return
        self.report = min(self._reports, key=lambda one: one["at_opacity"]["100"]["targeted_shift"])
        active, layer = self.document.activeNode(), self._layer.duplicate()
        source.parentNode().addChildNode(layer, source)
        self._show(layer, source, [], active)
        self._close_copy()

    def _end(self, state, sentence):
        super()._end(state, sentence)
        self._close_copy()

    def _close_copy(self):
        self._timer.stop()
        if self._copy:
            self._layer = self._twin = None
            self._copy.close()
            self._copy = None

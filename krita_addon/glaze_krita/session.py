"""The add-on's conversation with the daemon, driven by Qt: it never waits, so painting never does."""

from contextlib import contextmanager

from glaze_plugin import launch
from glaze_plugin.client import Client
from glaze_plugin.errors import DaemonUnavailable
from glaze_plugin.messages import AskStatus, Status

from .qt import QtCore

STEP_MS = 100
"""ms between two steps while nothing happens on the socket."""
STATUS_SECONDS = 5.0
RETRY_SECONDS = 10.0


class Session(QtCore.QObject):
    """One connection for all of Krita. Nothing is started before `wake` or `submit`.

    changed: emitted when what `words`, `error` or `status` say has changed.
    """

    changed = QtCore.pyqtSignal()

    def __init__(self, parent=None):
        super().__init__(parent)
        self.status = None
        self.client = Client("Krita", start=False, ahead=256 << 10)
        self._reading = self._writing = None
        self._watched = -1
        self._busy = False
        self._shown = None
        self._since_status = self._since_error = 0.0
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(STEP_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    @property
    def state(self):
        """In a word, for the docker: "asleep", "searching", "ready" or "trouble"."""
        if self.client.link:
            return "trouble" if self.client.words else "ready"
        if self.client.error:
            return "asleep" if self.client.error.code == "not_running" else "trouble"
        return "searching"

    def wake(self):
        """From now on a daemon is started where none runs."""
        self.client.start = True
        if self.client.link is None:
            self.client.retry()
        self.step()

    @property
    def unusable(self):
        """Whether only a restart of the daemon can help."""
        return self.client.unusable or (self.status is not None and self.status.worker == "failing")

    def restart(self):
        """End the daemon, whatever it does, and start one of this version. No job is lost."""
        try:
            launch.kill_daemon()
        except DaemonUnavailable as error:
            self.client.error = error
        else:
            self.wake()

    def submit(self, kind, parts, settings, label, listener):
        return self.do(lambda: self.client.submit(kind, parts, settings, label, listener, keep=True))

    def do(self, what):
        """Call what tells the daemon something; that is started where none runs."""
        self.wake()
        with self._undisturbed():
            answer = what()
        self.step()
        return answer

    def ask_status(self):
        """Ask what the engine does and has, sooner than by itself."""
        self._since_status = STATUS_SECONDS

    def step(self):
        """Send and receive what can be now."""
        if self._busy:
            return
        with self._undisturbed():
            self.client.step()
        self._watch_socket()
        shown = (self.state, self.client.words, self.client.error, self.status)
        if shown != self._shown:
            self._shown = shown
            self.changed.emit()

    @contextmanager
    def _undisturbed(self):
        """No step within a step: Krita handles events while it converts the colours of what is sent or received."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before

    def close(self):
        self._timer.stop()
        self._unwatch()
        self.client.close()

    def _tick(self):
        self._since_status += STEP_MS / 1000
        self._since_error = self._since_error + STEP_MS / 1000 if self.client.error else 0.0
        if self.client.link is None:
            self.status = None
            self._since_status = STATUS_SECONDS
        elif self._since_status >= STATUS_SECONDS:
            self._since_status = 0.0
            self.client.ask(AskStatus(), Status, self._heard_status)
        if self._since_error >= RETRY_SECONDS and self.client.start:
            self._since_error = 0.0
            self.client.retry()
        self.step()

    def _heard_status(self, status):
        self.status = status

    def _watch_socket(self):
        """Notifiers for the present socket; each connection has another one."""
        number = self.client.fileno()
        if number != self._watched:
            self._unwatch()
            self._watched = number
            if number >= 0:
                kinds = QtCore.QSocketNotifier.Type
                self._reading = QtCore.QSocketNotifier(number, kinds.Read, self)
                self._writing = QtCore.QSocketNotifier(number, kinds.Write, self)
                self._reading.activated.connect(self._ready)
                self._writing.activated.connect(self._ready)
        if self._writing:
            self._writing.setEnabled(self.client.wants_write)

    def _unwatch(self):
        for notifier in (self._reading, self._writing):
            if notifier:
                notifier.setEnabled(False)
                notifier.deleteLater()
        self._reading = self._writing = None
        self._watched = -1

    def _ready(self, *_):
        self.step()

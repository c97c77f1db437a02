"""The docker: what the engine does, how to cloak, and the review of what came out."""

import krita
from krita import Krita

from .qt import Qt, QtCore, QtGui, QtWidgets
from .texts import tr

QUALITIES = (("preview", "Quick and weak"), ("standard", "Standard"), ("thorough", "Thorough and slow"))
PREVIEW_PX = 220
OPACITY_MS = 150
"""ms that the opacity slider must rest before the canvas is drawn again, which takes a while on large pictures."""
SETTINGS = "glaze"


def time_left(seconds):
    minutes, rest = divmod(round(seconds), 60)
    if minutes:
        return tr("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
    return tr("{seconds} s", seconds=rest)


class GlazeDocker(krita.DockWidget):
    """One per window. The session and the cloaks belong to the extension and are shared."""

    shared = None
    """(Session, Cloaks), set by the extension before the first docker is made."""

    def __init__(self):
        super().__init__()
        self.setWindowTitle("Glaze")
        self.session, self.cloaks = self.shared
        self._cloak = None
        self._build()
        self._load()
        self.session.changed.connect(self._show_session)
        self.cloaks.changed.connect(self._show_cloak)
        self.cloaks.told.connect(self.sentence.setText)
        self._opacity_timer = QtCore.QTimer(self)
        self._opacity_timer.setSingleShot(True)
        self._opacity_timer.setInterval(OPACITY_MS)
        self._opacity_timer.timeout.connect(self._set_opacity)
        self._show_session()
        self._show_cloak()

    # ---- building ------------------------------------------------------------------------------

    def _build(self):
        page = QtWidgets.QWidget(self)
        column = QtWidgets.QVBoxLayout(page)
        self.connection = self._label("glaze_connection")
        self.retry = self._button("glaze_retry", "Try again", self._retry)
        self.quality = QtWidgets.QComboBox()
        self.quality.setObjectName("glaze_quality")
        for value, text in QUALITIES:
            self.quality.addItem(tr(text), value)
        self.strength = self._slider("glaze_strength", 10, 100)
        self.layer = self._button("glaze_layer_button", "Glaze layer", lambda: self.glaze(False))
        self.selection = self._button("glaze_selection_button", "Glaze selection", lambda: self.glaze(True))
        self.bar = QtWidgets.QProgressBar()
        self.bar.setObjectName("glaze_progress")
        self.stage = self._label("glaze_stage")
        self.cancel = self._button("glaze_cancel", "Cancel", lambda: self._cloak.cancel())
        self.preview = self._label("glaze_preview")
        self.preview.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.insert = self._button("glaze_insert", "Insert", lambda: self._cloak.insert())
        self.sentence = self._label("glaze_sentence")
        self.review = self._build_review()
        self.history = QtWidgets.QListWidget()
        self.history.setObjectName("glaze_history")
        self.history.setMaximumHeight(96)

        form = QtWidgets.QFormLayout()
        form.addRow(tr("Quality"), self.quality)
        form.addRow(tr("Strength"), self.strength)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self.layer)
        buttons.addWidget(self.selection)
        for part in (self.connection, self.retry, form, buttons, self.bar, self.stage, self.cancel, self.preview):
            column.addLayout(part) if isinstance(part, QtWidgets.QLayout) else column.addWidget(part)
        for part in (self.insert, self.review, self.sentence, QtWidgets.QLabel(tr("History")), self.history):
            column.addWidget(part)
        column.addStretch(1)
        scroll = QtWidgets.QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setWidget(page)
        self.setWidget(scroll)

    def _build_review(self):
        box = QtWidgets.QGroupBox()
        box.setObjectName("glaze_review")
        column = QtWidgets.QVBoxLayout(box)
        self.hold = QtWidgets.QPushButton(tr("Before (hold)"))
        self.hold.setObjectName("glaze_hold")
        self.hold.pressed.connect(lambda: self._cloak and self._cloak.show_before(True))
        self.hold.released.connect(lambda: self._cloak and self._cloak.show_before(self.before.isChecked()))
        self.before = QtWidgets.QCheckBox(tr("Show before"))
        self.before.setObjectName("glaze_before")
        self.before.toggled.connect(lambda on: self._cloak and self._cloak.show_before(on))
        self.opacity = self._slider("glaze_opacity", 0, 100)
        self.opacity.valueChanged.connect(self._opacity_moved)
        self.figures = self._label("glaze_figures")
        self.difference = self._button("glaze_difference", "Difference ×8", self._show_difference)
        self.keep = self._button("glaze_keep", "Keep", lambda: self._cloak.keep())
        self.discard = self._button("glaze_discard", "Discard", lambda: self._cloak.discard())
        ends = QtWidgets.QHBoxLayout()
        ends.addWidget(self.keep)
        ends.addWidget(self.discard)
        for part in (self.hold, self.before, QtWidgets.QLabel(tr("Opacity of the cloak")), self.opacity):
            column.addWidget(part)
        column.addWidget(self.figures)
        column.addWidget(self.difference)
        column.addLayout(ends)
        return box

    def _label(self, name):
        label = QtWidgets.QLabel()
        label.setObjectName(name)
        label.setWordWrap(True)
        return label

    def _button(self, name, text, clicked):
        button = QtWidgets.QPushButton(tr(text))
        button.setObjectName(name)
        button.clicked.connect(lambda *_: clicked())
        return button

    def _slider(self, name, low, high):
        slider = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        slider.setObjectName(name)
        slider.setRange(low, high)
        slider.setValue(high)
        return slider

    # ---- settings ------------------------------------------------------------------------------

    def _load(self):
        read = Krita.instance().readSetting
        self.quality.setCurrentIndex(max(0, self.quality.findData(read(SETTINGS, "quality", "standard"))))
        strength = read(SETTINGS, "strength", "100")
        self.strength.setValue(int(strength) if strength.isdecimal() else 100)

    def settings(self):
        """What the artist has chosen, as a job's settings; remembered for the next time."""
        quality, strength = self.quality.currentData(), self.strength.value()
        Krita.instance().writeSetting(SETTINGS, "quality", quality)
        Krita.instance().writeSetting(SETTINGS, "strength", str(strength))
        return {"quality": quality, "strength": strength / 100, "want_review": True}

    # ---- what the artist does ------------------------------------------------------------------

    def glaze(self, selected):
        self.setVisible(True)
        self.cloaks.glaze(selected, self.settings())

    def canvasChanged(self, canvas):
        """Called by Krita when another document is shown."""
        if hasattr(self, "session"):
            self._show_cloak()

    def _retry(self):
        self.session.wake()

    def _opacity_moved(self):
        self._show_figures()
        self._opacity_timer.start()

    def _set_opacity(self):
        if self._cloak:
            self._cloak.set_opacity(self.opacity.value())

    def _show_difference(self):
        if self._cloak:
            self._cloak.get_difference(self._show_picture)

    def _show_picture(self, data):
        """The amplified difference in a window of its own: on the canvas it would be a step to undo."""
        window = QtWidgets.QDialog(self)
        window.setObjectName("glaze_difference_window")
        window.setWindowTitle(tr("Difference ×8"))
        label = QtWidgets.QLabel()
        label.setPixmap(QtGui.QPixmap.fromImage(QtGui.QImage.fromData(data)))
        scroll = QtWidgets.QScrollArea()
        scroll.setWidget(label)
        QtWidgets.QVBoxLayout(window).addWidget(scroll)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.resize(720, 560)
        window.show()

    # ---- showing -------------------------------------------------------------------------------

    def _show_session(self):
        state, client = self.session.state, self.session.client
        if state == "asleep":
            text = tr("The engine sleeps; the first picture wakes it.")
        elif state == "searching":
            text = client.words or tr("Looking for the engine …")
        elif state == "trouble":
            text = client.words or str(client.error)
        else:
            text = self._engine_words()
        self.connection.setText(text)
        self.retry.setVisible(state == "trouble")

    def _engine_words(self):
        status = self.session.status
        if status is None:
            return tr("Connected")
        return {
            "ready": tr("Ready on {device}", device=status.device),
            "starting": tr("The engine is starting."),
            "resting": tr("The engine rests; the next picture wakes it."),
            "failing": tr("The engine does not start; `glaze doctor` says why."),
        }.get(status.worker, status.worker)

    def _show_cloak(self):
        document = Krita.instance().activeDocument()
        cloak = self.cloaks.current(document)
        if cloak is not self._cloak:
            self._cloak = cloak
            self.before.setChecked(False)
            self.opacity.setValue(100)
            self.preview.clear()
        running = bool(cloak) and cloak.state in ("running", "inserting")
        for part in (self.bar, self.stage, self.cancel):
            part.setVisible(running)
        self.preview.setVisible(running and cloak.preview is not None)
        self.insert.setVisible(bool(cloak) and cloak.state == "finished")
        self.review.setVisible(bool(cloak) and cloak.state == "review")
        if running:
            self._show_progress(cloak)
        if cloak and cloak.state == "review":
            self.review.setTitle(cloak.name)
            self._show_figures()
        self._show_history(document)

    def _show_progress(self, cloak):
        progress = cloak.job.progress
        if cloak.state == "inserting":
            stage = tr("stage inserting")
        else:
            stage = tr(f"stage {progress.stage}") if progress else tr("stage sending")
        if progress and progress.seconds_left is not None and cloak.state == "running":
            stage = tr("{stage}, about {time} left", stage=stage, time=time_left(progress.seconds_left))
        self.stage.setText(stage)
        self.bar.setRange(0, progress.steps if progress else 0)
        self.bar.setValue(progress.step if progress else 0)
        if cloak.preview:
            self._show_preview(cloak.preview)

    def _show_preview(self, preview):
        layout = preview.raster
        image = QtGui.QImage(
            bytes(preview.payload), layout.width, layout.height, layout.row_bytes, QtGui.QImage.Format.Format_RGB888
        )
        small = QtCore.QSize(PREVIEW_PX, PREVIEW_PX)
        smooth = Qt.TransformationMode.SmoothTransformation
        self.preview.setPixmap(QtGui.QPixmap.fromImage(image).scaled(small, Qt.AspectRatioMode.KeepAspectRatio, smooth))

    def _show_figures(self):
        """What was measured at the opacity that is nearest to the slider's."""
        if not self._cloak or self._cloak.state != "review":
            return
        report = self._cloak.report
        measured = {int(percent): figures for percent, figures in report["at_opacity"].items()}
        noise = report["noise_control"]["targeted_shift"].values()
        percent = min(measured, key=lambda one: abs(one - self.opacity.value()))
        figures = measured[percent]
        shown = [
            tr(
                "Shift {shift:.2f}, measured at {percent} % opacity. Noise as visible as all of it: {noise:.2f}.",
                shift=figures["targeted_shift"],
                percent=percent,
                noise=sum(noise) / len(noise),
            ),
            tr(
                "LPIPS {alex:.3f}, largest change {change:.0f} of 255.",
                alex=figures["lpips"],
                change=255 * figures["max_change"],
            ),
            tr("This is a measurement, not a guarantee: cloaks of this kind have been broken."),
        ]
        self.figures.setText("\n".join([*shown, *report["notes"]]))

    def _show_history(self, document):
        entries = [f"{cloak.name}: {tr('state ' + cloak.state)}" for cloak in self.cloaks.of(document)]
        if entries != [self.history.item(row).text() for row in range(self.history.count())]:
            self.history.clear()
            self.history.addItems(entries)

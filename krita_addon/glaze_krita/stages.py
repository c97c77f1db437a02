"""What a job or a download does at the moment, in words."""

from .texts import tr


def stage_words(progress, frame=(1, 1)):
    """What a job or a download does, with the time left where that is known. frame: its number, and how many."""
    if progress is None:
        return tr("stage sending")
    stage = tr(f"stage {progress.stage}")
    number, count = frame
    if count > 1:
        stage = tr("Frame {number} of {count}: {stage}", number=number, count=count, stage=stage)
    if progress.seconds_left is None:
        return stage
    return tr("{stage}, about {time} left", stage=stage, time=_time(progress.seconds_left))


def _time(seconds):
    minutes, rest = divmod(round(seconds), 60)
    if minutes:
        return tr("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
    return tr("{seconds} s", seconds=rest)

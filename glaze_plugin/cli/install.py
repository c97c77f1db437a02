"""`glaze install krita`: puts the add-on into every Krita of this user, takes it away, or looks whether it is well."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from glaze_plugin import __version__, install, places
from glaze_plugin.cli.output import complain, console
from glaze_plugin.connection import write_json
from glaze_plugin.errors import BadInput, DaemonUnavailable
from glaze_plugin.install import FLATPAK, PERMISSION, Krita
from glaze_plugin.launch import launch_file, start_command


def krita(check: bool, uninstall: bool) -> int:
    """Print what was done or found. Returns 2 where a Krita's files resist, 1 where `check` finds a fault, else 0.

    Raises BadInput where there is no Krita, or for both options at once.
    """
    if check and uninstall:
        raise BadInput("options", "--check and --uninstall exclude each other.")
    found = install.kritas()
    if not found:
        raise BadInput("no_krita", "No Krita was found on this computer.", "Start Krita once and try this again.")
    codes = [_try(_uninstall if uninstall else _check if check else _install, one) for one in found]
    if uninstall:
        return max(codes)
    if not check:
        _tell_krita_where_the_daemon_is()
    for note in _notes(found):
        _say(note)
    return max(codes)


def _try(what: Callable[[Krita], int], one: Krita) -> int:
    """One Krita's trouble must not keep the others from their add-on."""
    try:
        return what(one)
    except BadInput as error:
        complain(error, one.name)
        return error.exit_code


def _install(one: Krita) -> int:
    install.put(one, install.addon())
    _say(f"{one.name}: Glaze {__version__} is installed in {one.resources}. {_restart()}")
    return 0


def _uninstall(one: Krita) -> int:
    if install.take_away(one):
        _say(f"{one.name}: Glaze is removed. {_restart()}")
    else:
        _say(f"{one.name}: there was no Glaze.")
    return 0


def _check(one: Krita) -> int:
    faults = install.faults(one, install.addon())
    if faults:
        _say(f"{one.name}: {' '.join(faults)} `glaze install krita` mends that.")
    else:
        _say(f"{one.name}: Glaze {__version__} is installed and switched on; Krita will load it.")
    return int(bool(faults))


def _restart() -> str:
    return {
        True: "Krita is running: close it and start it again.",
        False: "",
        None: "If Krita is running, start it again.",
    }[install.runs()]


def _tell_krita_where_the_daemon_is() -> None:
    """Write down how the daemon is started, which Krita's own Python cannot find out."""
    try:
        command = start_command()
        places.private(places.state())
        write_json(launch_file(), {"command": command})
    except DaemonUnavailable:
        return  # `_notes` says so
    except OSError as error:
        raise BadInput("unwritable", f"{launch_file()} cannot be written: {error.strerror}.") from error


def _notes(found: list[Krita]) -> Iterator[str]:
    """What Krita needs beside the add-on."""
    try:
        start_command()
        if not launch_file().exists():
            yield "Krita does not know yet how to start the Glaze daemon: `glaze install krita` tells it."
    except DaemonUnavailable as error:
        yield str(error)
    for one in found:
        if one.sandboxed:
            yield f"{one.name}: its sandbox cannot start the Glaze daemon; `glaze daemon start` does."
        if install.shut_in(one):
            command = f"flatpak override --user --filesystem={PERMISSION}:create {FLATPAK}"
            yield f"{one.name}: its sandbox hides the Glaze daemon. This lets it through: {command}"


def _say(sentence: str) -> None:
    console.print(sentence.strip(), markup=False, soft_wrap=True)

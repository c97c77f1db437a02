"""`glaze install`: puts an add-on into every Krita or GIMP of this user, takes it away, or looks whether it is well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from glaze_plugin import __version__, places
from glaze_plugin.cli.output import complain, console
from glaze_plugin.errors import BadInput, DaemonUnavailable
from glaze_plugin.install.common import PERMISSION, App, Host
from glaze_plugin.launch import launch_file, start_command


def install(host: Host, check: bool, uninstall: bool) -> int:
    """Print what was done or found. Returns 2 where a program's files resist, 1 where `check` finds a fault, else 0.

    Raises BadInput where there is no such program, or for both options at once.
    """
    if check and uninstall:
        raise BadInput("options", "--check and --uninstall exclude each other.")
    found = host.find()
    if not found:
        raise host.absent()
    what = _uninstall if uninstall else _check if check else _install
    codes = [_try(what, host, one) for one in found]
    if uninstall:
        return max(codes)
    if not check:
        _tell_the_addon_where_the_daemon_is()
    for note in _notes(host, found):
        _say(note)
    return max(codes)


def _try(what: Callable[[Host, App], int], host: Host, one: App) -> int:
    """One program's trouble must not keep the others from their add-on."""
    try:
        return what(host, one)
    except BadInput as error:
        complain(error, one.name)
        return error.exit_code


def _install(host: Host, one: App) -> int:
    one.put(host.addon())
    _say(f"{one.name}: Glaze {__version__} is installed in {one.folder}. {_restart(host)}")
    if obstacle := one.obstacle():
        _say(f"{one.name}: {obstacle}")
    return 0


def _uninstall(host: Host, one: App) -> int:
    if one.take_away():
        _say(f"{one.name}: Glaze is removed. {_restart(host)}")
    else:
        _say(f"{one.name}: there was no Glaze.")
    return 0


def _check(host: Host, one: App) -> int:
    faults, obstacle = one.faults(host.addon()), one.obstacle()
    if faults:
        _say(f"{one.name}: {' '.join(faults)} `glaze install {host.command}` mends that.")
    if obstacle:
        _say(f"{one.name}: {obstacle}")
    if not faults and not obstacle:
        _say(f"{one.name}: Glaze {__version__} is installed and switched on; {host.name} will load it.")
    return int(bool(faults or obstacle))


def _restart(host: Host) -> str:
    return {
        True: f"{host.name} is running: close it and start it again.",
        False: "",
        None: f"If {host.name} is running, start it again.",
    }[host.runs()]


def _tell_the_addon_where_the_daemon_is() -> None:
    """Write down how the daemon is started, which the programs' own Python cannot find out."""
    try:
        command = start_command()
        places.private(places.state())
        places.write_json(launch_file(), {"command": command})
    except DaemonUnavailable:
        return  # `_notes` says so
    except OSError as error:
        raise BadInput("unwritable", f"{launch_file()} cannot be written: {error.strerror}.") from error


def _notes(host: Host, found: Sequence[App]) -> Iterator[str]:
    """What the program needs beside the add-on."""
    try:
        start_command()
        if not launch_file().exists():
            told = f"`glaze install {host.command}` tells it."
            yield f"{host.name} does not know yet how to start the Glaze daemon: {told}"
    except DaemonUnavailable as error:
        yield str(error)
    if host.is_a_flatpak() or any(one.sandboxed for one in found):
        name = f"{host.name} (Flatpak)"
        yield f"{name}: its sandbox cannot start the Glaze daemon; `glaze daemon start` does."
        if host.is_shut_in():
            command = f"flatpak override --user --filesystem={PERMISSION}:create {host.flatpak}"
            yield f"{name}: its sandbox hides the Glaze daemon. This lets it through: {command}"


def _say(sentence: str) -> None:
    console.print(sentence.strip(), soft_wrap=True)

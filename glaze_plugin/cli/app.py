"""Every command of `glaze` and its options; exit codes are decided here. What the commands do: `pictures`, `service`,
`models`.

0 done, 1 a fault, ours or found by `doctor` or `--check`, 2 bad input, 3 no daemon, 130 Ctrl-C.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from glaze_plugin import __version__
from glaze_plugin.cli import doctor, evaluate, folders, install, models, pictures, service, style
from glaze_plugin.cli.output import complain
from glaze_plugin.errors import BadInput, GlazeError
from glaze_plugin.install import gimp, krita

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
daemon = typer.Typer(no_args_is_help=True, help="The background service that computes, shared by all programs.")
app.add_typer(daemon, name="daemon")
install_ = typer.Typer(no_args_is_help=True, help="Put Glaze into painting programs.")
app.add_typer(install_, name="install")
models_ = typer.Typer(no_args_is_help=True, help="Encoders of image generators: fetch them, look after them.")
app.add_typer(models_, name="models")
style_ = typer.Typer(no_args_is_help=True, help="The style towards which all your pictures are drawn.")
app.add_typer(style_, name="style")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Style = Annotated[
    str, typer.Option(help="Target style: auto for the one that is kept, or a name from `glaze style list`.")
]
Painter = Annotated[str, typer.Option(help="Who paints the target: auto, embedded, or a diffusion model of yours.")]
Encoder = Annotated[Optional[list[str]], typer.Option(help="Encoder to cloak against, or auto; may be repeated.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Encoders, as `glaze models list` names them.")]
SomeNames = Annotated[Optional[list[str]], typer.Argument(metavar="[NAME...]", help="Encoders; none means all.")]
Host = Annotated[str, typer.Option(help="Numeric address to listen on; any but this machine's own is unsafe.")]
Clean = Annotated[Path, typer.Argument(help="The picture before the cloak.")]
Cloaked = Annotated[Path, typer.Argument(help="The same picture, cloaked.")]
Target = Annotated[Optional[Path], typer.Option(help="The target that `protect --save-target` wrote.")]


def _version(asked: bool) -> None:
    if asked:
        print(f"glaze {__version__}")
        raise typer.Exit


@app.callback()
def glaze(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Cloak pictures against style mimicry, on this computer alone."""


@app.command()
def protect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...|FOLDER", help="Pictures to cloak.")],
    out: Annotated[Optional[str], typer.Option("-o", "--out", metavar="OUT|DIR", help="Where to.")] = None,
    strength: Annotated[float, typer.Option(help="Size of the cloak, 0 to 1; 1 uses the whole visual budget.")] = 1.0,
    quality: Annotated[str, typer.Option(help="preview, standard or thorough.")] = "standard",
    style: Style = "auto",
    painter: Painter = "auto",
    encoder: Encoder = None,
    mask: Annotated[Optional[Path], typer.Option(help="Picture of the same size: white is cloaked.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    save_target: Annotated[Optional[Path], typer.Option(help="Also write the style-transferred target.")] = None,
    metadata: Annotated[
        str, typer.Option(help="What the file tells beside its pixels: safe, keep-all or none.")
    ] = "safe",
    no_mining: Annotated[
        bool, typer.Option("--no-mining", help="Declare in the file that data mining and training are prohibited.")
    ] = False,
    any_size: Annotated[
        bool, typer.Option("--any-size", help="Let files grow as they need, beyond 1.6 times their size too.")
    ] = False,
    in_place: Annotated[bool, typer.Option("--in-place", help="Overwrite the source files.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on with what comes into the folder.")] = False,
    json: Json = False,
) -> None:
    """Cloak pictures, or all that are below a folder; the sources stay as they are."""
    settings = {
        "strength": strength,
        "quality": quality,
        "style": style,
        "painter": painter,
        "encoders": encoder or [],
        "seed": seed,
        "want_target": save_target is not None,
        "metadata": metadata,
        "no_mining": no_mining,
        "any_size": any_size,
    }
    if len(files) == 1 and files[0].is_dir():
        there = folders.check(files[0], out, in_place, save_target)
        code = folders.protect(files[0], there, mask, settings, json, watch)
    elif watch:
        raise BadInput("options", "--watch goes with one folder.")
    else:
        code = pictures.protect(pictures.plan(files, out, in_place, mask, save_target), settings, json)
    if code:
        raise typer.Exit(code)


@app.command()
def measure(
    clean: Clean,
    cloaked: Cloaked,
    target: Target = None,
    style: Style = "auto",
    painter: Painter = "auto",
    encoder: Encoder = None,
    json: Json = False,
) -> None:
    """Measure how far a cloak moves a picture and how visible it is."""
    pictures.measure(clean, cloaked, target, {"style": style, "painter": painter, "encoders": encoder or []}, json)


@app.command()
def review(
    clean: Clean,
    cloaked: Cloaked,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="page.html|sheet.png", help="Where to.")],
    target: Target = None,
    style: Style = "auto",
    painter: Painter = "auto",
    encoder: Encoder = None,
) -> None:
    """Show before, after, difference ×8 and the figures, as a page or a picture."""
    pictures.review(clean, cloaked, target, {"style": style, "painter": painter, "encoders": encoder or []}, out)


@app.command("evaluate")
def evaluate_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="At least four pictures of one artist.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="Where the report and its pictures go.")],
    generator: Annotated[str, typer.Option(help="Who imitates: a diffusion model of yours, by name or folder.")],
    share: Annotated[Optional[list[int]], typer.Option(help="% of the pictures to cloak; may be repeated.")] = None,
    way: Annotated[Optional[list[str]], typer.Option(help="How to fine-tune, lora or full; may be repeated.")] = None,
    seeds: Annotated[Optional[int], typer.Option(help="Runs of each kind, for the intervals.")] = None,
    steps: Annotated[Optional[int], typer.Option(help="Steps of fine-tuning.")] = None,
    samples: Annotated[Optional[int], typer.Option(help="Pictures that each run makes.")] = None,
    others: Annotated[
        Optional[Path],
        typer.Option(help="Other artists' pictures, a subfolder each: a control, and what yours are told from."),
    ] = None,
    counter: Annotated[
        Optional[list[str]],
        typer.Option(help="What the mimic does first, to clean pictures too, like jpeg or impress; may be repeated."),
    ] = None,
    style: Style = "auto",
    quick: Annotated[
        bool, typer.Option("--quick", help="Few steps, two seeds, and LoRA unless another way is named.")
    ] = False,
    json: Json = False,
) -> None:
    """Fine-tune a generator on clean and cloaked pictures and see how well it imitates; goes on where it stopped."""
    order: dict[str, Any] = {
        "out": str(out.resolve()),
        "generator": generator,
        "shares": share or [],
        "ways": way or [],
        "seeds": seeds,
        "steps": steps,
        "samples": samples,
        "counters": counter or [],
        "style": style,
        "quick": quick,
    }
    evaluate.evaluate(folder, others, order, json)


@app.command()
def jobs(json: Json = False) -> None:
    """List the jobs that the daemon knows."""
    service.jobs(json)


@app.command()
def cancel(job: Annotated[str, typer.Argument(metavar="ID", help="The job, or the start of its id.")]) -> None:
    """Cancel a job."""
    service.cancel(job)


@style_.command("learn")
def style_learn(
    places: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of your pictures, or pictures.")],
    seed: Annotated[
        Optional[int], typer.Option(help="Same pictures and seed, same style; otherwise by chance.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure your own style over your pictures and choose a target that lies well away from it."""
    style.learn(places, seed, json)


@style_.command("show")
def style_show(json: Json = False) -> None:
    """Say which target style is kept."""
    style.show(json)


@style_.command("list")
def style_list(json: Json = False) -> None:
    """List all target styles and what they look like, and who can paint them."""
    style.list_all(json)


@style_.command("set")
def style_set(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `glaze style list`.")], json: Json = False
) -> None:
    """Choose the target style yourself."""
    style.choose(name, json)


@style_.command("reset")
def style_reset(json: Json = False) -> None:
    """Forget the target style; the next picture that you cloak chooses one."""
    style.reset(json)


@app.command("doctor")
def doctor_(json: Json = False) -> None:
    """Look for what keeps Glaze from working, and say what to do about it."""
    code = doctor.examine(json)
    if code:
        raise typer.Exit(code)


@install_.command("krita")
def install_krita(
    check: Annotated[bool, typer.Option("--check", help="Only look whether Krita will load it.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Take it away again.")] = False,
) -> None:
    """Put the add-on into every Krita of yours: the system's, AppImage, Flatpak."""
    code = install.install(krita.HOST, check, uninstall)
    if code:
        raise typer.Exit(code)


@install_.command("gimp")
def install_gimp(
    check: Annotated[bool, typer.Option("--check", help="Only look whether GIMP will load it.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Take it away again.")] = False,
) -> None:
    """Put the add-on into every GIMP 3 of yours that has been started once: the system's, AppImage, Flatpak, Snap."""
    code = install.install(gimp.HOST, check, uninstall)
    if code:
        raise typer.Exit(code)


@models_.command("list")
def models_list(json: Json = False) -> None:
    """List the encoders: which are here, and what fetching the others would mean."""
    models.show(json)


@models_.command("pull")
def models_pull(names: Names, json: Json = False) -> None:
    """Download encoders; what was interrupted goes on where it stopped. Afterwards no network is needed."""
    models.pull(names, json)


@models_.command("verify")
def models_verify(names: SomeNames = None, json: Json = False) -> None:
    """Compare the files of encoders with what was published."""
    code = models.verify(names or [], json)
    if code:
        raise typer.Exit(code)


@models_.command("remove")
def models_remove(names: Names) -> None:
    """Delete downloaded encoders."""
    models.remove(names)


@models_.command("path")
def models_path(name: Annotated[Optional[str], typer.Argument(help="An encoder.")] = None) -> None:
    """Print the folder of encoders, where you may put your own, or where one encoder lies."""
    models.path(name)


@daemon.command("run")
def daemon_run(host: Host = "127.0.0.1") -> None:
    """Run the daemon here, until Ctrl-C."""
    code = service.run(host)
    if code:
        raise typer.Exit(code)


@daemon.command("start")
def daemon_start() -> None:
    """Start the daemon in the background, unless it runs."""
    service.start()


@daemon.command("stop")
def daemon_stop() -> None:
    """Stop the daemon."""
    service.stop()


@daemon.command("restart")
def daemon_restart() -> None:
    """Stop the daemon, also one that hangs or is of another version, and start this one. No job is lost."""
    service.restart()


@daemon.command("unit")
def daemon_unit() -> None:
    """Print a systemd user unit that keeps the daemon running."""
    service.unit()


@daemon.command("status")
def daemon_status(json: Json = False) -> None:
    """Say whether the daemon runs and what it can do."""
    service.status(json)


def run() -> int:
    """Run the command line; every error becomes one sentence and its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be UTF-8
    try:
        code = _run()
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would fail once more as it ends
        complain(GlazeError("output", f"What Glaze says cannot be written: {error.strerror}."))
        return GlazeError.exit_code
    return code


def _run() -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(prog_name="glaze", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except GlazeError as error:
        complain(error)
        return error.exit_code
    except typer.Exit as done:
        return done.exit_code
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's own usage errors have one; anything else is a fault
            raise
        print(error.format_message(), file=sys.stderr)
        return 2

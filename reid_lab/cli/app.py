"""The application that all commands join: groups in the help, errors as sentences, exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from reid_lab.runtime.errors import ReidLabError

PROGRAM = "reid-lab"
RESUMED = ("demo", "train", "ablate")  # the commands whose work is kept when they are interrupted


class Commands(TyperGroup):
    """A group of commands whose errors are sentences on stderr, without tracebacks and boxes."""

    def invoke(self, ctx: typer.Context) -> int:  # type: ignore[override]
        """Run one command.

        Args:
            ctx: Typer's context, which holds the words of the command line.

        Returns:
            The exit status: 0 done, 1 a check that found errors or a question answered with no, 2 an error of the user,
            130 interrupted, 141 the reader of the output has gone.
        """
        try:
            status = super().invoke(ctx)
            print(end="", flush=True)  # unlike sys.stdout.flush(), this works where stdout is closed
            return status or 0
        except ReidLabError as error:
            return _say(str(error))
        except BrokenPipeError:  # the reader (``| head``) has seen enough
            _print_no_more()
            return 141  # what a shell reports for a program that a closed pipe ended
        except OSError as error:
            return _say(_sentence_of(error))
        except KeyboardInterrupt as interruption:  # training says itself how far it came
            goes_on = " and it goes on where it stopped" if ctx.invoked_subcommand in RESUMED else ""
            return _say(str(interruption) or f"interrupted. Start the same command again{goes_on}.", status=130)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands in groups, each command with its whole sentence."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            if not command.hidden:
                group = getattr(command, "rich_help_panel", None) or "Commands"
                groups.setdefault(group, []).append((name, " ".join((command.help or "").split("\n\n")[0].split())))
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows)


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Person re-identification to read and run.",
)


def command(group: str, example: str, to: typer.Typer = app, name: str | None = None) -> Callable[[Any], Any]:
    """Decorate a function that is a command: its docstring is the help, its parameters are the options.

    Args:
        group: The heading of the command in the list of all commands.
        example: What stands behind the program's name in the example that ends the help.
        to: The application, or a part of it.
        name: The command's name. Default: the function's.

    Returns:
        The decorator, which gives the function back as it is.
    """
    return to.command(name, rich_help_panel=group, epilog=f"\b\nExample:\n  {PROGRAM} {example}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words behind the program's name. Default: those that this process was started with. Without any
            word, the help is shown.

    Returns:
        The exit status, see ``Commands.invoke``.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 prints a question mark, not a traceback
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return app(words or ["--help"], prog_name=PROGRAM, standalone_mode=False) or 0
    except typer.TyperException as error:  # an unknown option, a value of the wrong kind
        context = getattr(error, "ctx", None)  # an option without its value has none
        page = context.command_path if context else " ".join([PROGRAM, *words[:1]])
        sentence = " ".join(error.format_message().replace("Value error, ", "").split())
        stop = "" if sentence.endswith((".", "?")) else "."
        return _say(f"{sentence}{stop} See {page} --help.")
    except OSError as error:  # the help could not be printed
        return _say(_sentence_of(error))


def _say(sentence: str, status: int = 2) -> int:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)
    return status


def _sentence_of(error: OSError) -> str:
    """What to say of an error of the operating system; it is raised again where no file is the reason."""
    if not _can_print():
        _print_no_more()
        return f"the output could not be printed: {error.strerror}. Print to another place."
    if error.filename is None:
        raise error
    return f"{error.filename} could not be used: {error.strerror}. Check that it exists and that you may use it."


def _can_print() -> bool:
    try:
        print(flush=True)  # a whole line: an empty text need not get as far as the device
    except OSError:
        return False
    return True


def _print_no_more() -> None:
    """Drop what waits to be printed, so that Python does not complain about it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

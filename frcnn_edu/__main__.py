"""The command line: ``frcnn-edu COMMAND``, or ``python -m frcnn_edu COMMAND``; ``--help`` lists the commands.

What they do is in `commands`. Only the module of the command that is given gets loaded, since torch takes seconds.
"""

import argparse
import difflib
import re
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import shtab

from frcnn_edu import __version__
from frcnn_edu.commands.messages import FAILED, SIGNALLED, complain

COMMANDS = {
    "lab": ("lab", "open the lessons in JupyterLab, in your own copies", "my_lessons"),
    "page": ("lab", "open a page to drop photographs on and see what is found", "--weights runs/bccd"),
    "train": ("detector", "train a detector on images with boxes", "--data data/bccd --out runs/bccd"),
    "evaluate": ("detector", "measure how good a trained detector is", "--data data/bccd --weights runs/bccd"),
    "predict": ("detector", "find objects in pictures of yours", "photo.jpg --weights runs/bccd --out found"),
    "look": ("detector", "report what a folder of images and boxes holds", "--data data/bccd --out look.png"),
    "download": ("detector", "fetch a data set to train on", "bccd"),
}
"""Every command: its module in `commands`, its line of help, and an example."""

COMPLETION = "--print-completion"

EXPECTED = (ValueError, TypeError, OSError, ArithmeticError, ImportError, RuntimeError, MemoryError)
"""What ends a command in one line; any other error is a fault of the program and shows its traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; an error that the user can mend is printed in one line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a name that the console cannot print gets question marks
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_plainly  # type: ignore[assignment]
        try:
            return options.run(options) or 0
        except KeyboardInterrupt as stop:
            complain(options.command, stop)
            return SIGNALLED + getattr(stop, "number", 2)
        except EXPECTED as error:
            complain(options.command, error)
            return FAILED


def _show_plainly(message: Warning | str, *_: object) -> None:
    print(f"note: {message}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the options."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help lists the options)\n")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command; ends the program if one is unknown or invalid."""
    parser = _Parser(
        prog="frcnn-edu", description="Faster R-CNN from scratch: a course and a detector.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    shtab.add_argument_to(parser, COMPLETION, help="print a script that completes these commands in a shell")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    everything = any(word.startswith(COMPLETION) for word in arguments)
    parsers = {}
    for name, (module, summary, example) in COMMANDS.items():
        epilog = f"for example: {parser.prog} {name} {example}"
        parsers[name] = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.", epilog=epilog)
        if everything or name in arguments:
            run, add_options = import_module(f"frcnn_edu.commands.{module}").COMMANDS[name]
            add_options(parsers[name])
            parsers[name].set_defaults(run=run)
            for action in parsers[name]._actions:
                if action.type is Path or action.dest == "images":
                    action.complete = shtab.FILE  # type: ignore[attr-defined]
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = re.findall(r"--[a-z-]+", parsers[options.command].format_help())
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        parsers[options.command].error(f"there is no option {unknown[0]}{hint}")
    return options


if __name__ == "__main__":
    sys.exit(main())

"""The command line: ``frcnn-edu COMMAND``, or ``python -m frcnn_edu COMMAND``; ``--help`` lists the commands.

What they do is in `commands`. Only the module of the given command is loaded, because torch takes seconds.
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
from frcnn_edu.commands.reporting import EXPECTED, FAILED, SIGNALLED, complain, show_plainly

COMMANDS = {
    "lab": ("lab", "open the lessons in JupyterLab, in copies of your own", "lab my_lessons"),
    "page": ("lab", "open a page to drop photographs on and see what is found", "page --weights runs/bccd"),
    "train": ("detector", "train a detector on images with boxes", "train --data data/bccd --out runs/bccd"),
    "evaluate": ("detector", "measure how good a detector is", "evaluate --data data/bccd --weights runs/bccd"),
    "predict": ("detector", "find objects in pictures", "predict photo.jpg --weights runs/bccd --out found"),
    "export": ("exporting", "write a detector as an ONNX file", "export --weights runs/bccd --out bccd.onnx"),
    "site": ("publishing", "write the course as pages that need no Python", "site --out build/site"),
    "look": ("detector", "report what a folder of images and boxes holds", "look --data data/bccd --out look.png"),
    "download": ("detector", "fetch a data set", "download bccd"),
}
"""Every command: the module of `commands` that holds it, its line of help, and an example."""

COMPLETION = "--print-completion"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; an error that the user can mend is printed in one line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a name that the console cannot print gets question marks
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    with warnings.catch_warnings():
        warnings.showwarning = show_plainly
        try:
            return options.run(options) or 0
        except KeyboardInterrupt as stop:
            complain(options.command, stop)
            return SIGNALLED + getattr(stop, "number", 2)
        except EXPECTED as error:
            complain(options.command, error)
            return FAILED


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the options."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help lists the options)\n")


def _parse(given: Sequence[str]) -> argparse.Namespace:
    """The options of a command; ends the program if one is unknown or invalid."""
    parser = _Parser(prog="frcnn-edu", description="Faster R-CNN from scratch: a course and a detector.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    shtab.add_argument_to(parser, COMPLETION, help="print a script that completes these commands in your shell")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    everything = any(word.startswith(COMPLETION) for word in given)
    parsers = {}
    for name, (module, summary, example) in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=f"{summary.capitalize()}.", epilog=f"for example: frcnn-edu {example}"
        )
        if everything or name in given:
            run, add_options = import_module(f"frcnn_edu.commands.{module}").COMMANDS[name]
            add_options(command)
            command.set_defaults(run=run)
        for action in command._actions:
            if action.type is Path or action.dest in ("images", "weights"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads it
        parsers[name] = command
    options, unknown = parser.parse_known_args(given)
    if unknown:
        known = re.findall(r"--[a-z-]+", parsers[options.command].format_help())
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        parsers[options.command].error(f"there is no option {unknown[0]}{hint}")
    return options


if __name__ == "__main__":
    sys.exit(main())

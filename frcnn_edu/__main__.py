"""The command line: ``frcnn-edu COMMAND``, or ``python -m frcnn_edu COMMAND``; ``--help`` lists the commands.

What they do is in `commands`, of which only the module of the command that is given gets loaded: torch takes seconds.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import shtab

from frcnn_edu import __version__

COMMANDS = {
    "lab": ("lab", "open the lessons in JupyterLab, in copies of your own"),
    "page": ("lab", "open a page to drop photographs on and see what is found"),
    "train": ("detector", "train a detector on images with boxes"),
    "evaluate": ("detector", "measure how good a trained detector is"),
    "predict": ("detector", "find objects in pictures of yours, and draw them"),
    "download": ("detector", "fetch a data set to train on"),
}
"""The commands by name: the module of `commands` that holds it, and what it does, for people who have never used it."""

COMPLETION = "--print-completion"
STOPPED = 130
"""The exit status of a run that Ctrl-C ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what the user can mend is said in a line, and the exit status is then 1."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser(given).parse_args(given)
    try:
        return options.run(options) or 0
    except (ValueError, TypeError, OSError, FloatingPointError, ImportError, RuntimeError) as error:
        print(f"frcnn_edu {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return STOPPED


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """A parser of all commands, with the options of those that are given."""
    parser = argparse.ArgumentParser(
        prog="frcnn-edu", description="Faster R-CNN from scratch: a course and a detector."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    shtab.add_argument_to(parser, COMPLETION, help="print a script that completes these commands in your shell")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    everything = any(word.startswith(COMPLETION) for word in given)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        if everything or name in given:
            run, add_options = import_module(f"frcnn_edu.commands.{module}").COMMANDS[name]
            add_options(command)
            command.set_defaults(run=run)
        for action in command._actions:
            if action.type is Path or action.dest == "images":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return parser


if __name__ == "__main__":
    sys.exit(main())

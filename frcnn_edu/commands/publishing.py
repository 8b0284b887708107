"""The command that writes the course as pages: `site`."""

import argparse
from pathlib import Path


def _site_options(parser: argparse.ArgumentParser) -> None:
    where = "an empty folder, or one with an earlier site (default: %(default)s)"
    parser.add_argument("--out", type=Path, default=Path("build/site"), metavar="FOLDER", help=where)


def _site(options: argparse.Namespace) -> None:
    try:
        from frcnn_edu.site.exporter import write_site
    except ModuleNotFoundError as error:
        raise ImportError(f'{error.name} is not installed: pip install "frcnn-edu[site]"') from error

    write_site(options.out)
    files = [path for path in options.out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"{options.out}: {len(files)} files, {size:.1f} MB; open {options.out / 'index.html'}, or serve the folder:")
    print(f"python -m http.server --directory {options.out}")


COMMANDS = {"site": (_site, _site_options)}
"""What runs a command, and what adds its options to a parser."""

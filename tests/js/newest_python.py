"""What the newest Python says of the course, with the standard library and shtab alone; every warning is an error.

It compiles all Python that there is, lessons included, and imports the modules that need no other package.
"""

import json
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

ROOT = Path("/checkout")
FOLDERS = ("benchmarks", "frcnn_edu", "notebooks", "tests")


def sources() -> Iterator[tuple[str, str]]:
    """The name and text of every script and of every cell of code, lines for IPython left out."""
    for path in (path for folder in FOLDERS for path in ROOT.joinpath(folder).rglob("*")):
        if path.suffix == ".py":
            yield str(path), path.read_text()
        if path.suffix == ".ipynb":
            for cell in json.loads(path.read_text())["cells"]:
                if cell["cell_type"] == "code":
                    yield str(path), "".join(line for line in cell["source"] if not line.startswith(("%", "!")))


def imported() -> Iterator[str]:
    """The modules of the package that this Python could import."""
    for path in ROOT.joinpath("frcnn_edu").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        try:
            import_module(name.removesuffix(".__init__"))
        except ModuleNotFoundError as error:
            if error.name.startswith("frcnn_edu"):
                raise
        else:
            yield name


sys.path[:0] = [str(ROOT), "/packages"]
sys.dont_write_bytecode = True
warnings.simplefilter("error")
compiled = [compile(text, name, "exec") for name, text in sources()]
print(sys.version.split()[0], len(compiled), *imported())

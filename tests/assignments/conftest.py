"""The modules of the course's folder, which is no package, can be imported."""

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parents[2] / "notebooks" / "assignments"):
    sys.path.insert(0, str(folder))

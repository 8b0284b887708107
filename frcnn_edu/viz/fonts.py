"""Fonts: class names and file names in any script, drawn as they are written.

matplotlib takes text between dollar signs for a formula and draws in one font, which has no Chinese, Korean or Thai.
"""

import warnings
from functools import cache
from typing import Any

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

PLACEHOLDERS = "Last Resort"
"""A font that comes with matplotlib, with a box for every character there is."""


def literal(text: str) -> dict[str, Any]:
    """Arguments of a matplotlib text that show `text` as it is: `$` is a character, and fonts are found for its script.

    Characters that no installed font has become "?", and a warning says so once.
    """
    families = {character: _family_with(character) for character in text if not _is_usual(character)}
    if None in families.values():
        _warn_of_missing()
        text = "".join("?" if families.get(character, "") is None else character for character in text)
    others = dict.fromkeys(family for family in families.values() if family)
    return {"text": text, "fontfamily": [*font_manager.FontProperties().get_family(), *others], "parse_math": False}


def _is_usual(character: str) -> bool:
    return character == "\n" or ord(character) in _characters(font_manager.findfont(font_manager.FontProperties()))


@cache
def _family_with(character: str) -> str | None:
    """An installed font that has the character; None if there is none, or nothing to see of it."""
    if not character.isprintable():
        return None
    fonts = font_manager.fontManager.ttflist
    upright = [entry for entry in fonts if entry.style == "normal" and not entry.name.startswith(PLACEHOLDERS)]
    upright.sort(key=lambda entry: (entry.weight not in (400, "normal", "regular"), entry.name))
    return next((entry.name for entry in upright if ord(character) in _characters(entry.fname)), None)


@cache
def _characters(path: str) -> frozenset[int]:
    """The characters of a font file; none for a file that matplotlib cannot draw with, such as coloured emoji."""
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@cache
def _warn_of_missing() -> None:
    warnings.warn("names hold characters that no installed font has: they are drawn as '?'", stacklevel=3)

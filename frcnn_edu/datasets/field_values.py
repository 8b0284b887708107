"""Field values: what a number, an id, a flag or a text file means, whichever tool wrote it.

One tool writes 1, the next 1.0, "1", true or "yes". Each function reads every spelling of one kind of value and returns
None for anything else, which the caller then reports by name.
"""

import codecs
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import cast

NO = ("", "false", "no", "n", "f", "none", "null", "unspecified")
YES = ("true", "yes", "y", "t")

WHOLE_NUMBER = re.compile(r"\s*(0|-?[1-9]\d*)(\.0+)?\s*")
"""The spellings of a whole number as text; 007 is not among them, because it may be a name."""

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "ascii": "utf-8", "us-ascii": "utf-8"}
"""Encodings that tools declare although they write characters of a larger one."""


def numbers(values: Iterable[object]) -> tuple[float, ...] | None:
    """All values as numbers; None if one of them is not."""
    found = tuple(map(number, values))
    return None if None in found else cast(tuple[float, ...], found)


def number(value: object) -> float | None:
    """A finite number, or text that spells one; None for anything else, booleans included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def identifier(value: object) -> int | str | None:
    """An id: 1, 1.0 and "1" are the same one, other text stands for itself; None for what cannot be an id."""
    if isinstance(value, str):
        spelled = WHOLE_NUMBER.fullmatch(value)
        return int(spelled[1]) if spelled else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def flag(value: object) -> bool | None:
    """Whether a flag such as ``difficult`` or ``iscrowd`` is set; None for what is neither yes nor no."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if (as_number := number(value)) is not None:
        return {0.0: False, 1.0: True}.get(as_number)
    word = value.strip().lower() if isinstance(value, str) else None
    return False if word in NO else True if word in YES else None


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 or 32 where its first bytes say so; ValueError names any other."""
    return decode(path.read_bytes(), path)


def decode(data: bytes, path: Path, declared: str = "utf-8") -> str:
    """Bytes of the file `path` as text; `declared` is the encoding that the file claims to be in.

    Raises ValueError that names the file where the bytes are not in that encoding, or nobody knows it.
    """
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), None)
    if encoding is None and b"\0" in data[:2]:
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    if encoding is None:  # a file that claims UTF-16 and has neither mark nor zero bytes was saved as UTF-8
        encoding = "utf-8" if declared.lower().startswith("utf-16") else SUPERSETS.get(declared.lower(), declared)
    try:
        return data.decode(encoding)
    except LookupError:
        raise ValueError(f"{path} declares the encoding {declared!r}, which is unknown; save it as UTF-8") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not {encoding.upper()} text (byte {error.start}); save it as UTF-8") from None

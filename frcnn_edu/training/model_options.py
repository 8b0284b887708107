"""Model options: what may be given to a builder by name, and of which type, checked before anything is built.

The types are those of `Config` and of the builder's own parameters.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from frcnn_edu.config import Config

NOT_OPTIONS = ("num_classes", "options", "return")
"""Type hints of a builder that are no options."""


def check_options(options: Mapping[str, object], builder: Callable) -> None:
    """Raises ValueError for an option that neither `Config` nor the builder has, or a value of another type."""
    known = get_type_hints(Config) | get_type_hints(builder)
    known = {name: hint for name, hint in known.items() if name not in NOT_OPTIONS}
    for name, value in options.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
            raise ValueError(f"the model has no option {name!r}; {hint}")
        if not _fits(value, known[name]):
            raise ValueError(f"the option {name} must be {_in_words(known[name])}, got {value!r}")


def _fits(value: object, hint: Any) -> bool:
    """Whether a value read from JSON has the type of a hint; a whole number is a float, too, and no number a bool."""
    if get_origin(hint) is Sequence:
        return isinstance(value, list | tuple) and len(value) > 0 and all(_fits(one, *get_args(hint)) for one in value)
    if get_args(hint):
        return any(_fits(value, one) for one in get_args(hint))
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _in_words(hint: Any) -> str:
    if get_origin(hint) is Sequence:
        return f"a list, each {_in_words(*get_args(hint))}"
    if get_args(hint):
        return " or ".join(_in_words(one) for one in get_args(hint))
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "null"}
    return words[hint]

"""Answers to the exercises, written by hand as learners write them; nothing here knows how the checks work.

Each module has right answers, RIGHT[exercise], a tuple of functions, and wrong ones, WRONG[exercise], a dictionary of
{case: (function, words that the diagnosis must contain)}.
"""

import pkgutil
from importlib import import_module

_MODULES = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]

RIGHT = {name: answers for module in _MODULES for name, answers in module.RIGHT.items()}
WRONG = {name: answers for module in _MODULES for name, answers in module.WRONG.items()}

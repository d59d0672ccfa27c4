"""The catalogue: the entry of every code, collected from ``tracker.codes`` and the modules that raise them.

A code is a name of one of these modules. So a new one is in the catalogue by being there.
"""

from __future__ import annotations

from types import ModuleType

from tracker import codes
from tracker.findings import Code, codes_in
from tracker.judging.findings import (
    between,
    content,
    copies,
    ending,
    of_log,
    of_records,
    overlaps,
    runs,
    undelivered,
)

__all__ = ["CATALOGUE", "CODES", "MODULES"]

MODULES: tuple[ModuleType, ...] = (
    codes,
    copies,
    runs,
    ending,
    between,
    content,
    overlaps,
    of_log,
    of_records,
    undelivered,
)
"""The modules that hold entries."""
_LETTERS = "DSTXCLR"


def _collected() -> dict[str, Code]:
    """Code -> its entry, by letter and number."""
    found: dict[str, Code] = {}
    for module in MODULES:
        found |= codes_in(vars(module))
    return {code: found[code] for code in sorted(found, key=lambda code: (_LETTERS.index(code[0]), code))}


CATALOGUE = _collected()
"""Code -> its entry, in the order in which they are listed."""
CODES = {name: entry.code for entry in CATALOGUE.values() for name in (entry.code, entry.slug)}
"""Code or slug -> the code."""

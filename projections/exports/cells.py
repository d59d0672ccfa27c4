"""CSV cells that are safe in a spreadsheet and on a terminal.

Ids and names come from outside. A cell that begins like a formula gets an apostrophe in front, as spreadsheets take it
for text then; control characters are written as ``\\x1b``. Line ends and tabs stay, for CSV has quotes.
"""

from __future__ import annotations

import re
from typing import Any

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - spreadsheets take the wide ones too
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def cell(value: Any) -> Any:
    """Text made harmless; a number stays one."""
    if not isinstance(value, str):
        return value
    harmless = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value)
    return f"'{harmless}" if value.startswith(_FORMULA) else harmless

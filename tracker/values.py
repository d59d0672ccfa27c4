"""Values of which one or more are made for every delivery.

An object that is frozen when the program runs takes three times as long to make. These are frozen to
whoever checks the types, which is where a mistake would be found.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from attrs import frozen
else:
    frozen = partial(attrs.define, unsafe_hash=True)

__all__ = ["frozen"]

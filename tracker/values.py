"""Values of which one or more are made for every delivery.

An object that is frozen when the program runs takes three times as long to make. These are frozen to
whoever checks the types, which is where a mistake would be found.

``payload`` is for the payloads of the lifecycles. Nobody compares or prints a whole one, and each method that attrs does
not have to write makes every command start a little earlier: there are twenty of these classes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from attrs import frozen
    from attrs import frozen as payload
else:
    frozen = partial(attrs.define, unsafe_hash=True)
    payload = partial(attrs.define, eq=False, repr=False)

__all__ = ["frozen", "payload"]

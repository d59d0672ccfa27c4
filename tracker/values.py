"""Values of which one or more are made for every delivery.

An object that is frozen when the program runs takes three times as long to make. These are frozen to
whoever checks the types, which is where a mistake would be found.

``copier`` is for what is copied as often: ``attrs.evolve`` looks up the names of all fields each time,
which takes six times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

if TYPE_CHECKING:
    from attrs import frozen
else:
    frozen = partial(attrs.define, unsafe_hash=True)

__all__ = ["copier", "frozen"]

T = TypeVar("T")


def copier(cls: type[T]) -> Callable[[T], T]:
    """How to make another object of an attrs class with the same values, which themselves are not copied."""
    make: Any = cls
    values = attrgetter(*(field.name for field in attrs.fields(make)))
    return lambda one: make(*values(one))

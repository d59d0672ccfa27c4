"""The payloads of the lifecycles are classes of attrs, frozen to whoever checks the types.

Each method that attrs does not have to write makes every command start a little earlier: there are twenty of these
classes, and a whole one is seldom compared or printed. So the two functions that do it are the same for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from attrs import frozen as payload
else:

    def payload(cls: type) -> type:
        """A class of attrs whose values equal those with the same fields, and say them."""
        cls.__eq__, cls.__repr__, cls.__hash__ = _is_equal, _said, None
        return attrs.define(cls, eq=False, repr=False)


def _fields(one: Any) -> dict[str, Any]:
    return {field.name: getattr(one, field.name) for field in attrs.fields(type(one))}


def _is_equal(one: object, other: object) -> bool:
    return _fields(one) == _fields(other) if type(one) is type(other) else NotImplemented


def _said(one: object) -> str:
    said = ", ".join(f"{name}={value!r}" for name, value in _fields(one).items())
    return f"{type(one).__qualname__}({said})"


__all__ = ["payload"]

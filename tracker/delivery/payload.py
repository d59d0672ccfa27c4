"""The payload of a webhook: ``data`` as the class that its lifecycle declares.

Nothing that is sent makes it fail: a field of another type than declared is ``None``, and what the class does not know
is left out.

A lifecycle declares a bare class. What attrs makes of it, and cattrs reads, takes a while to make, and few payloads are
read whole: so it is made when the first one is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from tracker.delivery.envelope import parse_time
from tracker.lifecycle import Lifecycle, camel_case

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = [
    "converter",
    "known_names",
    "payload_class",
    "payload_reader",
    "read_fields",
    "read_text",
    "read_times",
    "values_in",
]

_decode = msgspec.json.Decoder(dict[str, Any]).decode


@cache
def converter() -> Converter:
    """The one converter: snake_case attributes, camelCase JSON, and no value that can make it fail."""
    import attrs
    from cattrs.preconf.msgspec import make_converter  # takes long, and not every session has payloads

    made = make_converter(detailed_validation=False)
    made.register_structure_hook(_lenient_text)
    made.register_structure_hook_factory(_optional_sequence)(_lenient_sequence)
    made.register_structure_hook_factory(attrs.has)(_camel_cased)
    return made


def payload_class(declared: type[Any]) -> type[Any]:
    """The attrs class of a bare one: it has its fields, each ``None`` where nothing else is given."""
    import attrs  # takes long, as above

    fields = {name: attrs.field(default=None, type=of_one) for name, of_one in get_type_hints(declared).items()}
    return attrs.make_class(declared.__name__, fields, bases=(declared,), frozen=True)


def _lenient_text(value: Any, _: type) -> str | None:
    return value if isinstance(value, str) else None


def _optional_sequence(target: Any) -> bool:
    return getattr(target, "__args__", ())[-1:] == (type(None),) and _item(target) is not None


def _item(target: Any) -> Any:
    sequence = target.__args__[0]
    return getattr(sequence, "__args__", (None,))[0] if getattr(sequence, "__origin__", None) is tuple else None


def _lenient_sequence(target: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    item = converter.get_structure_hook(payload_class(_item(target)))

    def structure(value: Any, _: Any) -> tuple[Any, ...] | None:
        if not isinstance(value, list):
            return None
        return tuple(item(entry, None) for entry in value if isinstance(entry, dict))

    return structure


def _camel_cased(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    import attrs
    from cattrs.gen import make_dict_structure_fn, override

    renames = {field.name: override(rename=camel_case(field.name)) for field in attrs.fields(cls)}
    return make_dict_structure_fn(cls, converter, _cattrs_detailed_validation=False, **renames)  # type: ignore[arg-type]


_said = lru_cache(maxsize=2048)(_decode)  # what is asked for one field is asked for others


def read_text(data: bytes, name: str) -> str | None:
    """What the payload class has of one field that holds a text and is sent by this name; the others are not read."""
    value = _said(data).get(name)
    return value if isinstance(value, str) else None


@lru_cache(maxsize=2048)
def read_times(lifecycle: Lifecycle, data: bytes) -> tuple[tuple[str, str, datetime | None], ...]:
    """The clock times that a payload says: the field, its text, and the time; ``None`` where it is no valid one."""
    said = _decode(data)
    texts = [(name, said.get(camel_case(name))) for name in lifecycle.times]
    return tuple([(name, text, parse_time(text)) for name, text in texts if isinstance(text, str)])


def read_fields(lifecycle: Lifecycle, data: bytes, names: Iterable[str]) -> tuple[Any, ...]:
    """What the payload class of a lifecycle has in these fields; the others are not read."""
    said, found = _said(data), []
    for sent, read in _field_readers(lifecycle, tuple(names)):
        value = said.get(sent)
        if read is not None and value is not None:
            value = read(value)
        elif not isinstance(value, str):
            value = None
        found.append(value)
    return tuple(found)


@cache
def _field_readers(
    lifecycle: Lifecycle, names: tuple[str, ...]
) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    """By which name each field is sent, and how to read it; ``None``: it holds a text, as nearly all do."""
    return tuple((camel_case(name), _reader(lifecycle, name)) for name in names)


def _reader(lifecycle: Lifecycle, name: str) -> Callable[[Any], Any] | None:
    is_text = lifecycle.fields[name] in ("str | None", str | None)
    return None if is_text else partial(_structured, lifecycle, name)


def _structured(lifecycle: Lifecycle, name: str, value: Any) -> Any:
    """What a field has that holds no text. Few are sent, so whoever meets none need not import cattrs."""
    return _hook(lifecycle, name)(value)


@cache
def _hook(lifecycle: Lifecycle, name: str) -> Callable[[Any], Any]:
    target = get_type_hints(lifecycle.payload)[name]
    hook = converter().get_structure_hook(target)
    return lambda value: hook(value, target)


@cache
def payload_reader(lifecycle: Lifecycle) -> Callable[[dict[str, Any]], Any]:
    """How to read a payload class from ``data``."""
    payload = payload_class(lifecycle.payload)
    hook = converter().get_structure_hook(payload)
    return lambda data: hook(data, payload)


@cache
def known_names(lifecycle: Lifecycle) -> frozenset[str]:
    """The names in ``data`` that the payload class knows."""
    return frozenset(map(camel_case, lifecycle.fields))


def values_in(one: Any) -> tuple[Any, ...]:
    """The values of an object in a payload, as of a file, in the order of its fields."""
    import attrs

    return attrs.astuple(one)

"""What may stand in a path: an id is any text, with slashes and line feeds in it."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


class Id(Convertor[str]):
    """``{session:id}``. The library's own ``path`` ends at a line feed."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", Id())

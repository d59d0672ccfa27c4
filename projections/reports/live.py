"""What changes, shown again and again."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from projections.reports.text import Out, Pipe

__all__ = ["follow"]


def follow(out: Out, show: Callable[[Out], None], every: float) -> None:
    """Shows it every so many seconds, until interrupted: on a terminal in its place, in a pipe where it has changed."""
    if isinstance(out, Pipe):
        before = ""
        while True:
            page = io.StringIO()
            show(Pipe(page))
            if page.getvalue() != before:
                before = page.getvalue()
                out.print(before)
            time.sleep(every)
    with Live(console=out, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            page = io.StringIO()  # what is printed to ``out`` itself would move the view
            show(
                Console(
                    file=page, force_terminal=True, width=out.width, highlight=False, markup=False, emoji=False
                )
            )
            live.update(Text.from_ansi(page.getvalue()), refresh=True)
            time.sleep(every)

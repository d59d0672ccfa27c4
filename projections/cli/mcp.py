"""``tracker mcp``: lets agents ask, by the Model Context Protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projections.cli.messages import not_installed
from projections.cli.options import with_store
from projections.cli.settings import Settings

if TYPE_CHECKING:
    from projections.web.snapshot import Snapshot


@click.command()
@click.option("--mask-names", is_flag=True, help="Give initials in the place of people's names.")
@with_store
def mcp(mask_names: bool, data: Path | None, config: Path | None) -> None:
    """Let agents ask, by the Model Context Protocol.

    It answers on stdin and stdout, as a program expects that starts it: its tools are what the API answers (sessions,
    session, timeline, findings, explain, recordings and others). None of them changes anything.

    It needs the extra `mcp`: pip install '.[mcp]'.
    """
    try:
        from projections.web import agents
    except ImportError as error:
        raise not_installed(error, "mcp") from error
    settings = Settings(data, config)
    with settings.store() as store:

        @contextmanager
        def now() -> Iterator[Snapshot]:
            moment = settings.fresh_now()
            with settings.views_now(store) as views:
                yield agents.snapshot_of(views, store, moment, masked=mask_names)

        agents.run(now)

"""``tracker sql``: asks what the tracker holds in SQL."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projections.cli.messages import not_installed
from projections.cli.options import MACHINE, TEXT, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from tracker.errors import UsageError

if TYPE_CHECKING:
    from projections.exports.sql import Answer

PARQUET = "parquet"


@click.command()
@click.argument("query")
@click.option(
    "--archive",
    type=click.Path(path_type=Path),
    help="An archive of tracker export --format parquet, as the table `archive`.",
)
@click.option(
    "--format", "format", type=click.Choice([TEXT, *MACHINE, PARQUET]), default=TEXT, show_default=True
)
@click.option("--out", type=click.Path(path_type=Path), help="With --format parquet: the file.")
@with_store
def sql(
    query: str, archive: Path | None, format: Any, out: Path | None, data: Path | None, config: Path | None
) -> None:
    """Ask what the tracker holds in SQL.

    QUERY is in the SQL of DuckDB; - reads it from stdin. The tables are those of views.db, such as sessions, findings and
    deliveries, and events, which has every body. A query may read any file and changes none.

    It needs the extra `sql`: pip install '.[sql]'.
    """
    if (format == PARQUET) != (out is not None):
        raise UsageError("--format parquet and --out need each other", hint="add --format parquet --out FILE")
    if archive is not None and not archive.is_dir():
        raise UsageError(
            "is no directory", place=str(archive), hint="tracker export --format parquet --out DIR makes one"
        )
    try:
        from projections.exports.sql import asked
    except ImportError as error:
        raise not_installed(error, "sql") from error
    settings = Settings(data, config)
    text = sys.stdin.read() if query == "-" else query
    with (
        settings.store() as store,
        settings.views_now(store) as views,
        asked(text, views.connection, store, archive, out) as answer,
    ):
        if out is None:
            _print(answer, format)


def _print(answer: Answer, format: Any) -> None:
    from projections.exports import data
    from projections.reports.tables import rows
    from projections.reports.text import console

    if format == TEXT:
        rows(console(sys.stdout), answer.columns, answer.rows())
    else:
        write(data.write(answer.rows(), format))

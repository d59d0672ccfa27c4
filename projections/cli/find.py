"""``tracker find``: whatever somebody has in hand, found by how it begins."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from projections.cli.options import TEXT, Name, with_account, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import note_pruned, refuse_no_account, refuse_pruned
from tracker.errors import NotFoundError


@click.command()
@click.argument("words", type=Name(), metavar="WORDS")
@with_account
@click.option("--format", "format", type=click.Choice([TEXT, "json"]), default=TEXT, show_default=True)
@with_store
def find(words: str, account: str | None, format: str, data: Path | None, config: Path | None) -> None:
    """Find a room, session, call, person, file or code.

    WORDS may be the beginning of an id, of a file's url, path or name, or of a code, or a part of a person's name or of a
    code's slug. Under each result stands the command that shows more of it.
    """
    from projections.answers.search import number_found, search
    from projections.exports import data as machine
    from projections.reports.search import found_list
    from projections.reports.text import console

    settings = Settings(data, config)
    hint = ""
    with settings.store() as store, settings.views_now(store) as views:
        refuse_no_account(views, settings, account)
        found = search(views.db, words, account=account)
        if not number_found(found):
            refuse_pruned(store, words)
            hint = store.perhaps_pruned(words)
        streams = [one["session_id"] for one in found["sessions"]] + [one["stream"] for one in found["things"]]
        for stream in dict.fromkeys(streams):
            note_pruned(store, stream)
    if format == "json":
        write([machine.document(found)])
    elif number_found(found):
        found_list(console(sys.stdout), found)
    else:
        hint = hint or "tracker sessions, tracker recordings and tracker explain list what there is"
        raise NotFoundError("nothing begins so", place=words, hint=hint)

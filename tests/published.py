"""Publications as tests want them: whichever findings are held, without a store that raises them."""

import json

import attrs

from projections.alerts.database import OUTBOX, alerts_file
from projections.views import publications
from projections.views.database import Checkpoint
from projections.views.publications import CHECKPOINT, IDENTITY, PUBLISHED_DB, SHOWN, changes

USUAL = {
    "stream": "s",
    "position": 1,
    "code": "T302",
    "lifecycle": "recording",
    "key": "{}",
    "about": "",
    "nth": 0,
    "session_id": "s",
    "meeting_id": "m",
    "slug": "stuck-stopping",
    "severity": "error",
    "verdict": "settled",
    "confidence": 1.0,
    "run": 1,
    "at": "2026-11-26T10:00:00.000000Z",
    "message": "Ann's recording was stopping",
    "cause": None,
    "account": None,
}


def finding(**differs):
    """What is published of a finding."""
    return {**USUAL, **differs}


@attrs.frozen
class Published:
    """The file ``published.db`` of a data directory."""

    data: object

    def hold(self, *found, judged_by="judge", at="now"):
        """Publishes that these findings are held, and no others."""
        held = {tuple(one[name] for name in IDENTITY): tuple(one[name] for name in SHOWN) for one in found}
        file = publications.published_file(self.data / PUBLISHED_DB)
        with file.to_write() as connection:
            before = {
                one.identity: one
                for one in map(
                    publications.Publication.of, connection.execute(publications._PUBLISHED.format(1))
                )
            }
            for change in changes(held, before, at):
                connection.execute(publications._WRITE, change.after.row)
            connection.execute("DELETE FROM checkpoint")
            connection.execute(CHECKPOINT.insert, publications._row((Checkpoint(), f"{judged_by} 1")))


def outbox(data):
    """The messages that wait, in order; the body as an object."""
    with alerts_file(data).to_read() as connection:
        rows = connection.execute(f"SELECT {', '.join(OUTBOX.columns)} FROM outbox ORDER BY number").fetchall()
    found = [dict(zip(OUTBOX.columns, row, strict=True)) for row in rows]
    return [one | {"body": json.loads(one["body"])} for one in found]


def events(data):
    """What is reported: the kind of message, and of which position."""
    return [(one["type"].rpartition(".")[2], one["body"]["data"].get("position")) for one in outbox(data)]

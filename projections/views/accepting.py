"""Looking for a loss in a data directory, and recording that it is accepted."""

from __future__ import annotations

from datetime import UTC, datetime

from projections.views.database import VIEWS_DB, checkpoint_of
from projections.views.loss import Loss, LossError, larger, loss_of, marked_loss
from tracker.errors import StoreDamagedError
from tracker.store.application import Tracker
from tracker.store.losses import Accepted


def find(tracker: Tracker) -> Loss | None:
    """What had been stored or seen and the store lacks, unless it is accepted; the larger loss, where two tell."""
    return larger(seen_loss(tracker), marked_loss(tracker))


def seen_loss(tracker: Tracker) -> Loss | None:
    """What the read models in the data directory had read and the store lacks, unless it is accepted."""
    path = tracker.data / VIEWS_DB
    if not path.is_file():
        return None
    try:
        checkpoint, _ = checkpoint_of(path)
    except StoreDamagedError:  # it tells nothing any more
        return None
    return loss_of(tracker, path, checkpoint.position, checkpoint.digest)


def refuse_loss(tracker: Tracker) -> None:
    """Raises ``LossError`` where there is one, before anything is stored on top of it."""
    loss = find(tracker)
    if loss is not None:
        raise LossError(loss, tracker.owner)


def accept(tracker: Tracker) -> Loss | None:
    """Records the loss that there is. Whoever builds the read models again renames the old ones."""
    largest = find(tracker)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    while (loss := find(tracker)) is not None:  # of the mark and of the read models
        tracker.accept_loss(Accepted(loss.ends, loss.seen, loss.digest, at))
    return largest


def keep_lost_positions(tracker: Tracker) -> None:
    """Webhooks are stored behind what had been seen, so that no position means two deliveries."""
    loss = find(tracker)
    if loss is not None:
        tracker.skip_to(loss.seen)

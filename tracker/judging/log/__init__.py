"""What the log as a whole says: evidence for every session in it.

A single session does not show that its webhooks come again after a minute, that nobody subscribed to
``recording-starting``, or that the receiver was down at noon. All sessions together do. Two small summaries
grow with the log:

- ``Habits`` counts what only sessions know, in any order and in parts that add up. From them follow the delay
  profile (``profile``), what is not subscribed to (``subscriptions``) and what was sent again (``replays``).
- ``Traffic`` follows the order of the log. It finds when nothing came at all (``silences``) and where a clock
  went back (``clocks``).

A ``LogView`` (``view``) is what both say at one moment. Where a log is still growing it changes only at
certain positions (``milestones``), so that what is judged while a log grows, what is judged anew, and what is
judged in another process are the same.
"""

from tracker.judging.log.clocks import Backwards, Wrong
from tracker.judging.log.habits import ENDS, Habits, Room, Types, bit_of, due_minute, telling, types_of
from tracker.judging.log.milestones import is_milestone, milestone_before, next_milestone, page_end
from tracker.judging.log.replays import Replay
from tracker.judging.log.silences import Silence
from tracker.judging.log.subscriptions import SESSIONS_OF_LOG, Unsubscribed
from tracker.judging.log.traffic import Traffic
from tracker.judging.log.view import NOTHING_KNOWN, LogView, OtherTypes, view_of

__all__ = [
    "ENDS",
    "NOTHING_KNOWN",
    "SESSIONS_OF_LOG",
    "Backwards",
    "Habits",
    "LogView",
    "OtherTypes",
    "Replay",
    "Room",
    "Silence",
    "Traffic",
    "Types",
    "Unsubscribed",
    "Wrong",
    "bit_of",
    "due_minute",
    "is_milestone",
    "milestone_before",
    "next_milestone",
    "page_end",
    "telling",
    "types_of",
    "view_of",
]

"""The habits: what is usual in the meetings of somebody, or in the way their webhooks are delivered.

Nothing of a habit is a fault: a log of meetings with a habit and without faults holds only what is legal
or came at last. ``tracker simulate --habit`` takes any number of them; where two say when the meetings
are, the later one does.
"""

from __future__ import annotations

import attrs

from tracker.simulate import network, rooms
from tracker.simulate.network import MakeWay
from tracker.simulate.rooms import Arrange, Ask


@attrs.frozen
class Habit:
    """One entry of the table; what it does not name stays as it is.

    ``kind`` is ``meetings`` or ``delivery``. ``ask`` asks something of each meeting before ``arrange`` puts
    them at their times, ``subscribe`` after that. ``way`` is how its
    webhooks are delivered, ``effect`` what that does to them, ``receivers`` how many write a log of their own, their clocks ``skew`` seconds apart
    at most. ``faults`` is how many faults a faulty meeting has, ``share`` how many meetings are faulty, ``plain``
    how many of the others have nothing that looks like trouble. ``codes`` are the right findings about the log as
    a whole.
    """

    name: str
    kind: str
    summary: str
    ask: Ask | None = None
    arrange: Arrange | None = None
    subscribe: Ask | None = None
    way: MakeWay | None = None
    effect: str = ""
    receivers: int = 1
    skew: float = 0
    faults: int = 1
    share: float | None = None
    plain: float = 0
    codes: tuple[str, ...] = ()


HABITS: dict[str, Habit] = {
    habit.name: habit
    for habit in (
        Habit(
            "office",
            "meetings",
            "in office hours, about the half hour, in a room of every day",
            arrange=rooms.office,
        ),
        Habit(
            "short-runs", "meetings", "what is recorded or streamed goes on for 6 to 40 s", ask=rooms.short_runs
        ),
        Habit("quarter", "meetings", "recordings are begun anew every 15 minutes", ask=rooms.quarter),
        Habit(
            "reused-rooms",
            "meetings",
            "one session after the other in few rooms, all day",
            arrange=rooms.reused,
        ),
        Habit(
            "breakouts", "meetings", "all leave for three other rooms and come back", arrange=rooms.breakouts
        ),
        Habit("webinars", "meetings", "150 to 250 people come to each", ask=rooms.webinar),
        Habit("midnight", "meetings", "begun in the evening, ended the next day", arrange=rooms.midnight),
        Habit(
            "ids-2026",
            "meetings",
            "payloads of 2026: ids of runs, reasons, no url in own storage",
            ask=rooms.of_2026,
        ),
        Habit(
            "telephone",
            "meetings",
            "people call in, agents answer, calls are missed and transferred",
            ask=rooms.by_telephone,
        ),
        Habit("two-faults", "meetings", "what goes wrong goes wrong in two ways", faults=2),
        Habit("three-faults", "meetings", "what goes wrong goes wrong in three ways", faults=3),
        Habit(
            "usual",
            "meetings",
            "a seventh of the deliveries is of meetings with trouble",
            share=0.07,
            plain=0.88,
        ),
        Habit(
            "rough", "meetings", "half of the deliveries are of meetings with trouble", share=0.33, plain=0.55
        ),
        Habit(
            "fewer-types",
            "delivery",
            "a third of the rooms subscribe to fewer types",
            arrange=rooms.reused,
            subscribe=rooms.partial,
            codes=("L603",),
        ),
        Habit(
            "retry-doubling",
            "delivery",
            "3 % come again after 1, 2, 4 ... s, as the acknowledgement was lost",
            way=network.ladder(1, 2, 4, 8, 16, 32, 64),
            effect="redelivered",
        ),
        Habit(
            "retry-30s",
            "delivery",
            "3 % come again after 30 s, up to five times",
            way=network.ladder(30, 30, 30, 30, 30),
            effect="redelivered",
        ),
        Habit(
            "retry-hour",
            "delivery",
            "3 % come again after 1, 5, 20 and 60 minutes",
            way=network.ladder(60, 300, 1200, 3600),
            effect="redelivered",
        ),
        Habit(
            "lost-minute",
            "delivery",
            "one minute's acknowledgements are lost every three hours; all comes again 2 to 40 min later",
            way=network.lost_minute,
            effect="redelivered",
            codes=("L602",),
        ),
        Habit(
            "hour-replayed",
            "delivery",
            "one hour of each day comes again the next day",
            way=network.hour_replayed,
            effect="replayed",
            codes=("L602",),
        ),
        Habit(
            "day-replayed",
            "delivery",
            "the first day comes again six hours later",
            way=network.day_replayed,
            effect="replayed",
            codes=("L602",),
        ),
        Habit(
            "outage",
            "delivery",
            "the receiver is down for 30 minutes each day; each event is sent again in its own rhythm",
            way=network.outage,
            effect="delayed",
            codes=("L601",),
        ),
        Habit(
            "heavy-tail",
            "delivery",
            "2 % wait for seconds, some of them for minutes",
            way=network.heavy_tail,
            effect="delayed",
        ),
        Habit(
            "two-receivers",
            "delivery",
            "two receivers write a log each, and their clocks are apart",
            effect="reordered",
            receivers=2,
            skew=4,
            codes=("T308",),
        ),
        Habit(
            "two-channels",
            "delivery",
            "every event comes twice",
            way=network.two_channels,
            effect="redelivered",
        ),
    )
}
"""Every habit by its name; first those of the meetings."""

"""What is found of a session: a small function for each kind of finding, and the one maker of a ``Finding``.

``runs`` makes findings of what the held hypothesis assumes, ``ending`` of how runs end or do not, ``copies`` of what came
again. ``content`` looks at what the payloads say, ``between`` at what aggregates of one session say of each other and of the
session, ``overlaps`` at sessions of one meeting, ``of_log`` at the log as a whole. The entry of each code stands above the
function that raises it; ``catalogue`` gathers them. Every finding is made by ``maker.make``.
"""

"""What is found of a session: a small function for each kind of finding, and the one maker of a ``Finding``.

``runs`` makes findings of what the held hypothesis assumes, ``content`` looks at what the payloads say, ``between``
at what aggregates of one session say of each other and of the session. All take an ``Assessment`` and yield findings.
"""

"""Sessions as traces, for OpenTelemetry: a trace is a session, its spans are the session, each visit and each run.

A span cannot be changed once it is exported, and a collector keeps what it gets twice. So a session is exported once, when
it is *closed out*: it has ended, time will change nothing of it any more, and nothing came of it for as long as copies
come. What was exported is remembered in ``traces.db`` beside ``views.db``. The ids follow from the session: where a crash
between the answer of the collector and that note has a batch exported again, it has the same ids.

Only what is settled is exported, and neither names of people nor addresses of files.
"""

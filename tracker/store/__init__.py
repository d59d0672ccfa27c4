"""The event store: every delivery in the order in which it was stored, in a file or on a server."""

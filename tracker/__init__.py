"""The write side: what was said to us, and what it means.

The straight line of a webhook: ``logs`` reads a line, ``envelope`` takes the body out of it,
``webhook.parse`` makes a delivery of it, ``store.Tracker.append`` keeps it, ``session.judge`` says
what it was. ``examples/follow_one_webhook.py`` prints every hop.
"""

"""The write side: what was said to us, and what it means.

The straight line of a webhook: ``intake.logs`` reads a line, ``delivery.envelope`` takes the body out of it,
``delivery.webhook`` makes a delivery of it, ``store.application`` keeps it, ``judging`` says what it was.
``examples/follow_one_webhook.py`` prints every hop.
"""

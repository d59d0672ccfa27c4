"""Alerts: who asked for it is sent what is found, what of it changes, and what is taken back.

``alerts.db`` beside ``views.db`` has what was reported and what is still to be sent. It is no part of ``views.db``, which
may be made anew at any time: whoever got an alert must also get its end, whatever happens in between.

The alerts are level-triggered, as publications are. Nobody announces that a finding came or went. A *sweep* compares the
findings that are published and match a rule with the alerts that are known, and writes both the difference and the
messages about it in one transaction. So crashes, rebuilds and several processes that sweep report nothing twice and
forget nothing.

A message is delivered at least once: it goes out of the outbox only when its receiver has taken it, and every repeat has
the same ``webhook-id``. The messages about one finding are sent in order, one at a time; a message that could never be
delivered holds back those behind it. So no end arrives before its beginning.

A rule reports what becomes true from then on. So when a rule is new, when other findings match it, or when the past was
judged anew in another way, what had been true before becomes known without a message of its own.
"""

"""The relay: what really happened is sent on to the user's own handler, once and in order.

VideoSDK sends copies, sends late and loses webhooks; whoever acts on each acts twice, too early or not at all. The relay
sends *facts* instead: a run has begun, it has ended, it brought a file; somebody came, somebody left. Each is sent once,
whatever came of it, and where its webhook never came, as soon as it must have happened.

The relay is level-triggered, as publications and alerts are. A sweep compares the facts that the read models hold with those
that were sent, and writes the difference into the outbox in the same transaction of ``relay.db``. What is not held any more is
withdrawn. So neither a crash, nor a rebuild, nor several processes that sweep send a fact twice or forget one.

How a delivery is read may change when more comes. A fact with a provisional finding about a delivery of its run or about its
sequence, or with another hypothesis that is as good, waits until that is settled, at most for the ``wait`` of its entry; what follows it in its
session waits with it, so that the order is kept.

A fact is of a run, and which run that is must not shift with hindsight, as its number does. So the run is known by its
*anchor*, the position of the first delivery that it had when something was sent of it. As long as that delivery is one of the
run's own, and no copy, it is that run.
"""

"""What is sent to receivers outside: at least once, in order, and under one id each time.

Whoever has something to send (alerts, the relay) writes it into a *queue* in the same transaction in which it notes that it
has done so. A *sender* for each receiver takes the messages out, one at a time, and a message leaves the queue only when its
receiver has taken it. So a crash at any moment repeats a message, under the same id, and loses none.
"""

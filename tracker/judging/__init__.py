"""What most likely happened in a session, and what is wrong with it.

Read ``hypothesis`` first: it says what problem this solves, and by which idea. The way of a delivery:

    session.Observed.observe      put behind its aggregate; nothing is judged
    search.hypotheses             which run each delivery belongs to; ``prices``, ``sequence``, ``context``
    assess.assess                 states, readings and findings as of a moment
    log.LogView                   what the whole log says, an argument of the assessment
"""

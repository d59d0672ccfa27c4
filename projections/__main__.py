"""``python -m projections`` is ``tracker``."""

from projections.program import program

program()

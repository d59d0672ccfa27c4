"""``python -m projections.cli`` is ``tracker``."""

from projections.cli import main

main()

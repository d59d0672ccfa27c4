"""How often hypothesis tries something: as often as the test says where CI runs all, a fifth of that in the quick suite."""

from hypothesis import settings

THOROUGH = 100
"""Examples of a test that says nothing, in the profile of this name and in ``searching``."""


def tries(number):
    """The settings of a test that is tried this often in the thorough profile."""
    return settings(max_examples=max(1, number * settings.default.max_examples // THOROUGH))

"""No test is timed: Hypothesis would fail one for which a busy machine takes long."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

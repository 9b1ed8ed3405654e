"""What holds for the tests of all packages."""

import signal

from hypothesis import settings

# No test is timed: a slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A runner in the background ignores Ctrl-C, and every program that a test starts would with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

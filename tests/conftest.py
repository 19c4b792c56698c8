"""What all tests share."""

import signal


def pytest_configure() -> None:
    """Let Ctrl-C work: a process that a script has put into the background ignores it, and so do its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)

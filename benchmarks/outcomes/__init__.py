"""Does a library tell apart how a prompt ended? A corpus of documented raw replies, and who reads them right.

Run it with `python -m benchmarks.outcomes`.
"""

"""Runs: prompts go in, one outcome each is recorded in a journal, exports come out."""

"""The engine: how many prompts become requests, with bounds on everything.

It knows bare callables only. `dispatch` is the window over a stream of prompts; `executor` joins it with limits,
retries and the breaker; `portal` runs it for blocking callers; `clients` keeps one client per event loop.
"""

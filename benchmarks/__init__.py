"""The promised figures, measured: `python -m benchmarks [NAME ...]`. Nothing here is installed."""

"""The version, as installed."""

__version__ = "0.1.0"

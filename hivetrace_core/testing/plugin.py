"""`PluginConformance`: every promise about a distribution, as a test."""

from __future__ import annotations

from .declarations import DeclarationTests
from .imports import ImportTests
from .option_rules import OptionTests


class PluginConformance(DeclarationTests, ImportTests, OptionTests):
    """Subclass it once for each distribution with plugins.

        class TestAcmePlugin(PluginConformance):
            distribution = "hivetrace-acme"

    The distribution must be installed. Nothing is sent, no model is made and no SDK is needed.
    """

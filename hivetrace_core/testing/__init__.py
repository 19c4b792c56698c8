"""A conformance kit: what HiveTrace promises its users, as tests that any provider plugin can run (extra `testing`).

    class TestAcmePlugin(PluginConformance):
        distribution = "hivetrace-acme"

    class TestAcmeModel(ModelConformance):
        model_class = AcmeModel

        def params(self, base_url: str) -> dict[str, Any]:
            return {"model": "acme-1", "base_url": base_url, "api_key": self.secret}

pytest runs them. No network is used: models talk to a mock server on this machine, in the plugin's own wire dialect.
The tests of the kit cannot be overridden or removed; one that a plugin cannot pass is named in `exceptions`, with the
reason, and is then expected to fail.
"""

from __future__ import annotations

from ..errors import MissingDependencyError

try:
    import hypothesis  # noqa: F401  # only whether it is there
    import pytest
except ImportError as exc:
    raise MissingDependencyError(
        f"The conformance kit needs the package {exc.name!r}, which is not installed. "
        "Run: pip install 'hivetrace-core[testing]'"
    ) from exc

# Before they are imported, so that a failed assertion shows its values.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "batches",
            "bench",
            "constructors",
            "cutting",
            "declarations",
            "dialects",
            "faults",
            "imports",
            "lifetimes",
            "option_rules",
            "outcomes",
            "prompts",
            "purity",
            "retries",
            "runs",
            "secrets",
            "streams",
        )
    )
)

from .dialects import DialectConformance  # noqa: E402  # after the registration above
from .model import ModelConformance  # noqa: E402  # the same
from .plugin import PluginConformance  # noqa: E402  # the same
from .purity import check_classified  # noqa: E402  # the same
from .strategies import familiar_json  # noqa: E402  # the same

__all__ = ["DialectConformance", "ModelConformance", "PluginConformance", "check_classified", "familiar_json"]

"""`ModelConformance`: every promise about a model, as a test."""

from __future__ import annotations

from .batches import BatchTests, OrderTests
from .cutting import CuttingTests
from .faults import FaultTests
from .lifetimes import LifetimeTests, LoopTests
from .outcomes import StreamedOutcomeTests
from .prompts import PromptTests, SentPromptTests
from .purity import MangledReplyTests, PurityTests
from .retries import RetryTests
from .runs import WireRunTests
from .secrets import SentSecretTests
from .streams import StreamTests, WireStreamTests


class ModelConformance(
    PromptTests,
    SentPromptTests,
    BatchTests,
    OrderTests,
    CuttingTests,
    RetryTests,
    FaultTests,
    StreamedOutcomeTests,
    PurityTests,
    MangledReplyTests,
    StreamTests,
    WireStreamTests,
    SentSecretTests,
    LifetimeTests,
    LoopTests,
    WireRunTests,
):
    """Subclass it for each model class of a plugin.

        class TestAcmeModel(ModelConformance):
            model_class = AcmeModel

            def params(self, base_url: str) -> dict[str, Any]:
                return {"model": "acme-1", "base_url": base_url, "api_key": self.secret}

    The models talk to a mock server that speaks the plugin's own dialect. `dialect = None` is for models that send
    nothing over a wire; `cannot_say` names outcomes that a provider has no words for. See `Bench` for all attributes,
    and `Standard` for `exceptions`.
    """

"""Each provider's `stream_abatch` against its vendor's SDK with that SDK's default client, 64 in flight.

YandexGPT's REST interface has no SDK: there it is plain httpx.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._contest import Contest, Entrant
from ._measure import Figure, Settings, report
from ._server import Server

WIDTH = 64
BOUND = 3.0


@dataclass(frozen=True)
class Rival:
    """What a vendor gives out, or what is used where it gives out nothing.

    Attributes:
        name: As it is shown.
        module: In `benchmarks.clients`.
        requirements: What is installed for it.
        settings: For the client.
    """

    name: str
    module: str
    requirements: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Vendor:
    """A provider, and what it is compared with.

    Attributes:
        ours: The provider's class.
        provider: Its plugin.
        model: Id of the model.
        key: Which option takes the key.
        params: More options of ours.
        addresses: Options of both that are addresses at the server, by the path there.
        rival: The vendor's own client, as it is when only that is installed.
        others: More to be seen beside it, without a bound.
    """

    ours: str
    provider: str
    model: str
    rival: Rival
    key: str = "api_key"
    params: dict[str, Any] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    others: tuple[Rival, ...] = ()


GENAI = "google-genai>=1,<4"

VENDORS = (
    Vendor("OpenAIModel", "openai", "gpt-4.1", Rival("AsyncOpenAI", "openai_sdk", ("openai>=3,<4",))),
    Vendor(
        "GigaChatModel",
        "gigachat",
        "GigaChat-2",
        Rival("gigachat SDK", "gigachat_sdk", ("gigachat>=0.2,<0.3",)),
        key="credentials",
        addresses={"auth_url": "/gigachat/api/v2/oauth"},
    ),
    Vendor(
        "YandexGPTModel",
        "yandex",
        "yandexgpt-lite",
        Rival("httpx", "yandex_httpx", ("httpx>=0.28,<1",)),
        params={"folder_id": "folder-1"},
    ),
    Vendor(
        "GeminiNativeModel",
        "gemini",
        "gemini-2.5-flash",
        Rival("google-genai", "gemini_sdk", (GENAI,)),
        others=(
            Rival("google-genai with aiohttp", "gemini_sdk", (GENAI, "aiohttp>=3.12,<4"), {"transports": ["aiohttp"]}),
        ),
    ),
    Vendor("OllamaModel", "ollama", "qwen3:0.6b", Rival("ollama", "ollama_sdk", ("ollama>=0.6,<1",))),
)


def measure(settings: Settings) -> list[Figure]:
    count, slow, rounds = (1_000, 150, 2) if settings.quick else (2_500, 250, 5)
    figures: list[Figure] = []
    with Server() as server:
        for vendor in VENDORS:
            addresses = {option: server.address + path for option, path in vendor.addresses.items()}
            shared = {"id": vendor.model, **addresses}
            own = {**shared, "key": vendor.key, "params": {**vendor.params, **addresses}}
            entrants = [Entrant(vendor.ours, "provider_model", count, provider=vendor.provider, settings=own)]
            for rival in (vendor.rival, *vendor.others):
                told = {**shared, **rival.settings}
                entrants.append(
                    Entrant(rival.name, rival.module, slow, rival.requirements, vendor.provider, settings=told)
                )
            contest = Contest(entrants, server, width=WIDTH, rounds=rounds, settings=settings)
            contest.print(vendor.rival.name)
            figures.append(contest.figure(vendor.ours, vendor.rival.name, BOUND))
            figures += [contest.figure(vendor.ours, other.name, None) for other in vendor.others]
    return figures


if __name__ == "__main__":
    report(__doc__.splitlines()[0], measure)

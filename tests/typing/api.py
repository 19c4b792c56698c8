"""The public API as its users write it. Never executed: mypy reads it, and an error here is a broken promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Dict, List, Optional, Union, assert_type

from hivetrace_core import (
    HiveTraceError,
    Messages,
    Model,
    ModelError,
    ModelOptions,
    ModelResponse,
    ModelSpec,
    ProviderModel,
    Reply,
    ResponseChunk,
    RunConfig,
    SecretStr,
    __version__,
    as_model,
    create_model,
    export,
    from_env,
    hookimpl,
    load_config,
    register_model,
    resume,
    run,
)

# --- Custom models, in every form that people have


class EverythingByHand(Model):
    """Writes every method itself, keeps its own attributes, never calls super."""

    def __init__(self, model: str = "mine", api_key: Optional[str] = None, batch_size: int = 1, **kwargs: Any) -> None:
        self.model_name = model
        self.batch_size = batch_size
        self.client = {"key": api_key, **kwargs}

    def invoke(self, prompt: Union[str, List[Dict[str, str]]]) -> Dict[str, Any]:
        return {"content": str(prompt), "finish_reason": "stop", "model": self.model_name}

    async def ainvoke(self, prompt: Union[str, List[Dict[str, str]]]) -> Dict[str, Any]:
        return self.invoke(prompt)

    def batch(
        self, prompts: List[Union[str, List[Dict[str, str]]]], batch_size: Optional[int] = None
    ) -> List[Dict[str, Any]]:
        return [self.invoke(prompt) for prompt in prompts]

    async def abatch(
        self, prompts: List[Union[str, List[Dict[str, str]]]], batch_size: Optional[int] = None
    ) -> List[Dict[str, Any]]:
        return list(await asyncio.gather(*map(self.ainvoke, prompts)))

    async def stream_abatch(
        self, prompts: List[Union[str, List[Dict[str, str]]]], batch_size: int = 1
    ) -> AsyncGenerator[Dict[str, Any], None]:
        for prompt in prompts:
            yield await self.ainvoke(prompt)

    def is_answer_blocked(self, answer: Dict[str, Any]) -> bool:
        return bool(answer.get("finish_reason") == "blacklist")

    def get_params(self) -> Dict[str, Any]:
        return {"model_name": self.model_name}


class OnlyAsync(Model):
    async def ainvoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": str(prompt)}


class AsyncWithItsOwnSync(Model):
    async def ainvoke(self, prompt: str) -> dict[str, str]:
        return {"content": prompt}

    def invoke(self, prompt: str) -> dict[str, str]:
        return asyncio.run(self.ainvoke(prompt))


class OnlySync(Model):
    def invoke(self, prompt: Any) -> dict[str, Any]:
        return {"content": str(prompt)}


class OnlyItsOwnBlocks(OnlySync):
    def is_answer_blocked(self, response: Mapping[str, Any]) -> bool:
        return "cannot" in str(response.get("content"))


class Foreign:
    """No model of ours, but it answers."""

    def invoke(self, prompt: str) -> dict[str, str]:
        return {"content": prompt}


def use_any_model(model: Model, prompts: Iterator[str]) -> None:
    assert_type(model.invoke("Hello"), Mapping[str, Any])
    assert_type(model.batch(prompts, batch_size=10), Sequence[Mapping[str, Any]])
    assert_type(model.is_answer_blocked({"content": ""}), bool)
    assert_type(model.get_params(), Mapping[str, Any])


async def use_any_model_async(model: Model, prompts: AsyncIterator[Any]) -> None:
    assert_type(await model.ainvoke([{"role": "user", "content": "Hello"}]), Mapping[str, Any])
    assert_type(await model.abatch(["one", "two"], batch_size=2), Sequence[Mapping[str, Any]])
    async for response in model.stream_abatch(prompts, batch_size=5):
        assert_type(response, Mapping[str, Any])


def custom_models_are_models() -> None:
    models: list[Model] = [
        EverythingByHand(api_key="k"),
        OnlyAsync(),
        AsyncWithItsOwnSync(),
        OnlySync(),
        OnlyItsOwnBlocks(),
        as_model(Foreign()),
        create_model("acme/large", temperature=0, rpm=60),
    ]
    register_model("everything-by-hand", EverythingByHand)
    register_model("foreign", Foreign)
    for model in models:
        use_any_model(model, iter(["Hello"]))


# --- A provider


class AcmeOptions(ModelOptions):
    base_url: str = "https://api.acme.example/v1"
    api_key: SecretStr = from_env("ACME_API_KEY")
    temperature: float | None = None


class AcmeModel(ProviderModel[AcmeOptions]):
    def make_client(self) -> list[str]:
        return [self.options.base_url]

    async def complete(self, client: list[str], messages: Messages) -> Reply:
        return Reply({"text": messages[-1]["content"]}, status=200, headers={"x-request-id": "1"})

    async def stream_complete(self, client: list[str], messages: Messages) -> AsyncIterator[str | ResponseChunk]:
        yield "Hello"
        yield {"content": "", "response_metadata": {"outcome": "answered"}}

    def classify(self, reply: Reply) -> ModelResponse:
        if reply.status != 200:
            raise ModelError("Acme is out of order", kind="server", status=reply.status)
        return {"content": reply.payload["text"], "response_metadata": {"finish_reason": "stop", "outcome": "answered"}}

    def classify_error(self, exc: Exception) -> ModelError:
        return ModelError("Acme cannot be reached", kind="connection")


class ShortAcmeModel(ProviderModel[AcmeOptions]):
    async def complete(self, client: None, messages: Messages) -> dict[str, Any]:
        return {"content": self.options.base_url}


@hookimpl
def hivetrace_models() -> Iterator[ModelSpec]:
    yield ModelSpec(
        name="acme",
        model="hivetrace_acme.model:AcmeModel",
        options="hivetrace_acme.options:AcmeOptions",
        claims=("acme-*",),
        summary="Acme hosted chat models",
        api=1,
    )


def use_a_provider() -> None:
    with AcmeModel("large", api_key="k", temperature=0.5, batch_size=32) as model:
        assert_type(model.options, AcmeOptions)
        assert_type(model.options.temperature, float | None)
        response = model.invoke("Hello")
        assert_type(response, ModelResponse)
        assert_type(response["content"], str)
        assert_type(response["response_metadata"]["usage"].get("input_tokens"), int | None)
        assert_type(model.batch(["one", "two"]), list[ModelResponse])
        assert_type(model.get_params(), dict[str, Any])
        for chunk in model.stream("Hello"):
            assert_type(chunk, ResponseChunk)
        use_any_model(model, iter(["Hello"]))


async def use_a_provider_async() -> None:
    async with AcmeModel("large") as model:
        assert_type(await model.ainvoke("Hello"), ModelResponse)
        assert_type(await model.abatch(["one", "two"]), list[ModelResponse])
        async for response in model.stream_abatch(["one", "two"], batch_size=2, ordered=False):
            assert_type(response, ModelResponse)
        async for chunk in model.astream("Hello"):
            assert_type(chunk["content"], str)
    try:
        await model.ainvoke("Hello")
    except ModelError as error:
        assert_type(error.retryable, bool)
        assert_type(error.response, Mapping[str, Any] | None)
    except HiveTraceError:
        raise


# --- Runs


def use_runs() -> None:
    config = load_config("run.yaml")
    assert_type(config, RunConfig)
    done = run({"models": [{"name": "simulated"}], "prompts": ["Hello"]})
    run(Path("run.yaml"))
    run(config)
    assert_type(done.folder, Path)
    assert_type(done.exit_code, int)
    for summary in done.models:
        assert_type(summary.label, str)
    resume(done.folder, retry_failed=True, in_doubt="skip")
    assert_type(export(done.folder, formats=("jsonl",)), list[Path])
    assert_type(__version__, str)

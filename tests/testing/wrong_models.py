"""Models that break one promise each. The healthy one that they are made from is the example provider."""

import asyncio
import json
import logging
import os
import urllib.request
from typing import Any

import aiohttp
from hivetrace_globex.model import GlobexModel, GlobexOptions, classify

from hivetrace_core import ModelError, ModelResponse, Reply, SecretStr
from hivetrace_core.http import HttpOptions, JsonHttp

BLOCK = {"stage": "prompt", "categories": [], "rule": "globex.any"}


def secret_of(model: GlobexModel) -> str:
    return model.options.api_key.get_secret_value()


class RetriesOnItsOwn(GlobexModel):
    async def complete(self, client, messages):
        reply = await super().complete(client, messages)
        return await super().complete(client, messages) if reply.status >= 500 else reply


class ReconnectsOnItsOwn(GlobexModel):
    async def complete(self, client, messages):
        try:
            return await super().complete(client, messages)
        except ModelError:
            return await super().complete(client, messages)


class SwapsAnswers(GlobexModel):
    async def stream_abatch(self, prompts, batch_size=None, *, ordered=True):
        held = None
        async for response in super().stream_abatch(prompts, batch_size, ordered=ordered):
            if held is None:
                held = response
            else:
                yield response
                yield held
                held = None
        if held is not None:
            yield held


class YieldsAsCompleted(GlobexModel):
    async def stream_abatch(self, prompts, batch_size=None, *, ordered=True):
        async for response in super().stream_abatch(prompts, batch_size, ordered=False):
            yield response


class YieldsTwice(GlobexModel):
    async def stream_abatch(self, prompts, batch_size=None, *, ordered=True):
        async for response in super().stream_abatch(prompts, batch_size, ordered=ordered):
            yield response
            if not ordered:
                yield response


class CountsErrorsAsBlocks(GlobexModel):
    def classify(self, reply):
        try:
            return classify(reply)
        except ModelError:
            metadata: Any = {"outcome": "blocked", "finish_reason": "content_filter", "block": BLOCK}
            return {"content": "", "response_metadata": metadata}


class CountsBlocksAsErrors(GlobexModel):
    def classify(self, reply):
        response = classify(reply)
        if response["response_metadata"]["outcome"] == "blocked":
            raise ModelError("The filter said no", kind="permission", status=reply.status)
        return response


class CountsBlocksAsRefusals(GlobexModel):
    def classify(self, reply):
        response = classify(reply)
        if response["response_metadata"]["outcome"] == "blocked":
            response["response_metadata"]["outcome"] = "refused"
        return response


class RetriesBlocks(GlobexModel):
    async def complete(self, client, messages):
        reply = await super().complete(client, messages)
        return await super().complete(client, messages) if reply.status == 422 else reply


class NamesNoRule(GlobexModel):
    def classify(self, reply):
        response = classify(reply)
        if "block" in response["response_metadata"]:
            response["response_metadata"]["block"]["rule"] = ""
        return response


class TakesUnknownForStop(GlobexModel):
    def classify(self, reply):
        response = classify(reply)
        if response["response_metadata"]["finish_reason"] == "unknown":
            response["response_metadata"] |= {"finish_reason": "stop", "outcome": "answered"}
        return response


class ForgetsTheProvidersWord(GlobexModel):
    def classify(self, reply):
        response = classify(reply)
        response["response_metadata"].pop("native_finish_reason")
        return response


class TakesErrorsForAnswers(GlobexModel):
    def classify(self, reply):
        payload = reply.payload if isinstance(reply.payload, dict) else {}
        if isinstance(payload.get("text"), str):
            reply = Reply(payload, 200, reply.headers)
        return classify(reply)


class TakesAnythingForAnAnswer(GlobexModel):
    def classify(self, reply):
        if reply.status == 200 and not isinstance(reply.payload, dict):
            return {"content": str(reply.payload), "response_metadata": {"outcome": "answered"}}
        return classify(reply)


class CrashesOnOddReplies(GlobexModel):
    def classify(self, reply):
        if reply.status == 200:
            len(reply.payload["text"])
        return classify(reply)


class CrashesOnOddCalls(GlobexModel):
    def classify(self, reply):
        response = classify(reply)
        if response["response_metadata"]["outcome"] == "tool_calls":
            for call in reply.payload["calls"]:
                assert call["name"]
        return response


class MutatesPayload(GlobexModel):
    def classify(self, reply):
        if isinstance(reply.payload, dict):
            reply.payload.pop("id", None)
        return classify(reply)


class ClassifiesByMood(GlobexModel):
    mood = 0

    def classify(self, reply):
        self.mood += 1
        try:
            return classify(reply)
        except ModelError as error:
            error.message += f" ({self.mood})"
            raise


class DropsRawPayload(GlobexModel):
    async def complete(self, client, messages):
        return self.classify(await super().complete(client, messages))


class TidiesRawPayload(GlobexModel):
    async def complete(self, client, messages):
        reply = await super().complete(client, messages)
        if isinstance(reply.payload, dict):
            reply.payload.pop("id", None)
        return reply


class BlockedRaises(GlobexModel):
    def is_answer_blocked(self, response):
        return response["response_metadata"]["outcome"] == "blocked"


class BlockedCountsRefusals(GlobexModel):
    def is_answer_blocked(self, response):
        outcome = dict(response)["response_metadata"]["outcome"] if isinstance(response, dict) else None
        return outcome in ("blocked", "refused")


class BlockedCountsEmptyAnswers(GlobexModel):
    def is_answer_blocked(self, response):
        return isinstance(response, dict) and not response.get("content")


class LeaksKeyInErrors(GlobexModel):
    def classify(self, reply):
        try:
            return classify(reply)
        except ModelError as error:
            error.sent = {"Authorization": f"Bearer {secret_of(self)}"}
            raise


class LeaksKeyInParams(GlobexModel):
    def get_params(self):
        return {**super().get_params(), "login": secret_of(self)}


class LeaksKeyInRepr(GlobexModel):
    def __repr__(self):
        return f"LeaksKeyInRepr({self.options.model!r}, {secret_of(self)!r})"


class LeaksKeyInLogs(GlobexModel):
    async def complete(self, client, messages):
        logging.getLogger("globex").debug("posting with the key %s", secret_of(self))
        return await super().complete(client, messages)


class LeaksKeyInOptionErrors(GlobexModel):
    def __init__(self, model=None, **options):
        unknown = set(options) - set(GlobexOptions.model_fields)
        if unknown:
            raise ValueError(f"no_such_option? {options}")
        super().__init__(model, **options)


class OpenOptions(HttpOptions):
    base_url: str = ""
    login: str = ""

    @property
    def api_key(self) -> SecretStr:
        return SecretStr(self.login)

    temperature: float | None = None


class LeaksKeyInFiles(GlobexModel):
    options_class = OpenOptions

    def __init__(self, model=None, api_key="", **options):
        super().__init__(model, login=api_key, **options)

    async def complete(self, client, messages):
        reply = await super().complete(client, messages)
        return Reply({**reply.payload, "debug": secret_of(self)}, reply.status, reply.headers)


class IgnoresTheCap(GlobexModel):
    async def stream_abatch(self, prompts, batch_size=None, *, ordered=True):
        client = self.make_client()
        try:
            calls = [self.complete(client, [{"role": "user", "content": prompt}]) for prompt in prompts]
            for index, reply in enumerate(await asyncio.gather(*calls)):
                response = self.classify(reply)
                response["response_metadata"]["index"] = index
                yield response
        finally:
            await client.aclose()


class OneAfterTheOther(GlobexModel):
    async def stream_abatch(self, prompts, batch_size=None, *, ordered=True):
        async for response in super().stream_abatch(prompts, 1, ordered=ordered):
            yield response


class ReadsAllPrompts(GlobexModel):
    async def stream_abatch(self, prompts, batch_size=None, *, ordered=True):
        async for response in super().stream_abatch(list(prompts), batch_size, ordered=ordered):
            yield response


class StopsAtTheFirstError(GlobexModel):
    async def stream_abatch(self, prompts, batch_size=None, *, ordered=True):
        async for response in super().stream_abatch(prompts, batch_size, ordered=ordered):
            if "error" in response:
                raise ModelError(response["error"]["message"])
            yield response


class ForgetsTheIndex(GlobexModel):
    async def stream_abatch(self, prompts, batch_size=None, *, ordered=True):
        async for response in super().stream_abatch(prompts, batch_size, ordered=ordered):
            response["response_metadata"]["index"] = 0
            yield response


class NeverCloses(GlobexModel):
    async def close_client(self, client):
        self.left = client


class LeavesTasks(GlobexModel):
    async def complete(self, client, messages):
        self.watchdog = asyncio.ensure_future(asyncio.sleep(60))
        return await super().complete(client, messages)


class SwallowsCancellation(GlobexModel):
    async def complete(self, client, messages):
        try:
            return await super().complete(client, messages)
        except asyncio.CancelledError:
            return Reply({"text": "Never mind", "stop": "end"})


class BlocksTheLoop(GlobexModel):
    async def complete(self, client, messages):
        request = urllib.request.Request(
            f"{self.options.base_url}/chat", json.dumps(self._body(messages)).encode(), {"Content-Type": "x/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: ASYNC210  # the fault
            return Reply(json.load(response))


class BoundToFirstLoop(GlobexModel):
    client = None

    def make_client(self):
        if self.client is None:
            self.client = aiohttp.ClientSession()
        return self.client

    async def close_client(self, client):
        pass

    async def complete(self, client, messages):
        async with client.post(f"{self.options.base_url}/chat", json=self._body(messages)) as response:
            return Reply(await response.json(), response.status)


class SingleUse(GlobexModel):
    over = False

    async def close_client(self, client):
        self.over = True
        await super().close_client(client)

    async def complete(self, client, messages):
        if self.over:
            raise RuntimeError("this model is closed")
        return await super().complete(client, messages)


class BoundToItsProcess(GlobexModel):
    pid = os.getpid()

    async def complete(self, client, messages):
        if os.getpid() != self.pid:
            await asyncio.sleep(1)
            raise RuntimeError("wrong process")
        return await super().complete(client, messages)


class OneThreadOnly(GlobexModel):
    busy = False

    async def complete(self, client, messages):
        if self.busy:
            raise RuntimeError("one at a time")
        self.busy = True
        try:
            await asyncio.sleep(0.01)
            return await super().complete(client, messages)
        finally:
            self.busy = False


class NoNotebooks(GlobexModel):
    def invoke(self, prompt):
        return asyncio.run(self.ainvoke(prompt))


class FollowsRedirects(GlobexModel):
    def make_client(self):
        return aiohttp.ClientSession()

    async def complete(self, client, messages):
        async with client.post(f"{self.options.base_url}/chat", json=self._body(messages)) as response:
            return Reply(await response.json(content_type=None), response.status)


class RetriesDeadKeys(GlobexModel):
    def classify(self, reply):
        try:
            return classify(reply)
        except ModelError as error:
            error.retryable = True
            raise


class IgnoresWaits(GlobexModel):
    def classify(self, reply):
        try:
            return classify(reply)
        except ModelError as error:
            error.retry_after = None
            raise


class KnowsSecondsOnly(GlobexModel):
    def classify(self, reply):
        seconds = reply.headers.get("retry-after", "")
        plain = {"retry-after": seconds} if seconds.isdigit() else {}
        return classify(Reply(reply.payload, reply.status, plain))


class TrimsPrompts(GlobexModel):
    def _body(self, messages):
        return super()._body([{**one, "content": one["content"].strip()} for one in messages])


class ForcesTemperature(GlobexModel):
    def _body(self, messages):
        return {**super()._body(messages), "temperature": 0.0}


class DropsTheSystem(GlobexModel):
    def _body(self, messages):
        return super()._body([one for one in messages if one["role"] != "system"])


class AddsASystemPrompt(GlobexModel):
    def _body(self, messages):
        return super()._body([{"role": "system", "content": "Answer as JSON."}, *messages])


class DropsImages(GlobexModel):
    def _body(self, messages):
        texts = [
            one["content"] if isinstance(one["content"], str) else one["content"][0]["text"]  # type: ignore[index]
            for one in messages
        ]
        return super()._body([{**one, "content": text} for one, text in zip(messages, texts, strict=True)])  # type: ignore[typeddict-item]


class TakesAnyOption(GlobexModel):
    def __init__(self, model=None, **options):
        super().__init__(model, **{key: options[key] for key in options if key in GlobexOptions.model_fields})


class LosesPartialText(GlobexModel):
    async def stream_complete(self, client, messages):
        try:
            async for piece in super().stream_complete(client, messages):
                yield piece
        except ModelError as error:
            error.response = {"content": ""}
            raise


class TakesHalfForWhole(GlobexModel):
    async def stream_complete(self, client, messages):
        try:
            async for piece in super().stream_complete(client, messages):
                yield piece
        except ModelError as error:
            if error.kind != "connection":
                raise
            yield {"content": "", "response_metadata": {"outcome": "answered", "finish_reason": "stop"}}


class FakesStreams(GlobexModel):
    async def stream_complete(self, client, messages):
        response: ModelResponse = self.classify(await self.complete(client, messages))
        yield response["content"][:3]
        yield {"content": response["content"][3:], "response_metadata": response["response_metadata"]}


class RepeatsPieces(GlobexModel):
    async def stream_complete(self, client, messages):
        async for piece in super().stream_complete(client, messages):
            yield piece
            if isinstance(piece, str):
                yield piece


class StreamsBlocksAsErrors(GlobexModel):
    async def stream_complete(self, client, messages):
        async for piece in super().stream_complete(client, messages):
            if not isinstance(piece, str) and piece["response_metadata"]["outcome"] == "blocked":
                raise ModelError("The filter said no", kind="permission")
            yield piece


class StreamsOn(GlobexModel):
    async def stream_complete(self, client, messages):
        pieces: asyncio.Queue[Any] = asyncio.Queue()

        async def read() -> None:
            async for piece in GlobexModel.stream_complete(self, client, messages):
                pieces.put_nowait(piece)

        self.reading = asyncio.ensure_future(read())
        while True:
            piece = await pieces.get()
            yield piece
            if not isinstance(piece, str):
                return


class CallsBrokenConnectionsTimeouts(GlobexModel):
    async def complete(self, client, messages):
        try:
            return await super().complete(client, messages)
        except ModelError as error:
            raise ModelError("slow", kind="timeout" if error.kind == "connection" else error.kind) from error


class LosesBlocksInBatches(GlobexModel):
    async def stream_abatch(self, prompts, batch_size=None, *, ordered=True):
        async for response in super().stream_abatch(prompts, batch_size, ordered=ordered):
            if response["response_metadata"]["outcome"] == "blocked":
                response["response_metadata"]["outcome"] = "refused"
            yield response


class HidesErrorsOfBlockingCalls(GlobexModel):
    def invoke(self, prompt, **options):
        try:
            return super().invoke(prompt, **options)
        except ModelError:
            return {"content": "", "response_metadata": {"outcome": "empty"}}


class SendsAKeyOfItsOwn(GlobexModel):
    def make_client(self):
        return JsonHttp(self.options, headers={"Authorization": "Bearer the-authors-own-key"})


class ReturnsFailures(GlobexModel):
    def classify(self, reply):
        try:
            return classify(reply)
        except ModelError as error:
            return {"content": "", "response_metadata": {"outcome": "failed"}, "why": error.message}

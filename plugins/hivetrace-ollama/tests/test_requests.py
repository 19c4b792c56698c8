"""What is sent: options, messages, images, tools; and what is refused before anything is."""

from __future__ import annotations

from typing import Any

import pytest
from hivetrace_ollama import OllamaModel

from hivetrace_core import ConfigError, ModelError, create_model

from .conftest import Recorder

EVERYTHING: dict[str, Any] = {
    "temperature": 0.8,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.05,
    "typical_p": 0.7,
    "seed": 7,
    "max_tokens": 256,
    "num_ctx": 8192,
    "num_keep": 5,
    "stop": ["END"],
    "repeat_penalty": 1.1,
    "repeat_last_n": 64,
    "presence_penalty": 1.5,
    "frequency_penalty": 1.0,
    "mirostat": 1,
    "mirostat_tau": 0.8,
    "mirostat_eta": 0.6,
}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def body_of(recorder: Recorder, prompt: Any = "Hello", **options: Any) -> Any:
    with OllamaModel("qwen3:0.6b", base_url=recorder.url, max_attempts=1, **options) as model:
        model.invoke(prompt)
    return recorder.sent[-1]


def test_what_is_not_set_is_not_sent(recorder: Recorder) -> None:
    body = body_of(recorder)

    assert body == {"model": "qwen3:0.6b", "messages": [{"role": "user", "content": "Hello"}], "stream": False}
    assert recorder.paths == ["/api/chat"]
    assert "authorization" not in recorder.headers[-1]


def test_sampling_options_go_into_options_and_max_tokens_is_num_predict(recorder: Recorder) -> None:
    body = body_of(recorder, **EVERYTHING, options={"num_gpu": 20})

    sent = body["options"]
    assert sent.pop("num_predict") == 256
    assert sent.pop("num_gpu") == 20
    assert sent == {name: value for name, value in EVERYTHING.items() if name != "max_tokens"}
    assert set(body) == {"model", "messages", "stream", "options"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "json"),
        ("format", {"type": "object", "properties": {}}),
        ("think", True),
        ("think", False),
        ("think", "high"),
        ("keep_alive", "10m"),
        ("keep_alive", 0),
        ("keep_alive", -1),
        ("keep_alive", 1.5),
        ("tools", [TOOL]),
        ("truncate", False),
        ("shift", False),
        ("logprobs", True),
    ],
)
def test_the_other_options_stand_in_the_request_itself(name: str, value: Any, recorder: Recorder) -> None:
    body = body_of(recorder, **{name: value})

    assert body[name] == value
    assert isinstance(body[name], type(value))
    assert "options" not in body


def test_a_single_stop_string_is_sent_as_the_list_that_the_server_wants(recorder: Recorder) -> None:
    assert body_of(recorder, stop="END")["options"] == {"stop": ["END"]}
    assert body_of(recorder, top_logprobs=3, logprobs=True)["top_logprobs"] == 3


def test_anything_else_goes_through_extra_body(recorder: Recorder) -> None:
    assert body_of(recorder, extra_body={"dimensions": 3})["dimensions"] == 3


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"temperatur": 1}, "did you mean 'temperature'"),
        ({"temperature": -1}, "temperature"),
        ({"think": "hihg"}, "think"),
        ({"format": "xml"}, "format"),
        ({"mirostat": 3}, "mirostat"),
        ({"num_ctx": 0}, "num_ctx"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        ({"top_logprobs": 2}, "needs logprobs"),
        ({"max_tokens": 5, "options": {"num_predict": 7}}, "max_tokens and options.num_predict mean the same"),
        ({"temperature": 0, "options": {"temperature": 1}}, "temperature and options.temperature mean the same"),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        OllamaModel("m", **options)


def test_roles_and_thinking_are_sent_as_they_are(recorder: Recorder) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "human", "content": "Hi"},
        {"role": "assistant", "content": "Hello", "thinking": "A greeting."},
        {"role": "user", "content": "Привет \ud800"},
    ]

    assert body_of(recorder, messages)["messages"] == [
        messages[0],
        {"role": "user", "content": "Hi"},
        messages[2],
        messages[3],
    ]


def test_images_are_sent_as_base64_beside_the_text(recorder: Recorder) -> None:
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image", "data": "QUJD", "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,REVG"}},
        {"type": "text", "text": "this?"},
    ]

    message = body_of(recorder, [{"role": "user", "content": parts}])["messages"][0]

    assert message == {"role": "user", "content": "What is\nthis?", "images": ["QUJD", "REVG"]}
    assert "images" not in body_of(recorder, [{"role": "user", "content": parts[:1]}])["messages"][0]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"role": "user", "content": [{"type": "image", "url": "https://e.example/a.png"}]}, "message 2.*by URL"),
        ({"role": "user", "content": [{"type": "image", "url": "/etc/passwd"}]}, "by URL"),
        ({"role": "developer", "content": "Be brief."}, "no role 'developer'.*message 2"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_ollama_has_no_form_for_is_refused_and_nothing_is_sent(
    message: Any, problem: str, stream: bool, recorder: Recorder
) -> None:
    prompt = [{"role": "system", "content": "x"}, message]
    with OllamaModel("m", base_url=recorder.url) as model, pytest.raises(ModelError, match=problem) as caught:
        list(model.stream(prompt)) if stream else model.invoke(prompt)

    assert caught.value.kind == "bad_request"
    assert recorder.sent == []


def test_tool_turns_are_sent_with_arguments_as_objects(recorder: Recorder) -> None:
    def call(arguments: Any) -> dict[str, Any]:
        return {"id": "1", "function": {"name": "look_up", "arguments": arguments}}

    asked = {"role": "assistant", "content": None, "tool_calls": [call('{"word": "x"}'), call({"a": 1}), call("{"), 7]}
    told = {"role": "tool", "content": "found", "tool_name": "look_up", "tool_call_id": "1"}

    messages = body_of(recorder, [{"role": "user", "content": "Hi"}, asked, told])["messages"]

    assert messages[1]["content"] == ""
    assert messages[1]["tool_calls"] == [call({"word": "x"}), call({"a": 1}), call("{"), 7]
    assert messages[2] == told


def test_the_key_and_extra_headers_are_sent(recorder: Recorder) -> None:
    body_of(recorder, api_key="key-12345", extra_headers={"X-Team": "red"})

    assert recorder.headers[-1]["authorization"] == "Bearer key-12345"
    assert recorder.headers[-1]["x-team"] == "red"


def test_it_is_found_by_its_name_and_ids_stay_whole() -> None:
    model: Any = create_model("ollama/hf.co/bartowski/Llama-3.2-1B:Q4_K_M", options={"num_gpu": 1})

    assert model.options.model == "hf.co/bartowski/Llama-3.2-1B:Q4_K_M"
    assert model.options.parameters()["options"] == {"num_gpu": 1}
    assert model.get_params()["provider"] == "ollama"
    assert create_model("ollama/qwen3:0.6b").get_params()["model_name"] == "qwen3:0.6b"


def test_defaults_leave_time_for_the_servers_queue_and_for_loading() -> None:
    options = OllamaModel("m").options

    assert (options.batch_size, options.max_concurrency, options.timeout, options.deadline) == (4, None, 600, 1800)

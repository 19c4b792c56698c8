"""Which options are accepted, what goes into a request, and where the key goes."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hivetrace_gemini import GeminiNativeModel, GeminiOptions, GeminiParams
from hivetrace_gemini.dialect import GeminiDialect

from hivetrace_core import ConfigError, ModelError, create_model
from hivetrace_core.mockserver import MockServer

KEY = "AIza-canary-8c41f0e2"
OFFICIAL = "https://generativelanguage.googleapis.com/v1beta"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def options_of(**given: Any) -> GeminiOptions:
    return GeminiOptions(**{"model": "gemini-2.5-flash", "api_key": KEY, **given})


def test_the_documented_constructor_works_as_written() -> None:
    model = GeminiNativeModel(model="gemini-2.5-flash-preview-04-17", api_key="...")

    assert model.options.base_url == OFFICIAL
    assert model.options.path("generateContent") == "models/gemini-2.5-flash-preview-04-17:generateContent"
    assert model.options.parameters() == {}


def test_a_missing_key_names_the_option_and_both_variables() -> None:
    with pytest.raises(ConfigError, match=r"api_key=\.\.\. or set GOOGLE_API_KEY or GEMINI_API_KEY"):
        GeminiNativeModel(model="gemini-2.5-flash")


@pytest.mark.parametrize(
    ("environment", "argument", "key"),
    [
        ({"GEMINI_API_KEY": "key-of-gemini"}, None, "key-of-gemini"),
        ({"GOOGLE_API_KEY": "key-of-google"}, None, "key-of-google"),
        ({"GEMINI_API_KEY": "key-of-gemini", "GOOGLE_API_KEY": "key-of-google"}, None, "key-of-google"),
        ({"GEMINI_API_KEY": "key-of-gemini", "GOOGLE_API_KEY": ""}, None, "key-of-gemini"),
        ({"GEMINI_API_KEY": "key-of-gemini", "GOOGLE_API_KEY": "key-of-google"}, "key-of-mine", "key-of-mine"),
    ],
)
def test_the_key_comes_from_the_argument_or_the_first_variable_that_is_set(
    environment: dict[str, str], argument: str | None, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    model = GeminiNativeModel(model="m", api_key=argument)

    assert model.options.auth_headers() == {"x-goog-api-key": key}


@pytest.mark.parametrize(
    ("google", "argument", "warned"),
    [("key-of-google", None, True), ("key-of-gemini", None, False), ("key-of-google", "key-of-mine", False)],
)
def test_two_different_keys_in_the_environment_are_pointed_out(
    google: str, argument: str | None, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "key-of-gemini")
    monkeypatch.setenv("GOOGLE_API_KEY", google)

    with caplog.at_level(logging.WARNING, "hivetrace_gemini"):
        GeminiNativeModel(model="m", api_key=argument)

    assert ("GOOGLE_API_KEY is used" in caplog.text) is warned
    assert "key-of" not in caplog.text


def test_what_is_set_goes_into_the_request_under_the_apis_names() -> None:
    body = options_of(
        temperature=0,
        top_p=0.5,
        top_k=40,
        max_tokens=256,
        stop="END",
        seed=0,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        response_mime_type="application/json",
        response_schema={"type": "STRING"},
        thinking_budget=0,
        include_thoughts=False,
        safety_settings={"harassment": "BLOCK_NONE", "HARM_CATEGORY_HATE_SPEECH": "OFF"},
        tools=[{"functionDeclarations": [{"name": "look_up"}]}],
        tool_config={"functionCallingConfig": {"mode": "ANY"}},
        generation_config={"mediaResolution": "MEDIA_RESOLUTION_LOW", "topK": 7},
    ).parameters()

    assert body == {
        "generationConfig": {
            "temperature": 0,
            "topP": 0.5,
            "topK": 7,
            "maxOutputTokens": 256,
            "seed": 0,
            "presencePenalty": 0.5,
            "frequencyPenalty": -0.5,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "STRING"},
            "stopSequences": ["END"],
            "thinkingConfig": {"thinkingBudget": 0, "includeThoughts": False},
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
        },
        "safetySettings": [
            {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"},
            {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "OFF"},
        ],
        "tools": [{"functionDeclarations": [{"name": "look_up"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    }


@pytest.mark.parametrize(
    ("given", "config"),
    [
        ({"thinking_level": "low"}, {"thinkingConfig": {"thinkingLevel": "LOW"}}),
        ({"include_thoughts": True}, {"thinkingConfig": {"includeThoughts": True}}),
        ({"thinking_budget": -1}, {"thinkingConfig": {"thinkingBudget": -1}}),
        ({"stop": ["a", "b"]}, {"stopSequences": ["a", "b"]}),
        ({"response_json_schema": {"type": "string"}}, {"responseJsonSchema": {"type": "string"}}),
    ],
)
def test_each_setting_goes_alone_where_it_is_alone(given: dict[str, Any], config: dict[str, Any]) -> None:
    assert options_of(**given).parameters() == {"generationConfig": config}


def test_safety_settings_may_have_the_apis_own_form() -> None:
    setting = {"category": "HARM_CATEGORY_JAILBREAK", "threshold": "BLOCK_NONE", "method": "SEVERITY"}

    assert options_of(safety_settings=[setting]).parameters() == {"safetySettings": [setting]}


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "models/gemini-2.5-flash:generateContent"),
        ("models/gemini-2.5-flash", "models/gemini-2.5-flash:generateContent"),
        ("tunedModels/mine-1", "tunedModels/mine-1:generateContent"),
        ("others/x", "models/others%2Fx:generateContent"),
        ("a?b#c/../d", "models/a%3Fb%23c%2F..%2Fd:generateContent"),
        ("tunedModels/a/../b", "tunedModels/a%2F..%2Fb:generateContent"),
    ],
)
def test_an_id_stays_within_its_place_in_the_path(model: str, path: str) -> None:
    assert options_of(model=model).path("generateContent") == path


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": ""}, "'model'"),
        ({"model": " gemini-2.5-flash"}, "without blanks"),
        ({"model": "models/"}, "without blanks"),
        ({"thinking_budget": 1, "thinking_level": "low"}, "exclude each other"),
        ({"thinking_budget": -2}, "thinking_budget"),
        ({"response_schema": {}, "response_json_schema": {}}, "exclude each other"),
        ({"temperature": -1}, "temperature"),
        ({"max_output_tokens": 5}, "did you mean 'max_tokens'"),
        ({"candidate_count": 2}, "unknown option 'candidate_count'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GeminiNativeModel(**{"model": "m", "api_key": KEY, **wrong})


def test_the_constructors_types_are_those_of_the_options() -> None:
    assert set(get_type_hints(GeminiParams)) == set(GeminiOptions.model_fields) - {"model"}


def test_every_option_of_its_own_is_described() -> None:
    assert [name for name, field in GeminiOptions.model_fields.items() if not field.description] == []


def test_a_name_in_a_config_finds_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)

    for name in ("gemini/gemini-2.5-flash", "gemini-2.5-flash"):
        assert isinstance(create_model(name), GeminiNativeModel)


def test_the_key_is_in_a_header_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    script = {"rules": [{"match": "leak", "error": "authentication"}]}
    caplog.set_level(logging.DEBUG)
    with MockServer(script, dialects=[GeminiDialect()]) as server:
        model = GeminiNativeModel(model="m", base_url=server.url("gemini"), api_key=KEY)
        with model:
            list(model.stream("Hello"))
            with pytest.raises(ModelError) as caught:
                model.invoke("leak")
            shown = [str(model.get_params()), repr(model), repr(model.options), caught.value.message, caplog.text]
        paths = [record.path for record in server.log]

    assert paths == [
        "/gemini/v1beta/models/m:streamGenerateContent?alt=sse",
        "/gemini/v1beta/models/m:generateContent",
    ]
    assert not [text for text in shown if KEY in text]


def test_what_a_server_says_about_the_key_does_not_show_it() -> None:
    told = {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": f"Consumer 'api_key:{KEY}' is suspended"}}

    async def ask() -> ModelError:
        from aiohttp import web

        async def answer(request: web.Request) -> web.Response:
            return web.json_response(told, status=403)

        app = web.Application()
        app.router.add_post("/{tail:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with GeminiNativeModel(model="m", base_url=url, api_key=KEY) as model:
                with pytest.raises(ModelError) as caught:
                    await model.ainvoke("Hello")
                return caught.value
        finally:
            await runner.cleanup()

    error = asyncio.run(ask())

    assert error.kind == "authentication"
    assert KEY not in error.message


def test_a_light_import_brings_neither_an_sdk_nor_http() -> None:
    code = (
        "import sys, hivetrace_gemini, hivetrace_gemini.options, hivetrace_gemini.outcomes, hivetrace_gemini.dialect\n"
        "assert next(hivetrace_gemini.hivetrace_models()).name == 'gemini'\n"
        "print(sorted({'aiohttp', 'google.genai', 'httpx2', 'hivetrace_gemini.model'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_package_says_that_it_is_typed() -> None:
    import hivetrace_gemini

    assert Path(hivetrace_gemini.__file__).with_name("py.typed").exists()
    with pytest.raises(AttributeError, match="no attribute 'GeminiModel'"):
        _ = hivetrace_gemini.GeminiModel

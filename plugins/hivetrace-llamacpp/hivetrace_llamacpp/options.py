"""Options of the model. Imports nothing native and opens no file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, field_validator, model_validator

from hivetrace_core import ModelOptions

DEFAULT_SLOTS: Final = 8
"""Enough for most of the gain of batching on a CPU; a GPU takes 16 to 32."""

MAX_SLOTS: Final = 250
"""llama.cpp takes 256 sequences; a few are the prefix cache's."""


class LlamaCppOptions(ModelOptions):
    """What can be set about the file, the memory, the prompt's form and the sampling.

    The sampling defaults are those of llama-cpp-python's chat completions. Waiting is not bounded by default, because a
    local model always makes progress; and nothing that fails here would succeed the second time.
    """

    model: str = Field(default="", description="Name in the responses; by default the file's name without `.gguf`.")
    model_path: Path = Field(description="The GGUF file; of a split model its first part.")

    n_ctx: int = Field(
        default=4096, ge=64, le=16_777_216, description="Tokens of one request, prompt and answer together."
    )
    batch_size: int = Field(
        default=DEFAULT_SLOTS, ge=1, le=MAX_SLOTS, description="Prompts that are answered at the same time."
    )
    kv_cells: int | None = Field(
        default=None,
        ge=64,
        description="Tokens that the cache holds for all requests together; by default n_ctx x batch_size, or what "
        "fits into half of the free memory, but at least one request.",
    )
    n_gpu_layers: int = Field(
        default=0,
        ge=-1,
        le=100_000,
        description="Layers on the GPU: 0 for none, -1 for all where there is a usable GPU (else a warning), "
        "a number as a demand.",
    )
    n_threads: int | None = Field(
        default=None, ge=1, le=512, description="Threads of the computation; by default the CPUs of this process."
    )
    n_batch: int = Field(
        default=512, ge=32, le=65_536, description="Most tokens of one step; smaller ones let streams stall for less."
    )
    deterministic: bool = Field(
        default=False,
        description="On a CPU, answers equal to those of one prompt at a time, bit for bit; slower, and each of the "
        "batch_size sequences takes n_ctx cells.",
    )
    flash_attn: bool | None = Field(default=None, description="Flash attention; by default where llama.cpp can use it.")
    prefix_cache: bool = Field(
        default=True, description="Read what prompts have in common (a system prompt) only once."
    )
    use_mmap: bool = Field(default=True, description="False reads the whole file into memory at the start.")

    chat_format: str | None = Field(
        default=None,
        description="One of llama.cpp's formats (chatml, llama3, ...), or `raw` for no format; by default the template "
        "in the file.",
    )
    chat_template: str | None = Field(default=None, description="A Jinja template in place of the one in the file.")
    chat_template_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Variables for the template, such as enable_thinking."
    )
    parse_special: bool = Field(
        default=False,
        description="True lets control tokens that are written in a prompt (<|im_end|>) act as such; "
        "by default they are plain text.",
    )

    max_tokens: int | None = Field(
        default=None, ge=1, description="Longest answer in tokens; by default up to the end of n_ctx."
    )
    temperature: float = Field(default=0.2, ge=0, le=1000, description="0 takes the likeliest token.")
    top_k: int = Field(default=40, ge=0, le=2**31 - 1, description="Likeliest tokens that are kept; 0 for all.")
    top_p: float = Field(default=0.95, ge=0, le=1, description="Share of the probability that is kept; 1 for all.")
    min_p: float = Field(
        default=0.05, ge=0, le=1, description="Least probability, as a share of the likeliest token's; 0 for none."
    )
    repeat_penalty: float = Field(default=1.0, gt=0, le=1000, description="Above 1, repeated tokens are less likely.")
    frequency_penalty: float = Field(
        default=0.0, ge=-100, le=100, description="Above 0, tokens are less likely the more often they came."
    )
    presence_penalty: float = Field(
        default=0.0, ge=-100, le=100, description="Above 0, tokens that came at all are less likely."
    )
    penalty_last_n: int = Field(default=64, ge=0, le=1_000_000, description="Tokens that the penalties look back on.")
    seed: int | None = Field(
        default=None, ge=0, le=2**32 - 2, description="The same for each request; by default another one each time."
    )
    stop: str | list[str] | None = Field(
        default=None, description="Texts that end the answer; they are not part of it."
    )
    grammar: str | None = Field(
        default=None, description="A GBNF grammar that the answer follows; its start is `root`."
    )
    response_format: dict[str, Any] | None = Field(
        default=None, description="{type: json_object}, with a JSON schema under `schema` if wanted."
    )

    timeout: float | None = Field(default=None, gt=0, description="Seconds for one answer.")
    max_attempts: int = Field(default=1, ge=1, le=100, description="Attempts for one prompt.")
    deadline: float | None = Field(default=None, gt=0, description="Seconds for one prompt, waits included.")

    @field_validator("model_path")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        if "\0" in str(value):
            raise ValueError("model_path has a NUL character, which no file's name has")
        try:
            os.fsencode(value)
        except UnicodeEncodeError:
            raise ValueError("model_path has characters that no file's name can have here") from None
        try:
            return value.expanduser()
        except RuntimeError:
            raise ValueError(f"model_path: there is no user {value.parts[0]}") from None

    @field_validator("stop")
    @classmethod
    def _some_text(cls, value: str | list[str] | None) -> str | list[str] | None:
        if value is not None and "" in ([value] if isinstance(value, str) else value):
            raise ValueError("stop: an empty text would end every answer at once; remove it")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.chat_format is not None and self.chat_template is not None:
            raise ValueError("chat_format and chat_template exclude each other: pass one of them")
        if self.grammar is not None and self.response_format is not None:
            raise ValueError("grammar and response_format exclude each other: pass one of them")
        if self.kv_cells is not None and self.kv_cells < self.n_ctx:
            raise ValueError(
                f"kv_cells ({self.kv_cells}) must hold at least one request of n_ctx ({self.n_ctx}) tokens"
            )
        if not self.model:
            object.__setattr__(self, "model", self.model_path.name.removesuffix(".gguf") or "model")
        return self

    def stops(self) -> tuple[str, ...]:
        """The stop texts."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

"""Makes a GGUF file with random weights: a model whose answers are nonsense, for trying things out and for tests.

    python -m hivetrace_llamacpp.sample model.gguf                             # 3 MB, written at once
    python -m hivetrace_llamacpp.sample model.gguf --size medium --quant q4_0  # 250 MB, the shape of a 0.5B model

Nothing is downloaded. The tokenizer is a byte-level BPE, so that any text can be read; the chat template is ChatML's.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

CONTROL: Final = ("<|begin|>", "<|pad|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_WORDS: Final = """
the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not what
all were we when your can said there use an each which she do how their if will up other about out many then them these
prompt answer system user assistant model question secret instruction ignore previous rule never always please write
и в не на я что он с как это по но они мы весь за был так же от меня ещё нет если ли или бы когда только уже вопрос
ответ инструкция правило секрет пользователь модель система напиши покажи забудь повтори почему где куда спасибо
"""
_ALIGNMENT: Final = 32


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model of the llama architecture."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int
    context: int


SHAPES: Final = {
    "tiny": Shape(width=128, layers=3, heads=4, kv_heads=2, inner=256, vocabulary=1024, context=8192),
    "medium": Shape(width=896, layers=24, heads=14, kv_heads=2, inner=4864, vocabulary=32000, context=32768),
}


def write_model(
    path: Path,
    *,
    shape: Shape = SHAPES["tiny"],
    seed: int = 7,
    half: bool = False,
    chat_template: str | None = CHAT_TEMPLATE,
    end_gain: float = 0.0,
    overrides: dict[str, Any] | None = None,
) -> Path:
    """Write a model.

    Args:
        path: The file to write.
        shape: Sizes.
        seed: Another seed, another model.
        half: F16 in place of F32.
        chat_template: The template in the metadata; None for none.
        end_gain: How likely the model ends an answer by itself; with 0 it never does where tokens are chosen greedily.
        overrides: Metadata to add or replace.
    """
    tokens, merges = _vocabulary(shape.vocabulary)
    first_control = len(tokens) - len(CONTROL)
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": f"random-{seed}",
        "general.file_type": 1 if half else 0,
        "llama.context_length": shape.context,
        "llama.embedding_length": shape.width,
        "llama.block_count": shape.layers,
        "llama.feed_forward_length": shape.inner,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "llama.rope.dimension_count": shape.width // shape.heads,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * first_control + [3] * len(CONTROL),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": first_control,
        "tokenizer.ggml.padding_token_id": first_control + 1,
        "tokenizer.ggml.eos_token_id": first_control + 3,
        "tokenizer.ggml.add_bos_token": False,
    }
    if chat_template is not None:
        metadata["tokenizer.chat_template"] = chat_template
    metadata.update(overrides or {})
    weights = _weights(shape, len(tokens), seed, end_gain)
    _write(path, metadata, list(_tensor_shapes(shape, len(tokens))), weights, np.float16 if half else np.float32)
    return path


def _tensor_shapes(shape: Shape, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and extents, rows first; one extent for the vectors of the norms."""
    kv_width = shape.width // shape.heads * shape.kv_heads
    yield "token_embd.weight", (vocabulary, shape.width)
    yield "output.weight", (vocabulary, shape.width)
    yield "output_norm.weight", (shape.width,)
    for layer in range(shape.layers):
        yield f"blk.{layer}.attn_norm.weight", (shape.width,)
        yield f"blk.{layer}.ffn_norm.weight", (shape.width,)
        yield f"blk.{layer}.attn_q.weight", (shape.width, shape.width)
        yield f"blk.{layer}.attn_k.weight", (kv_width, shape.width)
        yield f"blk.{layer}.attn_v.weight", (kv_width, shape.width)
        yield f"blk.{layer}.attn_output.weight", (shape.width, shape.width)
        yield f"blk.{layer}.ffn_gate.weight", (shape.inner, shape.width)
        yield f"blk.{layer}.ffn_up.weight", (shape.inner, shape.width)
        yield f"blk.{layer}.ffn_down.weight", (shape.width, shape.inner)


def _weights(shape: Shape, vocabulary: int, seed: int, end_gain: float) -> Iterator[NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    for name, extents in _tensor_shapes(shape, vocabulary):
        if len(extents) == 1:
            yield np.ones(extents, np.float32)
            continue
        matrix = random.standard_normal(extents, np.float32) / np.float32(np.sqrt(extents[1]))
        if name == "token_embd.weight":
            matrix *= np.float32(np.sqrt(shape.width))
        elif name == "output.weight":
            matrix *= 3
            end = matrix[-1] * np.float32(end_gain)
            matrix[-len(CONTROL) :] = 0
            matrix[-1] = end
        yield matrix


def _vocabulary(size: int) -> tuple[list[str], list[str]]:
    """Byte symbols, the beginnings of some words, made-up pieces up to the size, control tokens; and the merges."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in printable)
    symbols = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    tokens = dict.fromkeys(symbols.values())
    merges: list[str] = []

    def merge(left: str, right: str) -> None:
        if left + right not in tokens and len(tokens) < size - len(CONTROL):
            tokens[left + right] = None
            merges.append(f"{left} {right}")

    for word in _WORDS.split():
        letters = [symbols[byte] for byte in f" {word}".encode()]
        for end in range(1, len(letters)):
            merge("".join(letters[:end]), letters[end])
    alphabet = [chr(letter) for letter in range(ord("a"), ord("z") + 1)]
    for length in (2, 3, 4):
        for beginning in product(alphabet, repeat=length - 1):
            for letter in alphabet:
                merge("".join(beginning), letter)
            if len(tokens) >= size - len(CONTROL):
                return [*tokens, *CONTROL], merges
    raise ValueError(f"{size} is too large a vocabulary")


def _write(
    path: Path,
    metadata: dict[str, Any],
    shapes: Sequence[tuple[str, tuple[int, ...]]],
    weights: Iterable[NDArray[np.float32]],
    precision: type[np.float16 | np.float32],
) -> None:
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(metadata)))
        for key, value in metadata.items():
            file.write(_text(key) + _value(value))
        offset = 0
        for name, extents in shapes:
            single = len(extents) == 1  # norms stay F32
            size = int(np.prod(extents)) * (4 if single else np.dtype(precision).itemsize)
            file.write(_text(name) + struct.pack("<I", len(extents)))
            file.write(struct.pack(f"<{len(extents)}Q", *reversed(extents)))
            file.write(struct.pack("<IQ", 1 if precision is np.float16 and not single else 0, offset))
            offset += size + -size % _ALIGNMENT
        _pad(file)
        for matrix in weights:
            file.write(matrix.astype(precision if matrix.ndim > 1 else np.float32).tobytes())
            _pad(file)


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    """A value with its type in front: truth value, 32-bit numbers, text, and lists of texts or numbers."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
    return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)


def quantize(source: Path, target: Path, quant: str, threads: int = 2) -> None:
    """Write a smaller copy of a model.

    Args:
        source: A GGUF file with F16 or F32 weights.
        target: The file to write.
        quant: `q4_0`, `q8_0` or `q4_k_m`.
        threads: How many to use.
    """
    from .native import library

    lib = library()
    parameters = lib.llama_model_quantize_default_params()
    parameters.ftype = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{quant.upper()}")
    parameters.nthread = threads
    if lib.llama_model_quantize(str(source).encode(), str(target).encode(), parameters):
        raise RuntimeError(f"{source} could not be quantized")


def main(arguments: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m hivetrace_llamacpp.sample", description="Write a random model.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--size", choices=SHAPES, default="tiny")
    parser.add_argument("--quant", choices=["f16", "q4_0", "q8_0", "q4_k_m"])
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args(arguments)
    if given.quant in (None, "f16"):
        write_model(given.path, shape=SHAPES[given.size], seed=given.seed, half=given.quant == "f16")
    else:
        raw = given.path.with_name(given.path.name + ".f16")
        write_model(raw, shape=SHAPES[given.size], seed=given.seed, half=True)
        quantize(raw, given.path, given.quant)
        raw.unlink()
    print(f"{given.path}: {given.path.stat().st_size / 1e6:.1f} MB")  # noqa: T201  # a command's output


if __name__ == "__main__":
    main(sys.argv[1:])

"""Others that answer several prompts at a time: llama-server, and xllamacpp, which has it inside the process."""

from __future__ import annotations

import http.client
import importlib
import json
import socket
import subprocess
import time
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _prompts import Chat

Ask = Callable[[Chat, int], dict[str, Any]]


def _contest(ask: Ask, prompts: list[Chat], slots: int, new: int) -> dict[str, Any]:
    """As many prompts at a time as there are slots."""
    ask([{"role": "user", "content": "warm up"}], 4)
    begin = time.perf_counter()
    with ThreadPoolExecutor(slots) as pool:
        usages = list(pool.map(lambda prompt: ask(prompt, new)["usage"], prompts))
    return {
        "wall_s": time.perf_counter() - begin,
        "read": sum(usage["prompt_tokens"] for usage in usages),
        "written": sum(usage["completion_tokens"] for usage in usages),
    }


def _body(prompt: Chat, new: int) -> dict[str, Any]:
    return {"messages": prompt, "max_tokens": new, "temperature": 0, "cache_prompt": True}


def server(given: Namespace, prompts: list[Chat], slots: int) -> dict[str, Any]:
    """llama-server over HTTP on this machine, as it is without further flags."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sizes = ["-c", str(given.n_ctx * slots), "-np", str(slots), "-b", "512", "-ub", "512"]
    threads = ["-t", str(given.threads), "-tb", str(given.threads), "-ngl", str(given.gpu_layers)]
    process = subprocess.Popen(
        [given.server, "-m", given.model, "--host", "127.0.0.1", "--port", str(port), *sizes, *threads],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ask(prompt: Chat, new: int) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        try:
            connection.request(
                "POST", "/v1/chat/completions", json.dumps(_body(prompt, new)), {"Content-Type": "application/json"}
            )
            reply = connection.getresponse()
            answer: dict[str, Any] = json.loads(reply.read())
            if reply.status != 200:
                raise RuntimeError(f"llama-server: {reply.status} {answer}")
            return answer
        finally:
            connection.close()

    try:
        _await_ready(process, port)
        result = _contest(ask, prompts, slots, given.new)
        lines = Path(f"/proc/{process.pid}/status").read_text("ascii").splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
        return {**result, "rss_mb": round(peak / 1024)}
    finally:
        process.terminate()
        process.wait()


def _await_ready(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"llama-server ended with {process.returncode}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("llama-server does not become ready")


def xllamacpp(given: Namespace, prompts: list[Chat], slots: int) -> dict[str, Any]:
    """xllamacpp's server object, called without HTTP."""
    package = importlib.import_module("xllamacpp")
    parameters = package.CommonParams()
    parameters.model.path = given.model
    parameters.n_ctx = given.n_ctx * slots
    parameters.n_parallel = slots
    parameters.n_batch = parameters.n_ubatch = 512
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = given.threads
    parameters.n_gpu_layers = given.gpu_layers
    parameters.verbosity = -1
    engine = package.Server(parameters)

    def ask(prompt: Chat, new: int) -> dict[str, Any]:
        answer: dict[str, Any] = engine.handle_chat_completions(_body(prompt, new))
        return answer

    return _contest(ask, prompts, slots, given.new)

"""Load for a server: sockets that send ready-made bytes and read until the end of an answer, and nothing else."""

from __future__ import annotations

import json
import selectors
import socket
from urllib.parse import urlsplit

from ._turns import KEY, MODEL, Asked, Outcomes, prompts, serve, settings

told = settings()
url = urlsplit(told["base_url"])
selector = selectors.DefaultSelector()
sockets: list[socket.socket] = []


def request(prompt: str) -> bytes:
    body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "stream": bool(told.get("stream"))}
    raw = json.dumps(body).encode()
    head = (
        f"POST {url.path}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {KEY}\r\n"
        "Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: bare sockets\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


def take_turn(asked: Asked) -> Outcomes:
    while len(sockets) < told["width"]:
        made = socket.create_connection((url.hostname or "", url.port or 80))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.append(made)
        selector.register(made, selectors.EVENT_READ)
    # A few different prompts are enough; making more would be work of the load's.
    ready = [request(prompt) for prompt in prompts({"count": 100})]
    left = asked["count"]
    answered = 0
    for each in sockets[:left]:
        each.send(ready[left % 100])
        left -= 1
    while answered < asked["count"]:
        for key, _ in selector.select():
            each = key.fileobj  # type: ignore[assignment]  # what was registered
            data = each.recv(65536)
            assert data, "the server has closed a connection"
            if not data.endswith((b"}}", b"0\r\n\r\n")):
                continue
            answered += 1
            if left:
                each.send(ready[left % 100])
                left -= 1
    return {"answered": answered}


if __name__ == "__main__":
    serve(take_turn)

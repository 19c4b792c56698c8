"""Certificates: verified by default, against a private CA when told so, and not at all only with a warning."""

import asyncio
import datetime as dt
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest

from hivetrace_core import ConfigError, ModelError
from hivetrace_core.http import HttpOptions, JsonHttp, tls


async def failure(client: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await client.post("/", {})
    return caught.value


def test_a_private_ca_is_refused_by_default_and_the_message_names_ca_bundle(play: Any, authority: Any) -> None:
    async def main() -> None:
        async with play.wire(play.answer(), tls=authority.server()) as wire, play.client(wire.url) as client:
            error = await failure(client)

        assert (error.kind, error.retryable) == ("connection", False)
        assert error.message.startswith(f"{wire.url}: the server's certificate was not accepted (")
        assert "set ca_bundle to that CA's PEM file" in error.message
        assert wire.requests == []

    asyncio.run(main())


def test_a_private_ca_is_trusted_through_ca_bundle(play: Any, authority: Any) -> None:
    async def main() -> None:
        async with (
            play.wire(play.answer(), tls=authority.server()) as wire,
            play.client(wire.url, ca_bundle=authority.pem) as client,
        ):
            assert (await client.post("/", {})).payload == {"ok": True}
            assert (await client.post("/", {})).payload == {"ok": True}
            async with client.sse("/", {}) as stream:
                assert stream.reply.payload == {"ok": True}

        assert wire.connections == 1

    asyncio.run(main())


def test_ca_bundle_trusts_nobody_else(play: Any, authority: Any, tmp_path: Path) -> None:
    import trustme

    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))

    async def main() -> None:
        async with (
            play.wire(play.answer(), tls=authority.server()) as wire,
            play.client(wire.url, ca_bundle=other) as client,
        ):
            error = await failure(client)

        assert (error.kind, error.retryable) == ("connection", False)

    asyncio.run(main())


def test_a_certificate_for_another_host_points_at_base_url(play: Any, authority: Any) -> None:
    async def main() -> None:
        async with (
            play.wire(play.answer(), tls=authority.server("other.example")) as wire,
            play.client(wire.url, ca_bundle=authority.pem) as client,
        ):
            by_name = await failure(client)
            async with play.client(f"https://127.0.0.1:{wire.port}", ca_bundle=authority.pem) as numeric:
                by_address = await failure(numeric)

        for error in (by_name, by_address):
            assert "check base_url: the certificate is for another host" in error.message
            assert "ca_bundle" not in error.message
            assert error.retryable is False

    asyncio.run(main())


def test_an_expired_certificate_is_called_that(play: Any, authority: Any) -> None:
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)

    async def main() -> None:
        async with (
            play.wire(play.answer(), tls=authority.server(not_after=long_ago)) as wire,
            play.client(wire.url, ca_bundle=authority.pem) as client,
        ):
            error = await failure(client)

        assert "(certificate has expired); its owner has to renew it, or this machine's clock is wrong" in error.message
        assert error.retryable is False

    asyncio.run(main())


def test_unverified_tls_works_and_is_warned_of_once_per_host(
    play: Any, authority: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_warned", set())

    async def main() -> None:
        async with play.wire(play.answer(), tls=authority.server("other.example")) as wire:
            for _ in range(2):
                async with play.client(wire.url, verify_tls=False) as client:
                    assert (await client.post("/", {})).payload == {"ok": True}
            async with play.client(f"https://127.0.0.1:{wire.port}", verify_tls=False) as client:
                await client.post("/", {})
            async with play.client("http://localhost", verify_tls=False):
                pass  # no TLS, nothing to warn of
        hosts = [f"localhost:{wire.port}", f"127.0.0.1:{wire.port}"]

        assert [record.args for record in caplog.records] == [(host,) for host in hosts]

    with caplog.at_level(logging.WARNING, "hivetrace_core.http"):
        asyncio.run(main())

    assert "are not verified (verify_tls=False)" in caplog.text
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_bundle_that_has_gone_since_is_a_config_error(authority: Any, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(authority.pem.read_bytes())
    options = HttpOptions(base_url="https://api.example", ca_bundle=bundle)
    bundle.unlink()

    async def main() -> None:
        with pytest.raises(ConfigError, match=rf"ca_bundle: {bundle} cannot be read \(No such file or directory\)\."):
            JsonHttp(options)

    asyncio.run(main())


def test_tls_towards_a_plain_port_says_what_to_check(play: Any, authority: Any) -> None:
    async def main() -> None:
        async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with play.listen(plain) as port, play.client(f"https://localhost:{port}") as client:
            error = await failure(client)

        assert (error.kind, error.retryable) == ("connection", False)
        assert "TLS failed (WRONG_VERSION_NUMBER); check the scheme and the port of base_url" in error.message

    asyncio.run(main())


def test_a_handshake_that_breaks_off_may_be_tried_again(play: Any) -> None:
    async def main() -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with play.listen(hang_up) as port, play.client(f"https://localhost:{port}") as client:
            error = await failure(client)

        assert (error.kind, error.retryable) == ("connection", True)

    asyncio.run(main())


def test_a_server_that_wants_a_certificate_of_ours_is_a_broken_connection(play: Any, authority: Any) -> None:
    context = authority.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.pem)

    async def main() -> None:
        async with (
            play.wire(play.answer(), tls=context) as wire,
            play.client(wire.url, ca_bundle=authority.pem) as client,
        ):
            error = await failure(client)

        assert error.kind == "connection"
        assert "Operation not permitted" not in error.message

    asyncio.run(main())

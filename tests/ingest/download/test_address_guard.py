"""Addresses that requests may reach."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from photogenic.ingest.download.address_guard import (
    BlockedAddressError,
    guarded_connector,
    guarded_socket,
    parse_url,
    refusal,
)


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("93.184.215.14", None),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", None),
        ("127.0.0.1", "loopback"),
        ("127.8.9.10", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),  # carrier-grade NAT
        ("fd12:3456:789a::1", "private"),
        ("0.0.0.0", "multicast or unspecified"),
        ("::", "multicast or unspecified"),
        ("224.0.0.1", "multicast or unspecified"),
        ("ff02::1", "multicast or unspecified"),
        ("255.255.255.255", "private"),
        ("169.254.1.1", "link-local"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("168.63.129.16", "metadata"),
        ("100.100.100.200", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::127.0.0.1", "private"),
        ("64:ff9b::7f00:1", "loopback"),  # NAT64 of 127.0.0.1
        ("64:ff9b::5db8:d70e", None),  # NAT64 of a public address
        ("2002:7f00:1::", "loopback"),  # 6to4 of 127.0.0.1
    ],
)
def test_only_public_addresses_are_reached(address, word):
    assert refusal(address) == word


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "168.63.129.16", "224.0.0.1"])
def test_metadata_and_link_local_are_refused_even_if_private_is_allowed(address):
    assert refusal(address, allow_private=True) is not None


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "::1", "fd12::1"])
def test_private_is_allowed_on_request(address):
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize(
    "text",
    [
        "ftp://example.com/a.jpg",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "example.com/a.jpg",
        "http://",
        "http:///a.jpg",
        "http://user:pass@example.com/a.jpg",
        "http://example.com:99999/a.jpg",
        "http://exam ple.com/a.jpg",
        "http://[::1/a.jpg",
        "",
    ],
)
def test_a_text_that_is_not_an_http_url_is_refused(text):
    assert parse_url(text) is None


def test_a_signed_query_does_not_change():
    text = "https://cdn.example/a%2Fb.jpg?sig=%2bAb%3D&x=1+2"
    assert str(parse_url(text)) == text


def test_an_international_host_name_is_accepted():
    url = parse_url("https://bücher.example/fotos/größe.jpg")
    assert url is not None
    assert url.raw_host == "xn--bcher-kva.example"


async def test_a_host_is_checked_by_the_address_it_connects_to(monkeypatch):
    """A name that looks public resolves to this machine: no socket is created."""
    made = []

    def resolve(host, port, *_, **__):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: made.append(1))
    async with aiohttp.ClientSession(connector=guarded_connector(allow_private=False)) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get("http://pictures.example/a.jpg")
    assert isinstance(caught.value.os_error, BlockedAddressError)
    assert not made


def test_the_socket_factory_accepts_public_addresses():
    guarded_socket(allow_private=False)((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 80))).close()

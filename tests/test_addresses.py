"""Addresses as users write them: read, or told apart from what none is."""

from __future__ import annotations

import os

import pytest

from adiw_tune.addresses import cluster_place, host_and_port, url_parts
from adiw_tune.errors import UserError


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:6379", ("127.0.0.1", 6379)),
        ("head.example:65535", ("head.example", 65535)),
        ("[::1]:6379", ("::1", 6379)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
    ],
)
def test_a_place_is_read(text: str, place: tuple[str, int]) -> None:
    assert host_and_port(text) == place


@pytest.mark.parametrize(
    "text",
    ["", "host", ":1", "host:", "host:0", "host:65536", "host:²", "host:١", "host:-1", "::1:6379",
     "[::1:6379", "a b:1", "u@h:1", "h/x:1", "host:1\n", "host:+1", "host:1_0"],
)  # fmt: skip
def test_what_is_no_place(text: str) -> None:
    assert host_and_port(text) is None


@pytest.mark.parametrize("url", ["http://[::1", "s3://[bad", "http://h:²", "http://h\n", "/path"])
def test_what_is_no_url(url: str) -> None:
    assert url_parts(url) is None


def test_auto_is_what_ray_address_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert cluster_place("auto") is None
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert cluster_place("auto") == ("head", 6379)
    assert cluster_place("other:1") == ("other", 1)


def test_where_it_names_a_job_server_auto_is_this_machine_s_for_ray_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ray._private.services import get_ray_address_from_environment

    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    assert get_ray_address_from_environment("auto", None) == "http://127.0.0.1:8265"
    assert cluster_place("auto") is None
    assert "RAY_ADDRESS" not in os.environ


def test_a_job_server_is_for_submit() -> None:
    with pytest.raises(UserError, match="is a job server, to which 'adiw-tune submit' hands a"):
        cluster_place("http://127.0.0.1:8265")

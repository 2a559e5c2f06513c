from __future__ import annotations

import pytest

from adiw_tune.errors import UserError
from adiw_tune.record.addresses import check_no_secrets

SERVER = "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    "url",
    [
        "/shared/runs",
        "s3://bucket/runs?scheme=http&endpoint_override=127.0.0.1:9000&region=eu",
        "gs://bucket/runs",
        "abfs://container@account.dfs.core.windows.net/runs",
    ],
)
def test_an_address_without_secrets_is_taken(url: str) -> None:
    check_no_secrets(SERVER, url)
    check_no_secrets(SERVER, None)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAX:s3cret@bucket/runs",
        "s3://AKIAs3cret@bucket/runs",
        "abfs://:s3cret@account.blob.core.windows.net/container",
        "abfs://container:s3cret@account.dfs.core.windows.net/runs",
        "abfs://container@account.dfs.core.windows.net/runs?client_secret=s3cret",
        "s3://bucket/runs?secret_key=s3cret",
        "gs://bucket/runs?Access_Token=s3cret",
    ],
)
def test_one_with_a_key_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UserError, match="the URL of the checkpoints holds a key") as refused:
        check_no_secrets(SERVER, url)
    assert "s3cret" not in str(refused.value)


def test_nor_is_a_password_of_the_tracking_server() -> None:
    with pytest.raises(UserError, match="the tracking URI holds a password") as refused:
        check_no_secrets("http://me:s3cret@host", None)
    assert "s3cret" not in str(refused.value)

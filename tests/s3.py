"""A server that speaks S3, on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .ray_nodes import free_port

S3_KEYS = {
    "AWS_ACCESS_KEY_ID": "a-key-that-is-nowhere-written",
    "AWS_SECRET_ACCESS_KEY": "a-key-that-is-nowhere-written",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def serving_s3(bucket: str) -> Iterator[str]:
    """Its HOST:PORT, while it runs with one empty bucket; S3_KEYS belong in the environment."""
    port = free_port()
    serve = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _make_bucket(port, bucket)
            yield f"127.0.0.1:{port}"
        finally:
            server.kill()


def _make_bucket(port: int, bucket: str) -> None:
    from pyarrow.fs import S3FileSystem

    filesystem = S3FileSystem(
        endpoint_override=f"127.0.0.1:{port}", scheme="http", allow_bucket_creation=True
    )
    for attempt in range(100):
        try:
            filesystem.create_dir(bucket)
            return
        except OSError:
            assert attempt < 99, "the server does not start"

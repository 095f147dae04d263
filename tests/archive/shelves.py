"""Storages to lay archives in: servers of the real protocols, on this machine only, started by the
tests that ask for them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def s3(bucket: str = "archives") -> Iterator[dict[str, Any]]:
    """S3's protocol; what comes is an entry of STORAGES."""
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", free_port())
    pytest.importorskip("storages")
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "bucket_name": bucket,
        "endpoint_url": f"http://{host}:{port}",
        "access_key": "testing",
        "secret_key": "a-secret-that-never-shows",
        "region_name": "eu-central-1",
    }
    try:
        boto3.client(
            "s3",
            endpoint_url=options["endpoint_url"],
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            region_name="eu-central-1",
        ).create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    finally:
        server.stop()


@contextmanager
def gcs(bucket: str = "archives") -> Iterator[dict[str, Any]]:
    """Google's protocol, by its emulator; what comes is an entry of STORAGES."""
    pytest.importorskip("google.cloud.storage")
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    pytest.importorskip("storages")
    port = free_port()
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket=bucket)
    server.start()
    from google.auth.credentials import AnonymousCredentials

    try:
        yield {
            "BACKEND": "storages.backends.gcloud.GoogleCloudStorage",
            "OPTIONS": {
                "bucket_name": bucket,
                "project_id": "tests",
                "credentials": AnonymousCredentials(),
                "custom_endpoint": f"http://127.0.0.1:{port}",
            },
        }
    finally:
        server.stop()

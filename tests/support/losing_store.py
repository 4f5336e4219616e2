"""A small S3-compatible server on loopback that loses answers, refuses and stalls, as it is told to.

It has what a cache needs: PUT with conditions, GET with ranges, HEAD, LIST version 2 and DELETE, in one bucket.
"""

import base64
import hashlib
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.support.buckets import environment
from tests.support.store_listings import azure_listing, page_of, s3_listing

BUCKET = "features"
ACCOUNT = "account"
"""Azure's, which comes before its container in paths."""
FAULTS = ("drop after", "500 after", "503 before", "409", "drop before")
"""What may become of a PUT; `silent after` and `slow`, which take long, come only where they are asked for."""


@dataclass
class StoredObject:
    data: bytes
    metadata: dict[str, str]
    modified: float

    generation: int = 0
    """By which Google's store tells states of an object."""
    tag: str = field(init=False)

    def __post_init__(self) -> None:
        self.tag = f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'


@dataclass
class Request:
    method: str
    key: str
    number: int
    """Counted from 1 over all requests."""


@dataclass
class LosingStore:
    """Objects of the bucket, and what is to go wrong with requests for them."""

    fault: Callable[[Request], str | None] = lambda _request: None
    """Returns what happens to a request: one of `FAULTS`, `silent after`, `slow`, `403`, `cut`, or None."""
    conditions: bool = True
    """Whether If-None-Match and If-Match are heeded."""
    silence: float = 5.0
    """Seconds for which it says nothing where it is `silent after` or `slow`."""
    clock: Callable[[], float] = time.time
    objects: dict[str, StoredObject] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    """Faults that were committed."""
    generations: int = 1000
    lock: threading.RLock = field(default_factory=threading.RLock)

    def sometimes(self, share: float, faults: tuple[str, ...] = FAULTS, seed: int = 0) -> None:
        """Commits one of the faults at a share of all writes, and drops or refuses that share of the other requests."""
        generator = random.Random(seed)  # noqa: S311 - no secret

        def fault(request: Request) -> str | None:
            with self.lock:
                if generator.random() >= share:
                    return None
                return generator.choice(faults if request.method == "PUT" else ("503 before", "drop before", "cut"))

        self.fault = fault

    def met(self, request: Request) -> str | None:
        with self.lock:
            self.requests.append(request)
            what = self.fault(request)
            if what:
                self.done[what] += 1
            return what

    def put(self, key: str, data: bytes, headers: dict[str, str]) -> int:
        """Returns the status of the answer."""
        with self.lock:
            there = self.objects.get(key)
            if self.conditions and headers.get("if-none-match") == "*" and there:
                return 412
            if self.conditions and (tag := headers.get("if-match")):
                if there is None:
                    return 404
                if there.tag != tag:
                    return 412
            generation = headers.get("x-goog-if-generation-match") if self.conditions else None
            if generation and int(generation) != (there.generation if there else 0):
                return 412
            names = [name for name in headers if name.startswith(("x-amz-meta-", "x-goog-meta-", "x-ms-meta-"))]
            self.generations += 1
            metadata = {name: headers[name] for name in names}
            self.objects[key] = StoredObject(data, metadata, self.clock(), self.generations)
            return 200


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: LosingStore

    def log_message(self, *_arguments: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):  # who asked has hung up
            self.close_connection = True

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        sent = self.headers.get("x-amz-content-sha256")
        if sent is not None and hashlib.sha256(data).hexdigest() != sent:
            return self._refuse(400, "XAmzContentSHA256Mismatch")
        fault = self._fault()
        if fault in ("answered", "409"):
            return self._refuse(409, "ConditionalRequestConflict") if fault == "409" else None
        status = self.store.put(self._key, data, {name.lower(): value for name, value in self.headers.items()})
        if fault == "silent after":
            time.sleep(self.store.silence)
        if fault in ("drop after", "silent after"):
            return self._drop()
        if fault == "500 after":
            return self._refuse(500, "InternalError")
        if status != 200:
            return self._refuse(status, {404: "NoSuchKey", 412: "PreconditionFailed"}[status])
        return self._answer(201, b"", _state(self.store.objects[self._key]))

    def do_DELETE(self) -> None:
        if self._fault() != "answered":
            with self.store.lock:
                self.store.objects.pop(self._key, None)
            self._answer(204)

    def do_POST(self) -> None:
        """Azure's batch of deletions."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        paths = re.findall(r"^DELETE (\S+) HTTP", body, re.MULTILINE)
        if self._fault() == "answered":
            return
        with self.store.lock:
            for path in paths:
                self.store.objects.pop(_key_of(path), None)
        parts = (
            f"--b\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n\r\n"
            for number in range(len(paths))
        )
        self._answer(202, ("".join(parts) + "--b--\r\n").encode(), {"Content-Type": "multipart/mixed; boundary=b"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        fault = self._fault()
        if fault == "answered":
            return None
        if not self._key:
            return self._list()
        with self.store.lock:
            found = self.store.objects.get(self._key)
        if found is None:
            return self._refuse(404, "NoSuchKey")
        headers = {"Last-Modified": formatdate(found.modified, usegmt=True), **_state(found), **found.metadata}
        data, status = found.data, 200
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop = int(span[1]), min(int(span[2] or 2**62) + 1, len(data))
            if start >= len(data):
                return self._refuse(416, "InvalidRange")
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            data, status = data[start:stop], 206
        return self._answer(status, data, headers, cut=fault == "cut")

    @property
    def _key(self) -> str:
        return _key_of(self.path)

    def _fault(self) -> str | None:
        """Commits a fault that comes before all else, or returns one that is still to come."""
        if not _path_of(self.path).startswith(f"/{BUCKET}"):
            self._refuse(404, "NoSuchBucket")
            return "answered"
        fault = self.store.met(Request(str(self.command), self._key, len(self.store.requests) + 1))
        if fault == "drop before":
            self._drop()
        elif fault == "503 before":
            self._refuse(503, "SlowDown")
        elif fault == "403":
            self._refuse(403, "ExpiredToken")
        elif fault == "refused":
            self._refuse(403, "AccessDenied")
        else:
            if fault == "slow":
                time.sleep(self.store.silence)
            return fault
        return "answered"

    def _list(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        with self.store.lock:
            page = page_of(self.store.objects, query)
        text = azure_listing(page) if query.get("comp") == "list" else s3_listing(BUCKET, page)
        self._answer(200, text.encode(), {"Content-Type": "application/xml"})

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>told to</Message></Error>".encode())

    def _answer(
        self, status: int, data: bytes = b"", headers: dict[str, str] | None = None, *, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self._drop()

    def _drop(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.close()


def _path_of(url: str) -> str:
    return unquote(urlsplit(url).path).removeprefix(f"/{ACCOUNT}")


def _key_of(url: str) -> str:
    return _path_of(url).removeprefix(f"/{BUCKET}").removeprefix("/")


def _state(stored: StoredObject) -> dict[str, str]:
    return {"ETag": stored.tag, "x-goog-generation": str(stored.generation)}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_arguments: object) -> None:
        """Says nothing: connections end here all the time."""


@contextmanager
def losing_store(patch: pytest.MonkeyPatch, **options: object) -> Iterator[LosingStore]:
    """Serves a bucket, and points the environment to it: `s3://features/…`, `gs://features/…`, `az://features/…`."""
    store = LosingStore(**options)  # type: ignore[arg-type]
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": store}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    account = {
        "gcs_base_url": address,
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    google = {"GOOGLE_BASE_URL": address, "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}
    azure = {
        "AZURE_STORAGE_ENDPOINT": f"{address}/{ACCOUNT}",
        "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": base64.b64encode(b"key").decode(),
    }
    for name, value in {**environment(address), **google, **azure}.items():
        patch.setenv(name, value)
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

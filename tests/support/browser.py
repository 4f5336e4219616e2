"""A real browser without a screen, spoken to over a pair of pipes in the DevTools protocol; no driver is needed."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest

PROGRAM = "chromium"
"""Debian's package and program."""
DEADLINE = 180.0
"""Seconds after which an answer is not waited for."""
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe", "--force-color-profile=srgb"),
)


def program(name: str, package: str) -> str:
    """Returns the path of a program, or fails the test with what to install."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"this test needs the program {name}; install it with: apt-get install {package}")
    return found


@dataclass(kw_only=True)
class Seen:
    """What a page did while it was open."""

    errors: list[str] = field(default_factory=list)
    """What its console and its scripts complained of."""
    requests: list[str] = field(default_factory=list)
    """Addresses that it asked for."""


class Page:
    """A page of the browser, which shows one file."""

    def __init__(self, pipes: "Pipes", width: int, height: int, *, dark: bool) -> None:
        self._pipes = pipes
        target = pipes.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = pipes.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._call("Emulation.setEmulatedMedia", features=scheme)
        is_phone = width < 600
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self._target, self.seen = target, Seen()

    def open(self, file: Path) -> Seen:
        """Shows a file, and returns what it complains of and asks for until it is there."""
        self._call("Page.navigate", url=file.resolve().as_uri())
        while True:
            event = self._pipes.event(self._session)
            self._note(event)
            if event["method"] == "Page.loadEventFired":
                break
        self.evaluate("document.fonts.ready.then(() => new Promise(done => requestAnimationFrame(() => done(1))))")
        for event in self._pipes.waiting(self._session):
            self._note(event)
        return self.seen

    def evaluate(self, script: str) -> Any:
        """Returns the value of an expression in the page, promises awaited."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, *, whole: bool = True) -> bytes:
        """Returns the page, down to its end, as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def printed(self) -> bytes:
        """Returns the page printed on A4 as PDF."""
        inches = {"paperWidth": 8.27, "paperHeight": 11.69}
        return base64.b64decode(
            self._call("Page.printToPDF", printBackground=False, preferCSSPageSize=True, **inches)["data"]
        )

    def close(self) -> None:
        self._pipes.call("Target.closeTarget", targetId=self._target)

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event["params"]
        match event["method"]:
            case "Network.requestWillBeSent":
                self.seen.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.seen.errors.append(str(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.seen.errors.append(str(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.seen.errors.append(str(parameters["entry"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._pipes.call(method, session=self._session, **parameters)


class Pipes:
    """Messages of the DevTools protocol, each closed by a zero byte."""

    def __init__(self, to: BinaryIO, back: BinaryIO) -> None:
        self._to, self._back = to, back
        self._number, self._events = 0, list[dict[str, Any]]()
        self._read_ahead = b""

    def call(self, method: str, *, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns its answer; events that come in between are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer}"
                result: dict[str, Any] = answer["result"]
                return result
            self._events.append(answer)

    def event(self, session: str) -> dict[str, Any]:
        """Returns the next event of a page."""
        while True:
            found = self.waiting(session, most=1)
            if found:
                return found[0]
            self._events.append(self._read())

    def waiting(self, session: str, most: int = 10**9) -> list[dict[str, Any]]:
        """Takes out events of a page that have come already."""
        own = [event for event in self._events if event.get("sessionId") == session and "method" in event][:most]
        self._events = [event for event in self._events if not any(event is taken for taken in own)]
        return own

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._read_ahead:
            more = os.read(self._back.fileno(), 1 << 16)
            assert more, "the browser has ended"
            self._read_ahead += more
        text, _, self._read_ahead = self._read_ahead.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message


@contextmanager
def browser(folder: Path) -> Iterator[Pipes]:
    """Starts the browser with an empty profile in `folder`, and ends it."""
    chromium = program(PROGRAM, PROGRAM)
    (read_commands, write_commands), (read_answers, write_answers) = os.pipe(), os.pipe()
    words = [chromium, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    inherit = f'exec "$0" "$@" 3<&{read_commands} 4>&{write_answers}'
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", inherit, *words], pass_fds=(read_commands, write_answers), stdout=log, stderr=log
        )
    os.close(read_commands)
    os.close(write_answers)
    try:
        with os.fdopen(write_commands, "wb") as to, os.fdopen(read_answers, "rb") as back:
            yield (pipes := Pipes(to, back))
            pipes.call("Browser.close")
        process.wait(timeout=DEADLINE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()

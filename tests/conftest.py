"""What all tests share."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from hypothesis import settings

from pipelines import progress_lines
from tests.support import buckets

settings.register_profile("any machine", deadline=None)  # speed is for benchmarks
settings.load_profile("any machine")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers of pytest-xdist share the cores already


@pytest.fixture(scope="session", autouse=True)
def no_progress_lines() -> Iterator[None]:
    """Commands in this process write no lines of progress, however slow it is, so that tests know what they say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress_lines, "FIRST", 3600)
        patch.setattr(progress_lines, "LONGEST", 3600)
        yield


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real weights and data; tests that need it are skipped by name without it."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FORESIGHT_TEST_ASSETS", beside))
    if not (folder / "data").is_dir():
        pytest.skip(f"no test assets at {folder}; set FORESIGHT_TEST_ASSETS")
    return folder


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket in an S3-compatible store: a real server on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in buckets.environment(f"http://{host}:{port}").items():
        monkeypatch.setenv(name, value)
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()  # what others left
    with suppress(buckets.client().exceptions.BucketAlreadyOwnedByYou):
        buckets.client().create_bucket(Bucket="features")
    yield "s3://features"
    server.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The commands of the documentation take longest of all and cannot be shared out: they come first, not last."""
    items.sort(key=lambda item: item.name != "test_every_block_runs")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for all fuzzing, from whichever processes it ran in."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    properties = [dict(getattr(report, "user_properties", ())) for report in reports]
    counts = [each.get("fuzzed inputs", 0) for each in properties]
    if sum(counts):
        terminalreporter.write_line(f"fuzzing: {sum(counts):,} inputs in {sum(map(bool, counts))} tests")

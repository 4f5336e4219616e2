"""Requests to an object store, each repeated for a while where the store may only be busy or out of reach."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property, lru_cache, partial
from typing import Any, TypedDict, TypeVar

from foresight_cache.errors import CacheError, ForesightWarning, MissingExtra, UsageError
from foresight_cache.format.stores.obstore_library import library
from foresight_cache.format.stores.patience import Patience, longest
from foresight_cache.format.stores.store_credentials import credential_provider
from foresight_cache.format.stores.store_failures import Failure, failure_of
from foresight_cache.format.stores.store_settings import bucket_and_prefix, settings_of

TOLD_AFTER = 5.0
"""Seconds of repeating after which a sentence says so."""
_AT_ONCE = 16
"""Parts of an object that are asked for side by side."""
_PAST_THE_END = 416
"""Status of an answer to who asks for bytes behind the last one. `get_ranges` of obstore would end in a panic there."""
SLOWEST = 1_000_000
"""Bytes per second below which an upload is given up: the time-out of reading runs while an object is sent, too."""

_T = TypeVar("_T")


class Meta(TypedDict):
    """What a store tells of an object beside its bytes, by obstore's names."""

    path: str
    size: int
    last_modified: datetime
    e_tag: str | None
    version: str | None


class ObjectClient:
    """The objects below a URL. Keys are relative to it; the client is for one process.

    All methods raise `FileNotFoundError` for a missing object and `CacheError` where the store refuses or stays away.
    """

    def __init__(self, url: str) -> None:
        """Raises `UsageError` for a URL or a setting that cannot be used, `MissingExtra` without obstore."""
        self.place = url.rstrip("/")
        try:
            self._library = library()
        except ImportError:
            raise MissingExtra("obstore", extra="s3", purpose=f"a cache at {url}") from None
        self._settings = settings_of(url)
        self._provider = credential_provider(self._settings)
        self._opened = lru_cache(maxsize=8)(self._open)
        self._answered = self._told = False
        self._opened(0)

    @property
    def by_version(self) -> bool:
        """True where the store tells states of an object by version and not by ETag."""
        return self._settings.service == "gcs"

    def read(self, key: str) -> tuple[bytes, Meta]:
        """Returns all bytes of an object and what is told of it."""

        def get() -> tuple[bytes, Meta]:
            found = self._library.get(self._opened(0), key)
            return bytes(found.bytes()), found.meta

        return self.repeated(f"reading {key}", get)

    def ranges(self, key: str, starts: Sequence[int], stops: Sequence[int]) -> list[Any]:
        """Returns the parts [start, stop) of an object, asked for side by side; they end where the object does."""
        if len(starts) == 1:
            return [self._range(key, starts[0], stops[0])]
        return list(self._threads.map(partial(self._range, key), starts, stops))

    def head(self, key: str) -> Meta:
        """Returns what is told of an object."""
        meta: Meta = self.repeated(f"looking for {key}", lambda: self._library.head(self._opened(0), key))
        return meta

    def attributes(self, key: str) -> dict[str, str]:
        """Returns the user metadata of an object."""

        def get() -> dict[str, str]:
            return dict(self._library.get(self._opened(0), key, options={"head": True}).attributes)

        return self.repeated(f"looking for {key}", get)

    def listed(self, key: str = "") -> list[Meta]:
        """Returns all objects below a key."""
        prefix = f"{key}/" if key else None

        def get() -> list[Meta]:
            return [each for page in self._library.list(self._opened(0), prefix, chunk_size=1000) for each in page]

        return self.repeated(f"listing {key or 'it'}", get)

    def folder(self, key: str) -> tuple[list[str], list[str]]:
        """Returns the names of objects and those of folders directly under a key."""

        def get() -> tuple[list[str], list[str]]:
            found = self._library.list_with_delimiter(self._opened(0), key or None)
            return _names(each["path"] for each in found["objects"]), _names(found["common_prefixes"])

        return self.repeated(f"listing {key or 'it'}", get)

    def put(self, key: str, data: Any, mode: Any, attributes: dict[str, str]) -> None:
        """Sends an object once, in one request. Raises obstore's own errors: who asks looks what they mean here."""
        store = self._opened(len(data) // SLOWEST // 60)
        self._library.put(store, key, data, mode=mode, attributes=attributes, use_multipart=False)

    def delete(self, keys: Sequence[str]) -> None:
        """Removes objects that may be gone already."""
        for key in keys:
            with suppress(FileNotFoundError):
                self.repeated(f"removing {key}", partial(self._library.delete, self._opened(0), key))

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What a request raises that has failed."""
        return (self._library.exceptions.BaseError, OSError)

    def taken(self, error: Exception) -> bool:
        """Tells whether an error says that the condition of a put does not hold, be it true or not."""
        raised = self._library.exceptions
        return isinstance(error, raised.AlreadyExistsError | raised.PreconditionError)

    def patience(self) -> Patience:
        """Returns how long the next request is repeated."""
        return Patience(first=not self._answered)

    def repeated(self, doing: str, request: Callable[[], _T]) -> _T:
        """Returns what a request that changes nothing returns, and repeats it where that may help."""
        patience = self.patience()
        while True:
            try:
                answer = request()
            except FileNotFoundError as error:
                self.check_bucket(doing, error)
                raise FileNotFoundError(f"{self.place}: {doing}: there is no such object") from None
            except self.errors as error:
                failure = failure_of(error)
                if failure.kind != "later":
                    raise self.error(doing, failure) from None
                self.wait(doing, failure, patience)
            else:
                self._answered = True
                return answer

    def check_bucket(self, doing: str, error: Exception) -> None:
        """Raises `CacheError` where it is the bucket that is not there."""
        failure = failure_of(error)
        if failure.kind == "no bucket":
            raise self.error(doing, failure) from None

    def wait(self, doing: str, failure: Failure, patience: Patience) -> None:
        """Waits for another try of a request that has failed. Raises `CacheError` where there is none."""
        if failure.status is not None:
            self._answered = True
        if patience.spent > TOLD_AFTER and not self._told:
            self._told = True
            warnings.warn(
                f"{self.place} does not do its work for now ({doing}: {failure.reason}); each request is repeated for "
                f"up to {longest():g} seconds",
                ForesightWarning,
                stacklevel=2,
            )
        if not patience.wait():
            raise self.error(doing, failure, patience.spent) from None

    def error(self, doing: str, failure: Failure, seconds: float | None = None) -> CacheError:
        """Returns the sentence for a request that has failed."""
        tried = f" for {seconds:.0f} seconds" if seconds and seconds >= 1 else ""
        return CacheError(f"{self.place}: {doing} failed{tried}: {failure.reason}; {failure.remedy}")

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ranges")

    def _range(self, key: str, start: int, stop: int) -> Any:
        def get() -> Any:
            try:
                return self._library.get_range(self._opened(0), key, start=start, end=stop)
            except self._library.exceptions.BaseError as error:
                if failure_of(error).status == _PAST_THE_END:
                    return b""
                raise

        return self.repeated(f"reading {key}", get)

    def _open(self, minutes: int) -> Any:
        """Opens the store with so many minutes more than usual until a request counts as lost."""
        settings, stores = self._settings, self._library._store
        config = {"disable_bulk_delete": True} if settings.service == "s3" else {}  # not every store has that
        options = {
            **settings.client,
            "timeout": f"{15 + minutes}m",
            "read_timeout": f"{settings.read_seconds + 60 * minutes:g}s",
        }
        arguments = {
            "config": config | settings.config,
            "client_options": options,
            "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
            **({"credential_provider": self._provider} if self._provider else {}),
        }
        try:
            if settings.service == "azure":
                return stores.AzureStore.from_url(self.place, **arguments)
            bucket, prefix = bucket_and_prefix(self.place)
            kind = stores.S3Store if settings.service == "s3" else stores.GCSStore
            return kind(bucket, prefix=prefix or None, **arguments)
        except (self._library.exceptions.BaseError, TypeError, ValueError) as error:
            reason = str(error).partition("\n\n")[0].rstrip(".")
            raise UsageError(
                f"{self.place} cannot be opened: {reason}; check the URL and the settings of the store, which "
                "docs/object_stores.md lists"
            ) from None


def _names(paths: Iterable[str]) -> list[str]:
    return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

"""Settings of object stores: where a URL lies, and what the environment says of how to reach it.

obstore reads the usual variables (`AWS_…`, `GOOGLE_…`, `AZURE_…`) by itself. Here are those that it does not know:
fsspec's (`FSSPEC_S3_…` and its files), and what other clients of S3 read.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from fsspec.config import conf as fsspec_settings

from foresight_cache.errors import UsageError

Service = Literal["s3", "gcs", "azure"]
SERVICES: Mapping[str, Service] = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "azure", "adl", "abfs", "abfss"), "azure"),
}
"""Object stores by the schemes of their URLs."""
_ADDRESSES: Mapping[Service, tuple[str, ...]] = {
    "s3": (),
    "gcs": ("GOOGLE_BASE_URL",),
    "azure": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""Variables with addresses that obstore reads by itself."""
_READ_SECONDS, _CONNECT_SECONDS = 60.0, 10.0
_OF_SPEED = frozenset(
    [
        "access",
        "assume_container_exists",
        "asynchronous",
        "block_size",
        "cache_options",
        "cache_timeout",
        "cache_type",
        "check_connection",
        "consistency",
        "default_block_size",
        "default_cache_type",
        "default_fill_cache",
        "fixed_upload_size",
        "listings_expiry_time",
        "loop",
        "max_concurrency",
        "max_paths",
        "max_pool_connections",
        "project",
        "retries",
        "signature_version",
        "skip_instance_cache",
        "tcp_keepalive",
        "timeout",
        "use_listings_cache",
    ]
)
"""Settings of fsspec's clients that change how fast they are, or nothing here."""


@dataclass(kw_only=True, slots=True)
class StoreSettings:
    """How the store of a URL is reached, beside what obstore finds in the environment by itself."""

    service: Service
    config: dict[str, Any] = field(default_factory=dict)
    """obstore's own names and values."""
    client: dict[str, Any] = field(default_factory=dict)
    """Those of its HTTP client."""
    profile: str | None = None
    """Profile of `~/.aws` that was asked for."""
    read_seconds: float = _READ_SECONDS
    """Seconds without a byte after which a connection counts as dead."""


def service_of(url: str) -> Service | None:
    """Returns the kind of object store that a URL names; None for other schemes.

    >>> service_of("s3://bucket/a"), service_of("memory://a")
    ('s3', None)
    """
    return SERVICES.get(url.partition("://")[0].lower())


def settings_of(url: str, environment: Mapping[str, str] = os.environ) -> StoreSettings:
    """Returns the settings for a URL of an object store. Raises `UsageError` for one that has no equal here."""
    service = SERVICES[url.partition("://")[0].lower()]
    settings = StoreSettings(service=service, client={"timeout": "15m", "connect_timeout": f"{_CONNECT_SECONDS:g}s"})
    if service == "s3":
        _of_environment(settings, environment)
    if service == "azure" and (text := environment.get("AZURE_STORAGE_CONNECTION_STRING")):
        _connection_string(settings, "AZURE_STORAGE_CONNECTION_STRING", text)
    names = {scheme for scheme, named in SERVICES.items() if named == service} | {"abfs"} & {service}
    for name in sorted(names):
        for key, value in fsspec_settings.get(name, {}).items():
            _take(settings, f"{key!r} of fsspec's settings for '{name}'", key, value)
    addresses = [settings.config.get("endpoint"), settings.config.get("base_url")]
    addresses += map(environment.get, _ADDRESSES[service])
    if any(str(address).startswith("http://") for address in addresses):
        settings.client["allow_http"] = True
    return settings


def _of_environment(settings: StoreSettings, environment: Mapping[str, str]) -> None:
    """Takes what other clients of S3 read from the environment and obstore does not."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        if value := environment.get(name):
            settings.config["endpoint"] = value
            break
    if bundle := environment.get("AWS_CA_BUNDLE"):
        settings.client["root_certificate"] = _file(bundle, "AWS_CA_BUNDLE")
    if not environment.get("AWS_ACCESS_KEY_ID"):  # which comes first, as in other clients
        settings.profile = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")


def _take(settings: StoreSettings, said: str, key: str, value: Any) -> None:
    """Takes a setting of fsspec's clients s3fs, gcsfs and adlfs over. Raises `UsageError`."""
    known = _KNOWN[settings.service]
    if key in _OF_SPEED or value is None or value == {}:
        return
    if key not in known:
        supported = ", ".join(sorted(known))
        raise UsageError(f"{said} is not supported; expected one of {supported}, or remove it")
    took = known[key]
    if isinstance(took, str):
        settings.config[took] = value
    else:
        took(settings, said, value)


def _flag(name: str) -> Callable[[StoreSettings, str, Any], None]:
    def take(settings: StoreSettings, _said: str, value: Any) -> None:
        settings.config[name] = _is_true(value)

    return take


def _parts(known: Mapping[str, Callable[[StoreSettings, str, Any], None]]) -> Callable[[StoreSettings, str, Any], None]:
    """Returns what takes a setting that is a mapping of others."""

    def take(settings: StoreSettings, said: str, value: Any) -> None:
        for key, part in dict(value).items():
            if key in _OF_SPEED:
                continue
            if key not in known:
                raise UsageError(
                    f"{key!r} in {said} is not supported; expected one of {', '.join(known)}, or remove it"
                )
            known[key](settings, said, part)

    return take


def _plain(name: str) -> Callable[[StoreSettings, str, Any], None]:
    def take(settings: StoreSettings, _said: str, value: Any) -> None:
        settings.config[name] = value

    return take


def _profile(settings: StoreSettings, _said: str, value: Any) -> None:
    settings.profile = str(value)


def _verify(settings: StoreSettings, said: str, value: Any) -> None:
    if str(value).lower() in ("false", "0"):
        settings.client["allow_invalid_certificates"] = True
    elif str(value).lower() not in ("true", "1"):
        settings.client["root_certificate"] = _file(str(value), said)


def _use_ssl(settings: StoreSettings, _said: str, value: Any) -> None:
    if not _is_true(value):
        settings.client["allow_http"] = True


def _addressing(settings: StoreSettings, said: str, value: Any) -> None:
    style = str(dict(value).get("addressing_style", "auto"))
    if dict(value).keys() - {"addressing_style"} or style not in ("path", "virtual", "auto"):
        raise UsageError(f"'s3' in {said} is {value}, expected an addressing_style of path, virtual or auto")
    if style != "auto":
        settings.config["virtual_hosted_style_request"] = style == "virtual"


def _read_timeout(settings: StoreSettings, said: str, value: Any) -> None:
    settings.read_seconds = _seconds(said, value)


def _connect_timeout(settings: StoreSettings, said: str, value: Any) -> None:
    settings.client["connect_timeout"] = f"{_seconds(said, value):g}s"


def _gcs_token(settings: StoreSettings, said: str, value: Any) -> None:
    if value == "anon":
        settings.config["skip_signature"] = True
    elif value not in ("google_default", "cloud"):  # these two are what obstore looks for by itself
        _file(str(value), said)
        settings.config["service_account"] = str(value)


def _connection_string(settings: StoreSettings, _said: str, value: Any) -> None:
    names = {"AccountName": "account_name", "AccountKey": "account_key", "SharedAccessSignature": "sas_key"}
    names["BlobEndpoint"] = "endpoint"
    for part in str(value).split(";"):
        name, _, text = part.partition("=")
        if name in names:
            settings.config[names[name]] = text


_S3_ARGUMENTS = {
    "ServerSideEncryption": _plain("server_side_encryption"),
    "SSEKMSKeyId": _plain("sse_kms_key_id"),
    "RequestPayer": _flag("request_payer"),
}
_KNOWN: Mapping[Service, Mapping[str, str | Callable[[StoreSettings, str, Any], None]]] = {
    "s3": {
        **{"key": "access_key_id", "username": "access_key_id", "secret": "secret_access_key"},
        **{"password": "secret_access_key", "token": "session_token", "endpoint_url": "endpoint"},
        **{"anon": _flag("skip_signature"), "requester_pays": _flag("request_payer"), "profile": _profile},
        **{"use_ssl": _use_ssl, "s3_additional_kwargs": _parts(_S3_ARGUMENTS)},
        "client_kwargs": _parts(
            {"endpoint_url": _plain("endpoint"), "region_name": _plain("region"), "verify": _verify}
        ),
        "config_kwargs": _parts(
            {"s3": _addressing, "read_timeout": _read_timeout, "connect_timeout": _connect_timeout}
        ),
    },
    "gcs": {"token": _gcs_token, "endpoint_url": "base_url"},
    "azure": {
        **{name: name for name in ("account_name", "account_key", "client_id", "client_secret", "tenant_id")},
        **{"sas_token": "sas_key", "anon": _flag("skip_signature"), "connection_string": _connection_string},
    },
}
"""Settings of s3fs, gcsfs and adlfs, and obstore's name for each or what takes it."""


def _is_true(value: Any) -> bool:
    """
    >>> _is_true("False"), _is_true("true"), _is_true(1)
    (False, True, True)
    """
    return value.strip().lower() not in ("", "0", "false", "no", "off") if isinstance(value, str) else bool(value)


def _seconds(said: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"a timeout in {said} is {value!r}, expected seconds") from None


def _file(path: str, said: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{said} names {path}, which cannot be read: {error.strerror or error}") from None


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """Returns the bucket of a URL such as `s3://bucket/prefix` and what keys begin with, without slashes at its ends.

    >>> bucket_and_prefix("s3://features/runs/C/"), bucket_and_prefix("gs://features")
    (('features', 'runs/C'), ('features', ''))
    """
    rest = url.partition("://")[2]
    bucket, _, prefix = rest.partition("/")
    if not bucket or urlsplit(f"//{bucket}").hostname is None:
        raise UsageError(f"{url} names no bucket; expected a URL such as s3://bucket/prefix")
    return bucket, prefix.strip("/")

"""What the environment says of object stores, also in the words of fsspec's clients."""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from fsspec.config import conf, set_conf_env

from foresight_cache.errors import CacheError, MissingExtra, UsageError
from foresight_cache.format.stores import FsspecStore, ObjectStore, open_store, open_writable
from foresight_cache.format.stores.store_credentials import credential_provider
from foresight_cache.format.stores.store_settings import StoreSettings, settings_of
from tests.support.buckets import environment
from tests.support.losing_store import losing_store


@pytest.fixture
def fsspec(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets variables as fsspec finds them in the environment when it is imported."""

    def set_variables(**variables: str) -> None:
        found: dict[str, Any] = {}
        set_conf_env(found, variables)
        for name, values in found.items():
            monkeypatch.setitem(conf, name, values)

    return set_variables


def test_what_obstore_does_not_read_by_itself() -> None:
    settings = settings_of("s3://b/a", {"AWS_ENDPOINT_URL": "https://one", "AWS_ENDPOINT_URL_S3": "http://two"})
    assert settings.config == {"endpoint": "http://two"}
    assert settings.client["allow_http"] is True
    assert settings.client["timeout"] == "15m"
    assert "allow_http" not in settings_of("s3://b/a", {"AWS_ENDPOINT_URL": "https://one"}).client
    assert settings_of("gs://b/a", {"AWS_ENDPOINT_URL": "https://one"}).config == {}
    text = "DefaultEndpointsProtocol=https;AccountName=mine;AccountKey=a2V5==;EndpointSuffix=core.windows.net"
    found = settings_of("az://c/a", {"AZURE_STORAGE_CONNECTION_STRING": text}).config
    assert found == {"account_name": "mine", "account_key": "a2V5=="}


def test_settings_of_s3fs(fsspec: Any, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"certificate")
    fsspec(
        FSSPEC_S3_KEY="k",
        FSSPEC_S3_SECRET="s",  # noqa: S106
        FSSPEC_S3_TOKEN="t",  # noqa: S106
        FSSPEC_S3_ENDPOINT_URL="http://here",
        FSSPEC_S3_REQUESTER_PAYS="true",
        FSSPEC_S3_DEFAULT_BLOCK_SIZE="1000",
        FSSPEC_S3_CLIENT_KWARGS=f'{{"region_name": "eu-west-1", "verify": "{tmp_path / "ca.pem"}"}}',
        FSSPEC_S3_CONFIG_KWARGS='{"s3": {"addressing_style": "virtual"}, "read_timeout": 7, "max_pool_connections": 5}',
        FSSPEC_S3='{"s3_additional_kwargs": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key"}}',
    )
    settings = settings_of("s3://b/a", {})
    assert settings.config == {
        **{"access_key_id": "k", "secret_access_key": "s", "session_token": "t", "endpoint": "http://here"},
        **{"request_payer": True, "region": "eu-west-1", "virtual_hosted_style_request": True},
        **{"server_side_encryption": "aws:kms", "sse_kms_key_id": "key"},
    }
    assert settings.client["root_certificate"] == b"certificate"
    assert settings.client["allow_http"] is True
    assert settings.read_seconds == 7
    assert settings_of("s3a://b/a", {}).config == settings.config


def test_they_reach_the_store(fsspec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with losing_store(monkeypatch) as server:
        address = environment("x").keys()
        import os

        fsspec(FSSPEC_S3_ENDPOINT_URL=os.environ["AWS_ENDPOINT_URL"], FSSPEC_S3_KEY="k", FSSPEC_S3_SECRET="s")  # noqa: S106
        for name in address:
            monkeypatch.delenv(name)
        server.put("C/a", b"1", {})
        assert ObjectStore("s3://features/C").read("a") == b"1"


@pytest.mark.parametrize(
    ("url", "variables", "sentence"),
    [
        ("s3://b/a", {"FSSPEC_S3_SESSION": "1"}, "'session' of fsspec's settings for 's3' is not supported; expected "),
        ("s3://b/a", {"FSSPEC_S3_CLIENT_KWARGS": '{"aws_account_id": 1}'}, "'aws_account_id' in 'client_kwargs' of "),
        ("s3://b/a", {"FSSPEC_S3_CONFIG_KWARGS": '{"s3": {"addressing_style": "odd"}}'}, "expected an addressing_sty"),
        ("s3://b/a", {"FSSPEC_S3_CONFIG_KWARGS": '{"read_timeout": "soon"}'}, "is 'soon', expected seconds"),
        ("s3://b/a", {"FSSPEC_S3_CLIENT_KWARGS": '{"verify": "/no/such"}'}, "names /no/such, which cannot be read"),
        ("gs://b/a", {"FSSPEC_GS_TOKEN": "/no/such.json"}, "names /no/such.json, which cannot be read: No such file"),
        ("gs://b/a", {"FSSPEC_GCS_SESSION_KWARGS": "x"}, "'session_kwargs' of fsspec's settings for 'gcs' is not supp"),
        ("az://b/a", {"FSSPEC_ABFS_CREDENTIAL": "x"}, "'credential' of fsspec's settings for 'abfs' is not supported"),
        ("s3:///a", {}, "s3:///a names no bucket; expected a URL such as s3://bucket/prefix"),
        ("az://c/a", {}, "az://c/a cannot be opened: Generic MicrosoftAzure error: Account must be specified; check"),
    ],
)
def test_what_has_no_equal_is_refused(fsspec: Any, url: str, variables: dict[str, str], sentence: str) -> None:
    fsspec(**variables)
    with pytest.raises(UsageError) as caught:
        ObjectStore(url)
    assert sentence in str(caught.value)


def test_settings_of_the_other_clients(fsspec: Any, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("{}")
    fsspec(FSSPEC_GCS_TOKEN=str(tmp_path / "key.json"), FSSPEC_GCS_PROJECT="mine", FSSPEC_ABFS_ACCOUNT_NAME="me")
    assert settings_of("gs://b/a", {}).config == {"service_account": str(tmp_path / "key.json")}
    assert settings_of("abfss://c/a", {}).config == {"account_name": "me"}
    fsspec(FSSPEC_GCS_TOKEN="anon", FSSPEC_ABFS_ANON="false")  # noqa: S106
    assert settings_of("gcs://b/a", {}).config == {"skip_signature": True}
    assert settings_of("az://c/a", {}).config == {"skip_signature": False}


class TestCredentials:
    @pytest.fixture
    def profiles(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        (tmp_path / "credentials").write_text(
            "[default]\naws_access_key_id = one\naws_secret_access_key = 1\n"
            "[other]\naws_access_key_id = two\naws_secret_access_key = 2\nregion = eu-north-1\n"
        )
        variables = {
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return variables

    def test_a_profile_is_read_by_boto3(self, profiles: dict[str, str]) -> None:
        for name, key, region in ((None, "one", None), ("other", "two", "eu-north-1")):
            settings = StoreSettings(service="s3", profile=name)
            provider = credential_provider(settings, profiles)
            assert provider
            assert provider()["access_key_id"] == key
            assert settings.config.get("region") == region

    def test_keys_in_the_environment_come_first(self, profiles: dict[str, str]) -> None:
        assert credential_provider(StoreSettings(service="s3"), profiles | {"AWS_ACCESS_KEY_ID": "k"}) is None
        assert credential_provider(StoreSettings(service="gcs"), profiles) is None
        settings = StoreSettings(service="s3", config={"skip_signature": True})
        assert credential_provider(settings, profiles) is None

    def test_sentences(self, profiles: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UsageError, match="the profile 'none' of ~/.aws cannot be used: .*could not be found"):
            credential_provider(StoreSettings(service="s3", profile="none"), profiles)
        monkeypatch.setitem(sys.modules, "boto3", None)
        with pytest.raises(UsageError, match="'other' of ~/.aws can be read by boto3 only, which is not installed"):
            credential_provider(StoreSettings(service="s3", profile="other"), profiles)
        with pytest.raises(UsageError, match="no credentials for S3 were found"):
            credential_provider(StoreSettings(service="s3"), profiles)


def test_without_obstore(monkeypatch: pytest.MonkeyPatch) -> None:
    from foresight_cache.format.stores import obstore_library

    obstore_library._instance.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtra, match=r"needs the package 'obstore'; .*pip install 'foresight-cache\[s3\]'"):
        ObjectStore("s3://b/a")
    obstore_library._instance.cache_clear()


@pytest.mark.parametrize("value", ["soon", "-"])
def test_a_patience_that_is_no_number(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    with losing_store(monkeypatch):
        monkeypatch.setenv("FORESIGHT_RETRY_SECONDS", value)
        with pytest.raises(UsageError, match=f"FORESIGHT_RETRY_SECONDS is '{value}', expected seconds"):
            ObjectStore("s3://features/C").read("a")


class TestOtherSchemes:
    def test_what_fsspec_reads(self) -> None:
        import fsspec

        files = fsspec.filesystem("memory")
        files.pipe_file("/C/samples/a.json", b"0123")
        store = open_store("memory://C")
        assert isinstance(store, FsspecStore)
        assert store.read("samples/a.json") == b"0123"
        assert store.names("samples") == ["a.json"]
        size, read = store.ranges("samples/a.json")
        assert (size, bytes(read(1, 3))) == (4, b"12")
        with pytest.raises(FileNotFoundError):
            store.read("absent")

    def test_an_ordinary_web_server(self, tmp_path: Path) -> None:
        """Python's own, which knows no ranges, and lists folders as pages."""
        (tmp_path / "C/samples").mkdir(parents=True)
        (tmp_path / "C/samples/a.json").write_bytes(b"0123")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/C"
        store = open_store(url)
        assert store.read("samples/a.json") == b"0123"
        assert store.names("samples") == ["a.json"]
        with pytest.raises(CacheError, match=f"{url} gives whole objects only, where parts of them are asked for"):
            store.ranges("samples/a.json")[1](1, 3)
        with pytest.raises(FileNotFoundError):
            store.read("absent")
        server.shutdown()
        server.server_close()
        with pytest.raises(CacheError, match=f"{url} cannot be read: Cannot connect to host .*; check its address"):
            open_store(f"{url}").read("zarr.json")

    @pytest.mark.parametrize("url", ["memory://C", "https://example.org/C", "hf://datasets/a/b"])
    def test_what_cannot_be_written(self, url: str) -> None:
        with pytest.raises(UsageError, match=f"{url} can be read but not written; name a local directory"):
            open_writable(url)

    def test_no_store_at_all(self) -> None:
        with pytest.raises(UsageError, match="gopher://a cannot be opened"):
            open_store("gopher://a")


def test_instance_credentials_that_nobody_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys anywhere, and nothing at the address where a machine in the cloud asks for its own."""
    for name in environment("x"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    monkeypatch.setenv("FORESIGHT_RETRY_SECONDS", "1")
    with pytest.raises(CacheError, match="no credentials were found; set those of the store in the environment"):
        ObjectStore("s3://features/C").read("a")

import json
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from foresight_cache import encoders
from foresight_cache.encoders.weights import hub_snapshots, model_files
from foresight_cache.errors import ModelError, UnknownName, UsageError

HUB_ID = "someone/some-model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    (path / "model-1.safetensors").write_bytes(b"one")
    (path / "model-2.safetensors").write_bytes(b"two")
    return path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache in its own layout, with one model; the hub itself is out of reach."""
    root = tmp_path / "hub"
    snapshot = root / f"models--{HUB_ID.replace('/', '--')}" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return snapshot


def test_architecture_of_a_directory(model: Path) -> None:
    assert model_files.model_type(str(model)) == "qwen2_5_vl"
    assert encoders.family_of(str(model)) == "qwen2_5_vl"
    assert model_files.directory(str(model)) == model
    assert hub_snapshots.commit_of(model) is None
    assert model_files.identifier(str(model)) == "model"


def test_a_home_directory_is_expanded(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(model.parent))
    assert model_files.directory("~/model") == model
    assert model_files.identifier("~/model") == "model"


def test_a_hub_id_is_found_in_the_hubs_cache(hub: Path) -> None:
    assert model_files.model_type(HUB_ID) == "qwen2_5_vl"
    assert model_files.directory(HUB_ID) == hub
    assert hub_snapshots.commit_of(model_files.directory(HUB_ID)) == COMMIT
    assert model_files.identifier(HUB_ID) == HUB_ID


def test_only_safe_files_are_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options_seen = {}

    def download(repo: str, **options: object) -> str:
        options_seen.update(options, repo=repo)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert model_files.directory(HUB_ID) == tmp_path
    assert options_seen == {
        **{"repo": HUB_ID, "revision": None},
        "allow_patterns": ["*.safetensors", "*.json", "*.txt", "*.jinja", "*.model"],
        "ignore_patterns": list(hub_snapshots.UNNEEDED),
    }


def test_no_network_and_no_copy_is_one_sentence(hub: Path) -> None:
    for ask in (model_files.model_type, model_files.directory):
        with pytest.raises(ModelError) as caught:
            ask("someone/other")
        assert str(caught.value) == (
            "model 'someone/other' is neither a local directory nor in the hub's cache, and the hub cannot be reached; "
            "check the network, or download the model elsewhere and name its directory"
        )


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("GatedRepoError", "is gated on the hub; accept its terms there"),
        ("RepositoryNotFoundError", "is neither a local directory nor a public model on the hub"),
        ("RemoteEntryNotFoundError", "on the hub has no config.json"),
        ("HfHubHTTPError", r"is not a local directory and could not be fetched from the hub \(broken\); check"),
        ("HTTPError", r"is not a local directory and could not be fetched from the hub \(broken\); check"),
    ],
)
def test_errors_of_the_hub_are_one_sentence(monkeypatch: pytest.MonkeyPatch, kind: str, message: str) -> None:
    error = vars(errors)[kind]

    def fail(*_args: object, **_options: object) -> None:
        raised = error.__new__(error)
        raised.args = ("broken.\nRequest ID: 1",)
        raise raised

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(ModelError, match=f"model '{HUB_ID}' {message}") as caught:
        model_files.model_type(HUB_ID)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["qwen2_5_vl", "/nowhere/at/all", "./nowhere", "a/b/c", "../x/y"])
def test_what_can_be_no_model_never_asks_the_hub(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.delattr(hub_snapshots, "_from_hub")
    with pytest.raises(ModelError, match=r"is not there; name an existing directory .* or tiny:<family>"):
        model_files.model_type(text)


def test_a_file_is_not_a_model(model: Path) -> None:
    with pytest.raises(ModelError, match=r"is a file; name the directory that holds its config\.json"):
        model_files.model_type(str(model / "config.json"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"has no config\.json, so it is not a model's directory"),
        ("{", "cannot be read as a model's configuration"),
        ("[]", "cannot be read as a model's configuration"),
        ("{}", "has no 'model_type'"),
        ('{"model_type": 3}', "has no 'model_type'"),
    ],
)
def test_a_bad_configuration_is_one_sentence(model: Path, content: str | None, message: str) -> None:
    config = model / "config.json"
    config.unlink() if content is None else config.write_text(content)
    with pytest.raises(ModelError, match=message):
        model_files.model_type(str(model))


def test_a_foreign_architecture_names_the_known_ones(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "qwen2_5_vlx"}')
    with pytest.raises(UnknownName, match=r"unknown model family 'qwen2_5_vlx'; did you mean .*'qwen2_5_vl'"):
        encoders.family_of(str(model))


def test_digest_of_weights_sees_every_byte_and_name_and_nothing_else(model: Path) -> None:
    before = model_files.weights_digest(model)
    (model / "README.md").write_text("new")
    assert model_files.weights_digest(model) == before
    (model / "model-2.safetensors").write_bytes(b"twO")
    flipped = model_files.weights_digest(model)
    (model / "model-2.safetensors").rename(model / "model-3.safetensors")
    assert len({before, flipped, model_files.weights_digest(model)}) == 3


def test_weights_in_another_form_are_refused(model: Path) -> None:
    for file in model.glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    with pytest.raises(
        ModelError, match=r"has no \*\.safetensors weights but model-1\.bin, .* can run code .* convert the model"
    ):
        model_files.weights_digest(model)


@pytest.mark.parametrize("text", ["gpu", "cuda:99", "cpu:x", ""])
def test_a_device_that_is_not_there(text: str) -> None:
    with pytest.raises(UsageError, match=f"device '{text}' is not available here; name 'auto', 'cpu' or"):
        model_files.pick_device(text)

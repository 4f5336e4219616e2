"""Files of a checkpoint before it is loaded: which ones are read, whether they are whole, and what they are instead."""

import json
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import ModelError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
"""Names of the one file of weights, and of the list of several."""
OF_DIFFUSERS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors.index.json")
"""The same names in the models of diffusers."""
TEXT_SUFFIXES = (".json", ".txt", ".jinja", ".model")
"""Endings of a model's files beside its weights: configuration, vocabulary, chat template."""
ADAPTER = "adapter_config.json"

Names = tuple[str, str]
"""Names of the one file of weights, and of the list of several."""

_POINTER = b"version https://git-lfs.github.com/spec/"
_OTHER_FORMS = {
    "*.bin": "PyTorch's pickle format",
    "*.pt": "PyTorch's pickle format",
    "*.pth": "PyTorch's pickle format",
    "*.gguf": "the format of llama.cpp",
    "*.npz": "numpy's format",
    "*.h5": "TensorFlow's format",
    "*.msgpack": "Flax's format",
    "*.onnx": "ONNX",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensor:
    """A tensor as a file of weights describes it."""

    shape: tuple[int, ...]
    kind: str
    """Number type in the words of safetensors, such as `BF16` or `U32`."""


def check_directory(path: Path) -> None:
    """Raises `ModelError` where a directory holds an adapter alone, or pointers of git-lfs in place of small files."""
    if (path / ADAPTER).is_file() and not (path / "config.json").exists():
        raise ModelError(_adapter_alone(path))
    for file in sorted(path.iterdir()):
        if file.suffix in TEXT_SUFFIXES and file.is_file():
            _refuse_pointer(file, "the file")


def weight_files(path: Path, names: Names = (WEIGHTS, INDEX)) -> list[Path]:
    """Lists the safetensors files that a model is loaded from: the one, those of the index, or else all of them.

    `names` are those of the one and of the index. Raises `ModelError` where there are none, or where some of the index
    are not there.
    """
    weights, index = names
    if (path / weights).exists():
        return [path / weights]
    if (path / index).exists():
        return _indexed_files(path / index)
    files = sorted(file for file in path.glob("*.safetensors") if not file.name.startswith("adapter_"))
    if not files:
        raise ModelError(_adapter_alone(path) if (path / ADAPTER).is_file() else _no_weights(path))
    return files


def check_weights(path: Path, names: Names = (WEIGHTS, INDEX)) -> dict[str, StoredTensor]:
    """Returns the tensors of the files that a model is loaded from, by name, without reading their numbers.

    Raises `ModelError` for an adapter beside the weights, for files that are damaged or pointers, or have other names
    than `names`, by which the model's library does not find them.
    """
    has_model = any((path / name).exists() for name in names)
    if (path / ADAPTER).is_file() and list(path.glob("*.safetensors")) and has_model:
        raise ModelError(
            f"{path} holds an adapter ({ADAPTER}) beside the weights, which the package peft would put onto them if it "
            f"is installed; name a directory with merged weights alone (where these are merged already, move the files "
            f"adapter_* away)"
        )
    files = weight_files(path, names)
    if not has_model:
        raise ModelError(
            f"{path} has weights in {files[0].name}, but neither {names[0]} nor {names[1]}, by which they are found; "
            f"download the model again, or save it anew with {'diffusers' if names == OF_DIFFUSERS else 'transformers'}"
        )
    stored: dict[str, StoredTensor] = {}
    for file in files:
        stored |= _tensors(file)
    return stored


def _indexed_files(index: Path) -> list[Path]:
    path = index.parent
    _refuse_pointer(index, "the list of the weights")
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index} is no list of files of weights: {error!r}; download it again") from error
    if outside := [name for name in names if Path(name).name != name]:
        raise ModelError(f"{index} names {outside[0]!r}, expected files beside it; download it again")
    if absent := [name for name in names if not (path / name).exists()]:
        raise ModelError(
            f"{path} lacks {len(absent)} of the {len(names)} files of weights that {index.name} names, such as "
            f"{absent[0]}; download the model again"
        )
    return [path / name for name in names]


def _tensors(file: Path) -> dict[str, StoredTensor]:
    """Returns the tensors that the header of a safetensors file names. Raises `ModelError`."""
    from safetensors import SafetensorError, safe_open

    _refuse_pointer(file, "the weights")
    try:
        with safe_open(file, "numpy") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
            return {
                name: StoredTensor(shape=tuple(part.get_shape()), kind=part.get_dtype())
                for name, part in slices.items()
            }
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} cannot be read as safetensors weights: {_damage(file, error)}") from error


def _damage(file: Path, error: Exception) -> str:
    """Returns what is wrong with a file, and what to do."""
    size = file.stat().st_size
    if size < 8:
        return f"it has {size} bytes; download it again"
    with file.open("rb") as opened:
        start = opened.read(8)
        header = int.from_bytes(start, "little")
        if header > size:
            looks = "; it begins like a web page or a text" if start.strip()[:1] in (b"<", b"{") else ""
            return f"it is cut short or no such file{looks} ({size:,} bytes); download it again"
        try:
            promised = (
                8
                + header
                + max(
                    part["data_offsets"][1]
                    for name, part in json.loads(opened.read(header)).items()
                    if name[:2] != "__"
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{error}; download it again"
    return f"it is cut short, {size:,} of {promised:,} bytes are there; download it again"


def _refuse_pointer(file: Path, what: str) -> None:
    try:
        with file.open("rb") as opened:
            is_pointer = opened.read(len(_POINTER)) == _POINTER
    except OSError:  # whoever reads it says why
        return
    if is_pointer:
        raise ModelError(
            f"{file} is not {what} but a pointer of git-lfs ({file.stat().st_size} bytes); run 'git lfs pull' there, "
            f"or download the model again"
        )


def _adapter_alone(path: Path) -> str:
    """Returns the sentence for a directory of an adapter, with the model that it belongs to where that is known."""
    try:
        base = json.loads((path / ADAPTER).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    of = f" of {base}" if isinstance(base, str) and base else ""
    return (
        f"{path} holds an adapter{of} ({ADAPTER}) and no model; merge it into the model with peft's "
        f"merge_and_unload(), save that to another directory and name it"
    )


def _no_weights(path: Path) -> str:
    """Returns the sentence for a directory without safetensors, with what is there instead."""
    for pattern, form in _OTHER_FORMS.items():
        if files := sorted(path.glob(pattern)):
            return (
                f"{path} has no *.safetensors weights but {files[0].name}, {form}; other formats can run code when "
                f"they are read or are other programs' own, so convert the model to safetensors first"
            )
    return f"{path} has no *.safetensors weights; download the model again, with its files of weights"

"""Every file is written by `device.system.atomic_write`, so that it is replaced completely or not at all."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_PACKAGES = ("edge_mcnn", "device", "convert", "training")
_TEMPORARY = "a temporary folder, which nobody else reads"
_MEMORY = "into memory"
_ALLOWED = {
    "device/system/atomic_write.py": {"partial.open": "its own file", "os.fdopen": "its own file"},
    "device/bundle.py": {"zipfile.ZipFile": _MEMORY},
    "device/daemon/daemon.py": {"Path(f'/proc/self/task/{threading.get_native_id()}/comm').write_text": "not a file"},
    "device/daemon/self_check.py": {"Path(f'/proc/{process}/oom_score_adj').write_text": "not a file"},
    "device/recognition/grammar.py": {"os.fdopen": _MEMORY},
    "device/recognition/vosk_folder.py": {"(links / _OPTIONS).write_text": _TEMPORARY},
    "device/recognition/speech_model/manifest.py": {"path.open": "a folder that is renamed when it is complete"},
    "device/recognition/speech_model/download.py": {"archive.open": "a folder that is removed"},
    "device/system/streams/stderr.py": {"os.fdopen": "standard error"},
    "device/outputs/create.py": {"os.fdopen": "standard output"},
    "device/recorder/clip_folder.py": {"soundfile.SoundFile": _MEMORY},
    "convert/convert.py": {
        "(folder / worker.JOB).write_text": _TEMPORARY,
        "model.write_bytes": _TEMPORARY,
        "path.write_bytes": _TEMPORARY,
        "np.savez": _MEMORY,
    },
    "convert/worker.py": {
        "(folder / MODEL).write_bytes": _TEMPORARY,
        "(folder / RESULT).write_text": _TEMPORARY,
        "tflite.save": _TEMPORARY,
    },
    "convert/quantise/tflite.py": {"tf.saved_model.save": _TEMPORARY},
    "convert/verify/runner.py": {"np.save": _TEMPORARY},
    "convert/source/keras_h5.py": {"h5py.File": _MEMORY},
    "training/dask_cluster.py": {"open": _MEMORY},
    "training/data/transcripts/transcription.py": {
        "self.path.open": "appends lines to a journal, and ignores one that is torn"
    },
    "training/evaluation/plots.py": {"figure.savefig": _MEMORY},
    "training/evaluation/report/web_page.py": {"Image.fromarray(np.rint(image * 255).astype(np.uint8)).save": _MEMORY},
    "training/fit/h5_writer.py": {"h5py.File": _MEMORY, "model.save": _MEMORY},
    "training/fit/epochs.py": {"checkpoint.save": "replaces the checkpoint atomically"},
    "training/images/array_cache.py": {"np.savez": _MEMORY},
    "training/images/image_cache.py": {
        "Image.fromarray(np.rint(computed * 255).astype(np.uint8)).save": _MEMORY,
        "unfinished.write_bytes": "renamed when complete; to wait for the disk would take too long for many images",
    },
}  # fmt: skip
"""Calls that write in another way, by module, with the reason."""
_WRITERS = frozenset({
    "write_text", "write_bytes", "savefig", "imsave", "save", "save_weights", "savez", "savez_compressed", "savetxt",
    "tofile", "to_csv", "to_json", "dump", "copy", "copy2", "copyfile", "copytree", "move",
})  # fmt: skip
_OWNERS_OF_WRITERS = {
    "dump": ("json", "pickle"),
    "copy": ("shutil",),
    "move": ("shutil",),
    "to_json": ("frame", "table"),
}
"""Names that other objects use as well; they count only as functions of these modules."""
_OPENERS = frozenset({"open", "fdopen", "File", "SoundFile", "ZipFile", "TarFile", "GzipFile"})


def _modules() -> list[Path]:
    return sorted(path for package in _PACKAGES for path in (_ROOT / package).rglob("*.py"))


def _mode(call: ast.Call) -> str:
    """The mode in a call that opens a file; empty if it is the default, which is to read."""
    values = [*call.args[:2], *(each.value for each in call.keywords if each.arg == "mode")]
    texts = [each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return next((text for text in reversed(texts) if 0 < len(text) <= 3 and set(text) <= set("rwaxbt+")), "")


def _writes(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the calls of a module that write a file by another way, and where."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        function = ast.unparse(node.func)
        owner, _, name = function.rpartition(".")
        if isinstance(node.func, ast.Attribute) and name in _WRITERS and owner != "self":
            is_write = owner in _OWNERS_OF_WRITERS.get(name, (owner,))
        else:
            is_write = name in _OPENERS and bool(set(_mode(node)) & set("wax+"))
        if is_write:
            yield function, f"{path.name}:{node.lineno}"


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(_ROOT).as_posix())
def test_files_are_written_atomically(path: Path) -> None:
    allowed = _ALLOWED.get(path.relative_to(_ROOT).as_posix(), {})
    assert [(function, where) for function, where in _writes(path) if function not in allowed] == []


@pytest.mark.parametrize("name", _ALLOWED)
def test_no_exception_is_left_over(name: str) -> None:
    assert {function for function, _ in _writes(_ROOT / name)} == set(_ALLOWED[name])


@pytest.mark.parametrize(
    "source",
    [
        "path.write_text('x')",
        "(folder / name).write_bytes(b'x')",
        "open(path, 'w')",
        "open(path, mode='ab')",
        "path.open('r+b')",
        "path.open(mode='x')",
        "os.fdopen(descriptor, 'wb')",
        "figure.savefig(path)",
        "image.save(path, 'PNG')",
        "model.save_weights(path)",
        "h5py.File(path, 'w')",
        "h5py.File(path, 'r+')",
        "np.savez(path, a=a)",
        "np.save(path, a)",
        "json.dump(value, stream)",
        "shutil.copy(source, target)",
        "zipfile.ZipFile(path, 'w')",
        "soundfile.SoundFile(path, 'w', 16000, 1)",
        "tf.saved_model.save(module, path)",
    ],
)
def test_the_check_finds_writes(source: str, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(source)
    assert list(_writes(module))


@pytest.mark.parametrize(
    "source",
    ["write_text(path, 'x')", "path.open('rb')", "open(path)", "h5py.File(path)", "image.copy()", "archive.open(info)"],
)
def test_the_check_ignores_reading_and_atomic_writing(source: str, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(source)
    assert not list(_writes(module))

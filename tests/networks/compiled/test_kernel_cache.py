"""The cache of compiled kernels, tested with a few bytes in place of code."""

import errno
import os
import pickle
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.processes import OBEY_PERMISSIONS, run_python

from herfast.networks.compiled import kernel_cache

CODE = bytes(range(256))


def use(*signatures, loaded=bytes):
    """Load the code of each signature as in a new process, or save it.

    Returns the number of signatures loaded from the cache, and the warnings.
    """
    kernel_cache._warned = False
    n_loaded = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for signature in signatures:
            code = kernel_cache.load("kernel", signature, loaded)
            if code is None:
                kernel_cache.save("kernel", signature, CODE)
            else:
                assert code == CODE
                n_loaded += 1
    assert {warning.category for warning in caught} <= {RuntimeWarning}
    return n_loaded, [str(warning.message) for warning in caught]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Return the package's and the user's folder. Neither exists yet."""
    kernel_cache._digest()  # of the real sources
    monkeypatch.setattr(kernel_cache, "_warned", False)
    monkeypatch.setattr(kernel_cache, "__file__", str(tmp_path / "package" / "kernel_cache.py"))
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return tmp_path / "package" / "__pycache__", tmp_path / "user" / "herfast"


@pytest.fixture
def cache(folders, tmp_path, monkeypatch):
    """Return the folder that the user has chosen, which does not exist yet."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    return tmp_path / "chosen" / "herfast"


@pytest.fixture
def filled(cache):
    """Return the chosen folder with one file."""
    assert use("int") == (0, [])
    return cache


def files(folder):
    """Return the files of the cache, and assert that there are no others."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    assert {path.suffix for path in found} <= {".o"}
    return found


def write(content):
    return lambda path: path.write_bytes(content)


def flip(index):
    """Return a function that flips one bit of a file."""

    def damage(path):
        content = bytearray(path.read_bytes())
        content[index] ^= 4
        path.write_bytes(content)

    return damage


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def replace_by_loop(path):
    path.unlink()
    path.symlink_to(path)


def truncate(path):
    os.truncate(path, path.stat().st_size - 1)


def replace_by_fifo(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "empty": (write(b""), "is damaged"),
    "truncated": (truncate, "is damaged"),
    "checksum": (flip(0), "is damaged"),
    "digest": (flip(40), "is damaged"),
    "code": (flip(150), "is damaged"),
    "last bit": (flip(-1), "is damaged"),
    "foreign": (write(b"# text\n" * 100), "is damaged"),
    "pickle": (write(pickle.dumps("0.61")), "is damaged"),
    "folder": (replace_by_folder, os.strerror(errno.EISDIR)),
    "FIFO": (replace_by_fifo, "it is not a regular file"),
    "symbolic link to itself": (replace_by_loop, os.strerror(errno.ELOOP)),
}


def test_a_new_process_loads_the_code(filled):
    assert len(files(filled)) == 1
    assert use("int", "int") == (2, [])
    assert use("int", "float") == (1, [])
    assert use("int", "float") == (2, [])
    assert len(files(filled)) == 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_replaced_with_one_warning(filled, damage):
    (path,) = files(filled)
    DAMAGES[damage][0](path)
    n_loaded, (warning,) = use("int")
    assert n_loaded == 0
    assert warning.startswith(f"cannot use the cache of compiled kernels in {filled}: ")
    assert DAMAGES[damage][1] in warning
    assert use("int") == (1, [])
    assert files(filled) == [path]


def test_a_damaged_file_affects_no_other(filled):
    use("float", "bool")
    for path in files(filled)[:2]:
        path.write_bytes(b"")
    n_loaded, found = use("int", "float", "bool")
    assert (n_loaded, len(found)) == (1, 1)
    assert use("int", "float", "bool") == (3, [])


def test_a_folder_with_files_is_kept(filled):
    (path,) = files(filled)
    replace_by_folder(path)
    (path / "file.o").touch()
    for _ in range(2):
        n_loaded, found = use("int")
        assert (n_loaded, len(found)) == (0, 1)
    assert files(filled) == [path / "file.o"]


def test_code_with_a_checksum_that_cannot_be_loaded_is_replaced(filled):
    def fail(code):
        raise ValueError("no object file")

    n_loaded, (warning,) = use("int", loaded=fail)
    assert n_loaded == 0
    assert f"in {filled}: no object file (" in warning
    assert use("int") == (1, [])


def test_a_full_disk_is_named(cache, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        n_loaded, (warning,) = use("int", "float")
    assert n_loaded == 0
    assert f"in {cache}: {os.strerror(errno.ENOSPC)} (" in warning
    assert files(cache) == []
    assert use("int", "float") == (0, [])


@pytest.mark.parametrize("by", ["nothing", "a file"])
def test_the_folder_may_be_replaced_while_it_is_used(filled, by):
    shutil.rmtree(filled.parent)
    if by == "a file":
        filled.parent.touch()
        n_loaded, (warning,) = use("int", "float")
        assert n_loaded == 0
        assert f"in {filled}: {os.strerror(errno.ENOTDIR)} (" in warning
    else:
        assert use("int", "float") == (0, [])
        assert use("int", "float") == (2, [])


def test_without_permission_to_read_a_file_it_warns(tmp_path):
    folder = tmp_path / "herfast"
    code = """
from herfast.networks.compiled import kernel_cache
print(kernel_cache.load("kernel", "int", bytes))
kernel_cache.save("kernel", "int", b"code")
"""
    run_python(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    (path,) = files(folder)
    path.chmod(0)
    result = run_python(OBEY_PERMISSIONS + code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert result.stdout == "None\n"
    assert result.stderr.count("Warning") == 1
    assert f"in {folder}: {os.strerror(errno.EACCES)} (" in result.stderr


def test_code_of_other_sources_is_replaced(filled, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(kernel_cache, "_digest", lambda: bytes(32))
        assert use("int") == (0, [])
        assert use("int") == (1, [])
    assert use("int") == (0, [])
    assert len(files(filled)) == 1


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "no file"), ModuleNotFoundError("numba")])
def test_missing_sources_disable_the_cache(cache, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(kernel_cache, "_digest", fail)
    for _ in range(2):
        n_loaded, found = use("int", "float")
        assert (n_loaded, len(found)) == (0, 1)
    assert files(cache) == []


PACKAGE = Path(kernel_cache.__file__).parents[2]
SOURCES = [
    *sorted(PACKAGE.glob("networks/kernels/*.py")),
    *sorted(PACKAGE.glob("networks/compiled/*.py")),
    PACKAGE / "networks" / "arrays.py",
    PACKAGE / "common" / "batches.py",
]


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Return a folder with copies of the sources, which determine the digest."""
    for path in SOURCES:
        copy = tmp_path / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    monkeypatch.setattr(kernel_cache, "__file__", str(tmp_path / "networks" / "compiled" / "kernel_cache.py"))
    return tmp_path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_an_edit_of_any_source_changes_the_digest(sources, path):
    digest = kernel_cache._digest.__wrapped__
    assert digest() == kernel_cache._digest()
    with (sources / path.relative_to(PACKAGE)).open("a") as file:
        file.write("#")
    assert digest() != kernel_cache._digest()


def test_other_versions_of_the_compilers_change_the_digest(monkeypatch):
    digest = kernel_cache._digest.__wrapped__
    before = digest()
    with monkeypatch.context() as patch:
        patch.setattr(kernel_cache.importlib.metadata, "version", lambda name: "0.0")
        assert digest() != before
    monkeypatch.setattr(kernel_cache.llvmlite, "__version__", "0.0")
    assert digest() != before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("processor", lambda: ("arm64", "a64fx", "+sve")),
        ("__file__", "/other/herfast/kernel_cache.py"),
        ("sys", SimpleNamespace(implementation=SimpleNamespace(cache_tag="cpython-399"))),
    ],
    ids=["processor", "installation", "Python"],
)
def test_other_processors_and_installations_have_files_of_their_own(filled, monkeypatch, name, value):
    """Such machines, or environments with different versions, share a folder."""
    first = files(filled)
    with monkeypatch.context() as patch:
        patch.setattr(kernel_cache, name, value)
        assert use("int") == (0, [])
        assert use("int") == (1, [])
    assert use("int") == (1, [])
    assert len(files(filled)) == 2
    assert set(first) < set(files(filled))


def test_code_for_debugging_has_a_file_of_its_own(filled, monkeypatch):
    """Numba then adds to the code."""
    with monkeypatch.context() as patch:
        patch.setenv("NUMBA_DEBUG_JIT", "1")
        assert use("int") == (0, [])
    assert use("int") == (1, [])
    assert len(files(filled)) == 2


def test_the_folder_of_the_package_comes_first(folders):
    package, user = folders
    assert use("int") == (0, [])
    assert use("int") == (1, [])
    assert (len(files(package)), user.exists()) == (1, False)


def test_the_folder_of_the_user_comes_second(folders):
    package, user = folders
    package.parent.mkdir()
    package.symlink_to("missing")  # so that it cannot be created
    assert use("int") == (0, [])
    assert use("int") == (1, [])
    assert len(files(user)) == 1


def test_the_folder_of_the_user_is_in_cache_by_default(folders, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "expanduser", lambda path: Path(str(path).replace("~", str(tmp_path))))
    folders[0].parent.touch()
    use("int")
    assert use("int") == (1, [])
    assert len(files(tmp_path / ".cache" / "herfast")) == 1


def test_a_user_without_a_folder_uses_that_of_the_package(folders, monkeypatch):
    def fail(path):
        raise RuntimeError("Could not determine it.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "expanduser", fail)
    assert use("int") == (0, [])
    assert use("int") == (1, [])
    assert len(files(folders[0])) == 1


def test_a_damaged_file_that_cannot_be_replaced_is_named_once(folders):
    """Later processes find the code in the folder of the user."""
    package, user = folders
    use("int")
    (path,) = files(package)
    replace_by_folder(path)
    (path / "file.o").touch()
    n_loaded, (warning,) = use("int")
    assert (n_loaded, f"in {package}: " in warning) == (0, True)
    assert use("int") == (1, [])
    assert len(files(user)) == 1


def test_a_relative_folder_in_a_deleted_working_folder_gives_a_warning(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "relative")
    (tmp_path / "deleted").mkdir()
    monkeypatch.chdir(tmp_path / "deleted")
    (tmp_path / "deleted").rmdir()
    n_loaded, (warning,) = use("int")
    assert (n_loaded, f"in {Path('relative', 'herfast')}: " in warning) == (0, True)
    assert use("int")[0] == 1


@pytest.mark.parametrize(
    "stderr",
    ["sys.stderr = None", "sys.stderr.close()", "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)"],
    ids=["missing", "closed", "full"],
)
def test_the_warning_and_the_notice_need_no_stderr(tmp_path, stderr):
    if "/dev/full" in stderr and not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    code = f"""
import os, sys
import numpy as np
from herfast import QNetwork
from herfast.networks.compiled import entry_points, kernel_cache
{stderr}
kernel_cache.warn("folder", OSError("reason"))
words = np.zeros((1, 1), np.uint64)
QNetwork(8).act(words, words)
print(kernel_cache._warned, entry_points._notice_printed)
"""
    result = run_python(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert (result.stdout, result.stderr) == ("True True\n", "")


def test_a_warning_that_is_an_error_is_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kernel_cache, "_warned", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel_cache.warn(tmp_path, ValueError("damaged"))
    message = f"cannot use the cache of compiled kernels in {tmp_path}: damaged"
    assert capsys.readouterr().err.startswith(f"herfast: warning: {message}")

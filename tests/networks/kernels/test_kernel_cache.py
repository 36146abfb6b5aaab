"""The cache of compiled kernels, tested with a small function."""

import errno
import os
import pickle
import shutil
import warnings

import pytest
from numba import njit
from numba.core import config
from numba.core.caching import FunctionCache, IndexDataCacheFile
from support.processes import run_python

from herfast.networks.kernels import kernel_cache


def double(x):
    return x + x


def use(*values):
    """Call `double` on each value as in a new process.

    Returns the number of signatures loaded from the cache, and the warnings.
    """
    kernel_cache._warned = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function = njit(double)
        kernel_cache.cache_on_disk(function)
        for value in values:
            assert function(value) == 2 * value
    assert {warning.category for warning in caught} <= {RuntimeWarning}
    return sum(function.stats.cache_hits.values()), [str(warning.message) for warning in caught]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the cache folder, which does not exist yet."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel_cache, "_warned", False)
    return tmp_path / "cache"


@pytest.fixture
def filled(cache):
    """Return the cache folder with one file, for int."""
    assert use(1) == (0, [])
    return cache


def files(folder):
    """Return the files of the cache, and assert that there are no others."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    assert {path.suffix for path in found} <= {".nbc"}
    return found


def write(content):
    return lambda path: path.write_bytes(content)


def flip(index):
    """Return a function that flips one bit of a file."""

    def damage(path):
        content = bytearray(path.read_bytes())
        content[int(index * (len(content) - 1))] ^= 4
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
    "digest": (lambda path: flip(40 / path.stat().st_size)(path), "is damaged"),
    "code": (flip(0.5), "is damaged"),
    "last bit": (flip(1), "is damaged"),
    "foreign": (write(b"# text\n" * 100), "is damaged"),
    "pickle": (write(pickle.dumps("0.61")), "is damaged"),
    "folder": (replace_by_folder, os.strerror(errno.EISDIR)),
    "FIFO": (replace_by_fifo, "it is not a regular file"),
    "symbolic link to itself": (replace_by_loop, os.strerror(errno.ELOOP)),
}


def test_a_new_process_loads_the_code(filled):
    assert len(files(filled)) == 1
    assert use(1, 1) == (1, [])
    assert use(1, 1.5) == (1, [])
    assert use(1, 1.5) == (2, [])
    assert len(files(filled)) == 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_replaced_with_one_warning(filled, damage):
    (path,) = files(filled)
    DAMAGES[damage][0](path)
    hits, (warning,) = use(1)
    assert hits == 0
    assert warning.startswith(f"cannot use the cache of compiled kernels in {path.parent}: ")
    assert DAMAGES[damage][1] in warning
    assert use(1) == (1, [])
    assert files(filled) == [path]


def test_a_damaged_file_affects_no_other(filled):
    use(1.5, 1j)
    for path in files(filled)[:2]:
        path.write_bytes(b"")
    hits, found = use(1, 1.5, 1j)
    assert (hits, len(found)) == (1, 1)
    assert use(1, 1.5, 1j) == (3, [])


def test_a_folder_with_files_is_kept(filled):
    (path,) = files(filled)
    replace_by_folder(path)
    (path / "file.nbc").touch()
    for _ in range(2):
        hits, found = use(1)
        assert (hits, len(found)) == (0, 1)
    assert files(filled) == [path / "file.nbc"]


def test_code_with_a_checksum_that_cannot_be_loaded_is_replaced(filled, monkeypatch):
    (path,) = files(filled)
    with monkeypatch.context() as patch:
        patch.setattr(kernel_cache, "dumps", lambda data: b"no pickle")
        path.unlink()
        use(1)
    hits, (warning,) = use(1)
    assert (hits, str(path.parent) in warning) == (0, True)
    assert use(1) == (1, [])


def test_a_full_disk_is_named(cache, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        hits, (warning,) = use(1, 1.5)
    assert hits == 0
    (folder,) = cache.iterdir()
    assert f"in {folder}: {os.strerror(errno.ENOSPC)} (" in warning
    assert files(cache) == []
    assert use(1, 1.5) == (0, [])


@pytest.mark.parametrize("by", ["nothing", "a file"])
def test_the_folder_may_be_replaced_while_it_is_used(cache, by):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function = njit(double)
        kernel_cache.cache_on_disk(function)
        function(1)
        shutil.rmtree(cache)
        if by == "a file":
            cache.touch()
        assert (function(1.5), function(2j)) == (3.0, 4j)
    if by == "a file":
        assert len(caught) == 1
        assert str(cache) in str(caught[0].message)
    else:
        assert caught == []
        assert use(1.5, 2j) == (2, [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_without_permission_it_warns(filled, what):
    function = njit(double)
    kernel_cache.cache_on_disk(function)
    (path,) = files(filled)
    folder = path.parent
    if what == "folder":
        path = folder
    path.chmod(0)
    try:
        with pytest.warns(RuntimeWarning) as caught:
            assert function(1) == 2
    finally:
        path.chmod(0o700)
    (warning,) = caught
    assert f"in {folder}: {os.strerror(errno.EACCES)} (" in str(warning.message)


def test_code_of_other_sources_is_replaced(filled, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(kernel_cache, "_digest", lambda: bytes(32))
        assert use(1) == (0, [])
        assert use(1) == (1, [])
    assert use(1) == (0, [])
    assert len(files(filled)) == 1


@pytest.mark.parametrize("setting", kernel_cache._SETTINGS)
def test_code_for_other_settings_of_numba_is_kept_apart(filled, setting, monkeypatch):
    other = int(not getattr(config, setting))
    if setting == "OPT":
        other = type(config.OPT)(1)
    with monkeypatch.context() as patch:
        patch.setattr(config, setting, other)
        assert use(1) == (0, [])
    assert use(1) == (1, [])
    assert len(files(filled)) == 2


def test_missing_sources_disable_the_cache(cache, monkeypatch):
    def fail():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(kernel_cache, "_digest", fail)
    for _ in range(2):
        hits, found = use(1, 1.5)
        assert (hits, len(found)) == (0, 1)
    assert files(cache) == []


def test_recompile_empties_the_cache(filled):
    function = njit(double)
    kernel_cache.cache_on_disk(function)
    function(1)
    function.recompile()
    assert sum(function.stats.cache_misses.values()) == 1


def test_functions_of_the_user_keep_the_cache_of_numba(cache):
    function = njit(cache=True)(double)
    assert type(function._cache) is FunctionCache
    assert type(function._cache._cache_file) is IndexDataCacheFile


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
from types import SimpleNamespace
from herfast.networks.kernels import entry_points, kernel_cache
{stderr}
kernel_cache._warn("folder", OSError("reason"))
notice = entry_points._CompileNotice()
notice.on_start(SimpleNamespace(data={{"dispatcher": entry_points.act}}))
print(kernel_cache._warned, notice.printed)
"""
    result = run_python(code, tmp_path)
    assert (result.stdout, result.stderr) == ("True True\n", "")


def test_a_warning_that_is_an_error_is_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kernel_cache, "_warned", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel_cache._warn(str(tmp_path), ValueError("damaged"))
    message = f"cannot use the cache of compiled kernels in {tmp_path}: damaged"
    assert capsys.readouterr().err.startswith(f"herfast: warning: {message}")

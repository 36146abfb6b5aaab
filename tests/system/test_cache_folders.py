"""Folders for compiled kernels that cannot be written, and those of other users."""

import errno
import os

import pytest
from support.package_copies import ACT, NOTICE, copy_package, run_copy, saved_kernels, warning_of
from support.processes import OBEY_PERMISSIONS

AS_USER = OBEY_PERMISSIONS + ACT
KERNELS = "herfast/networks/compiled/__pycache__"
USER = "user/herfast"


@pytest.fixture(scope="module")
def filled_package(tmp_path_factory):
    """Return a folder with a package whose cache is filled, and the output of ACT."""
    folder = tmp_path_factory.mktemp("filled")
    (folder / "user").mkdir()
    copy_package(folder)
    result = run_copy(folder)
    assert result.stderr == NOTICE
    assert len(saved_kernels(folder / KERNELS)) == 1
    assert saved_kernels(folder / "user") == {}
    return folder, result.stdout


@pytest.fixture
def package(tmp_path):
    """Return a folder with a package that may not be written."""
    copy_package(tmp_path)
    (tmp_path / "user").mkdir()
    make_read_only(tmp_path / "herfast")
    return tmp_path


def make_read_only(folder):
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)


def actions_of(output):
    return output.partition(" ")[2]


def test_a_package_of_root_is_cached_in_the_folder_of_the_user(package, filled_package):
    first = run_copy(package, AS_USER)
    assert actions_of(first.stdout) == actions_of(filled_package[1])
    assert first.stderr == NOTICE
    kernels = saved_kernels(package)
    assert [path.parent for path in kernels] == [package / USER]
    second = run_copy(package, AS_USER)
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert saved_kernels(package) == kernels


def test_without_any_folder_it_warns_once_and_works(package, filled_package):
    make_read_only(package / "user")
    result = run_copy(package, AS_USER + ACT)
    actions = [actions_of(line) for line in result.stdout.splitlines(keepends=True)]
    assert actions == [actions_of(filled_package[1])] * 2
    assert warning_of(result).startswith(f"{package / KERNELS}: {os.strerror(errno.EACCES)} (")
    assert result.stderr.count(NOTICE) == 1
    assert saved_kernels(package) == {}


def test_a_cache_filled_by_root_is_used_silently(filled_package):
    folder, expected = filled_package
    make_read_only(folder / "herfast")
    before = saved_kernels(folder)
    result = run_copy(folder, AS_USER + "import sys; assert 'numba' not in sys.modules")
    assert (result.stdout, result.stderr) == (expected, "")
    assert saved_kernels(folder) == before
    assert list((folder / "user").iterdir()) == []


def test_a_filled_folder_that_cannot_be_written_is_used_silently(package):
    chosen = package / "chosen"
    first = run_copy(package, NUMBA_CACHE_DIR=str(chosen))
    assert first.stderr == NOTICE
    make_read_only(chosen)
    before = saved_kernels(package)
    assert [path.parent for path in before] == [chosen / "herfast"]
    second = run_copy(package, AS_USER, NUMBA_CACHE_DIR=str(chosen))
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert saved_kernels(package) == before


def test_an_empty_folder_that_cannot_be_written_is_named_once(package):
    chosen = package / "chosen"
    chosen.mkdir(mode=0o500)
    first = run_copy(package, AS_USER, NUMBA_CACHE_DIR=str(chosen))
    assert warning_of(first).startswith(f"{chosen / 'herfast'}: {os.strerror(errno.EACCES)} (")
    assert [path.parent for path in saved_kernels(package)] == [package / USER]
    second = run_copy(package, AS_USER, NUMBA_CACHE_DIR=str(chosen))
    assert (second.stdout, second.stderr) == (first.stdout, "")


def test_an_unusable_folder_is_named_and_another_one_used(package):
    file = package / "file"
    file.touch()
    first, second = (run_copy(package, AS_USER, NUMBA_CACHE_DIR=str(file)) for _ in range(2))
    assert first.stdout == second.stdout
    for result in (first, second):
        assert warning_of(result).startswith(f"{file / 'herfast'}: {os.strerror(errno.ENOTDIR)} (")
    assert NOTICE in first.stderr
    assert NOTICE not in second.stderr
    assert file.read_bytes() == b""


def test_a_cache_that_the_user_may_not_read_is_named_once(package):
    """Root filled it with a umask of 077."""
    (package / "herfast" / "networks" / "compiled").chmod(0o755)
    first = run_copy(package)
    (path,) = saved_kernels(package / KERNELS)
    make_read_only(package / "herfast")
    path.chmod(0)
    second, third = (run_copy(package, AS_USER) for _ in range(2))
    assert first.stdout == second.stdout == third.stdout
    assert warning_of(second).startswith(f"{path.parent}: {os.strerror(errno.EACCES)} (")
    assert third.stderr == ""

"""Files in tests: names in a folder, equality of tensors, a full disk."""

import resource
from contextlib import contextmanager

from herfast.common.tensor_file import open_tensors


def file_names(folder):
    return sorted(path.name for path in folder.iterdir())


def read_tensors(path):
    """Return all tensors and the metadata of a file."""
    with open_tensors(path) as file:
        return {name: file.read(name) for name in file.shapes}, file.metadata


def assert_equal_tensors(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


@contextmanager
def full_disk(size):
    """Limit the size of all files to `size` bytes, as on a full disk.

    The limit also holds for the output of pytest.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

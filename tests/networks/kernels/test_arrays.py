"""The arrays that kernels work on."""

from herfast.networks.kernels.arrays import Scratch, Workspace


def test_a_workspace_begins_as_a_scratch():
    assert Workspace._fields[: len(Scratch._fields)] == Scratch._fields

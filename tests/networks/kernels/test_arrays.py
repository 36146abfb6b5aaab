"""Tests of the arrays that kernels work on."""

import numpy as np

from herfast.networks.kernels.arrays import layout, scratch, workspace


def test_a_workspace_has_a_scratch_for_the_same_rows():
    shape = layout(20, (40, 70), 10)
    nested = workspace(9, shape, (10, 10)).scratch
    assert [array.shape for array in nested] == [array.shape for array in scratch(9, shape, (10, 10))]


def test_gradients_share_memory_with_the_next_state_activations():
    work = workspace(9, layout(20, (40, 70), 10), (10, 10))
    assert np.shares_memory(work.d_z, work.h_next)
    assert work.d_z.shape == work.h_next.shape

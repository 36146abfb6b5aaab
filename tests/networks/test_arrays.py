"""Tests of the arrays that kernels work on."""

import numpy as np
import pytest

from herfast.networks.arrays import LANES, aligned, layout, scratch, workspace

SHAPE = layout(10, 9, (40, 70), 11, dueling=False)


def test_a_layout_has_the_places_of_all_parameters():
    """Widths are padded to 64 and 96."""
    assert (SHAPE.n_inputs, SHAPE.width, SHAPE.last_width, SHAPE.stride) == (19, 64, 96, 96 + 16)
    assert SHAPE.biases == 19 * 64
    weights = 20 * 64
    assert SHAPE.dense.tolist() == [[64, 96, weights, weights + 64 * 96]]
    assert SHAPE.output == weights + 65 * 96
    assert SHAPE.n_parameters == SHAPE.output + 97 * 11
    assert SHAPE.value is None


def test_a_dueling_layout_has_the_value_at_its_end():
    dueling = layout(10, 9, (40, 70), 11, dueling=True)
    assert dueling.value == SHAPE.n_parameters
    assert dueling.n_parameters == dueling.value + 97
    assert dueling._replace(value=None, n_parameters=SHAPE.n_parameters, dense=None) == SHAPE._replace(
        dense=None
    )


def test_a_layout_with_one_hidden_layer_has_no_dense_layers():
    shape = layout(10, 10, (40,), 10, dueling=False)
    assert (shape.dense, shape.n_dense, shape.last_width) == (None, 0, 64)


@pytest.mark.parametrize(
    ("bits", "words", "codes"),
    [((1, 1), (1, 1), (1, 2)), ((64, 63), (1, 1), (16, 32)), ((65, 4), (2, 1), (17, 18))],
)
def test_a_layout_has_the_numbers_of_words_and_codes(bits, words, codes):
    shape = layout(*bits, (40,), 10, dueling=False)
    assert (shape.state_words, shape.goal_words) == words
    assert (shape.state_codes, shape.codes) == codes


def test_codes_fit_into_the_words_of_codes():
    for n_bits in range(1, 200):
        shape = layout(n_bits, n_bits, (8,), 1, dueling=False)
        work = scratch(1, shape)
        assert work.codes_per_word <= 16
        assert work.codes_per_word * (work.code_words - 1) < shape.codes
        assert work.codes_per_word * work.code_words >= shape.codes


def test_a_workspace_has_a_scratch_for_the_same_rows():
    nested = workspace(9, SHAPE, with_gap=True).scratch
    for found, expected in zip(nested, scratch(9, SHAPE), strict=True):
        assert np.shape(found) == np.shape(expected)


def test_gradients_share_memory_with_the_next_state_activations():
    work = workspace(9, SHAPE, with_gap=False)
    assert np.shares_memory(work.d_z, work.h_next)
    assert work.d_z.shape == work.h_next.shape


def test_only_an_advantage_gap_needs_the_target_activations_at_the_state():
    assert workspace(9, SHAPE, with_gap=False).h_target is None
    assert workspace(9, SHAPE, with_gap=True).h_target.shape == (2, 9, 96 + 16)


def test_aligned_arrays_start_at_cache_lines_and_are_apart_from_each_other():
    shapes = [(1,), (33,), (2, 3), (64,)]
    arrays = aligned(*shapes)
    assert [array.shape for array in arrays] == shapes
    places = [array.__array_interface__["data"][0] for array in arrays]
    assert [place % 64 for place in places] == [0] * 4
    for i, place in enumerate(places[:-1]):
        used = -(-arrays[i].size // LANES) * LANES * 4
        assert places[i + 1] - place == used

"""Tests of the array containers."""

import pytest

from herfast.common.batches import n_words


@pytest.mark.parametrize(
    ("n_bits", "words"),
    [(0, 0), (1, 1), (9, 1), (63, 1), (64, 1), (65, 2), (127, 2), (128, 2), (129, 3), (65_535, 1024)],
)
def test_n_words_is_the_number_of_bits_divided_by_64_rounded_up(n_bits, words):
    assert n_words(n_bits) == words

"""Chi-square tests of random draws. Seeds are fixed."""

import numpy as np
from scipy import stats

# Fair draws fail for one seed in 10,000. Seeds are fixed, so a test that passes once always passes.
MIN_P_VALUE = 1e-4


def assert_frequencies(values, probabilities, what):
    """Assert that the frequencies of the indices `values` fit, with p > 1e-4.

    `probabilities` need not sum to 1.
    """
    weights = np.asarray(probabilities, float)
    counts = np.bincount(values, minlength=len(weights))
    assert len(counts) == len(weights), f"{what}: index {len(counts) - 1} is not below {len(weights)}"
    assert not counts[weights == 0].any(), (
        f"{what}: drawn with probability 0: {np.flatnonzero(counts * (weights == 0))}"
    )
    expected = weights[weights > 0] * counts.sum() / weights.sum()
    assert expected.min() >= 5, f"{what}: too few draws for a chi-square test"
    if len(expected) > 1:
        p = stats.chisquare(counts[weights > 0], expected).pvalue
        assert p > MIN_P_VALUE, f"{what}: p = {p:.3g}, counts {counts}, expected {expected}"


def assert_uniform(values, n_values, what):
    """Assert that `values` were drawn uniformly from 0..n_values - 1."""
    assert_frequencies(values, np.ones(n_values), what)


def assert_independent(one, other, what):
    """Assert that the values of `one` and `other`, drawn in pairs, are independent."""
    table = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(table, (one, other), 1)
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    p = stats.chi2_contingency(table).pvalue
    assert p > MIN_P_VALUE, f"{what}: p = {p:.3g}"


def assert_fair_bits(bits, what):
    """Assert that each column of `bits` [draws, n] is 0 or 1 with probability 1/2.

    Columns are assumed to be independent of each other.
    """
    n_draws, n_bits = bits.shape
    statistic = ((bits.sum(axis=0) - n_draws / 2) ** 2 / (n_draws / 4)).sum()
    p = stats.chi2.sf(statistic, n_bits)
    assert p > MIN_P_VALUE, f"{what}: p = {p:.3g}"

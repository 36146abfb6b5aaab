"""Chi-square tests of random draws, with fixed seeds."""

import numpy as np
from scipy import stats

MIN_P_VALUE = 1e-4  # seeds are fixed, so a test that passes once always passes; fair draws fail for one seed in 10,000


def assert_frequencies(values, probabilities, what):
    """`values` are indices; their frequencies fit these probabilities (or weights) with p > 1e-4."""
    weights = np.asarray(probabilities, float)
    counts = np.bincount(values, minlength=len(weights))
    assert len(counts) == len(weights), f"{what}: {len(counts) - 1} is none of {len(weights)}"
    assert not counts[weights == 0].any(), (
        f"{what}: drawn, though impossible: {np.flatnonzero(counts * (weights == 0))}"
    )
    expected = weights[weights > 0] * counts.sum() / weights.sum()
    assert expected.min() >= 5, f"{what}: too few draws for a chi-square test"
    if len(expected) > 1:
        p = stats.chisquare(counts[weights > 0], expected).pvalue
        assert p > MIN_P_VALUE, f"{what}: p = {p:.3g}, counts {counts}, expected {expected}"


def assert_uniform(values, n_values, what):
    """`values` are drawn uniformly from 0..n_values - 1."""
    assert_frequencies(values, np.ones(n_values), what)


def assert_independent(one, other, what):
    """Which value of `one` is drawn says nothing about `other`, drawn beside it."""
    table = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(table, (one, other), 1)
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    p = stats.chi2_contingency(table).pvalue
    assert p > MIN_P_VALUE, f"{what}: p = {p:.3g}"


def assert_fair_bits(bits, what):
    """Each column of `bits` [draws, n] is 0 or 1 with equal chances, and independent of the others."""
    n_draws, n_bits = bits.shape
    statistic = ((bits.sum(axis=0) - n_draws / 2) ** 2 / (n_draws / 4)).sum()
    p = stats.chi2.sf(statistic, n_bits)
    assert p > MIN_P_VALUE, f"{what}: p = {p:.3g}"

"""What herfast.layers computes, in plain NumPy on arrays of 0 and 1 (bits [B, n]) and dense weights."""

import numpy as np


def codes(state_bits, goal_bits, most_per_word=16):
    """Groups of 4 bits, state and goal each padded to whole groups, the first lowest, in words of equally many."""
    padded = [np.pad(bits, ((0, 0), (0, -bits.shape[1] % 4))) for bits in (state_bits, goal_bits)]
    groups = np.concatenate(padded, axis=1).reshape(len(state_bits), -1, 4) @ [1, 2, 4, 8]
    n_words = -(-groups.shape[1] // most_per_word)
    codes_per_word = -(-groups.shape[1] // n_words)
    out = np.zeros((len(groups), n_words), np.uint64)
    for j in range(groups.shape[1]):
        out[:, j // codes_per_word] |= groups[:, j].astype(np.uint64) << np.uint64(4 * (j % codes_per_word))
    return out


def table(rows):
    """For each v < 2^len(rows) the sum of the rows, each times 1 or -1 by its bit of v."""
    v = np.arange(2 ** len(rows))[:, None] >> np.arange(len(rows)) & 1
    return (2 * v - 1) @ rows


def inputs(state_bits, goal_bits):
    """+-1 for each bit, the state's first."""
    return 2.0 * np.concatenate([state_bits, goal_bits], axis=1) - 1.0


def first_layer(x, weights, biases):
    return biases + x @ weights


def first_layer_gradient(x, d_z):
    """By the weights."""
    return x.T @ d_z


def transposed(bits):
    """uint64[n, words of B]: bit b of row i is bits[b, i]."""
    n_words = -(-len(bits) // 64)
    out = np.zeros((bits.shape[1], n_words), np.uint64)
    for b, row in enumerate(bits):
        out[:, b // 64] |= row.astype(np.uint64) << np.uint64(b % 64)
    return out

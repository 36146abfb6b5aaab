"""Reference for packed_layer.py in plain NumPy, with dense weights.

Bits are arrays [B, n] of 0 and 1.
"""

import numpy as np


def codes(state_bits, goal_bits, most_per_word=16):
    """Return words of 4-bit codes, uint64[B, words].

    State and goal are each padded to whole codes. All words but the last hold the same number of codes.
    The first code is in the lowest bits.
    """
    padded = [np.pad(bits, ((0, 0), (0, -bits.shape[1] % 4))) for bits in (state_bits, goal_bits)]
    groups = np.concatenate(padded, axis=1).reshape(len(state_bits), -1, 4) @ [1, 2, 4, 8]
    n_words = -(-groups.shape[1] // most_per_word)
    codes_per_word = -(-groups.shape[1] // n_words)
    out = np.zeros((len(groups), n_words), np.uint64)
    for j in range(groups.shape[1]):
        out[:, j // codes_per_word] |= groups[:, j].astype(np.uint64) << np.uint64(4 * (j % codes_per_word))
    return out


def table(rows, is_binary=False):
    """Return the weighted sums of the rows, one per v < 2^len(rows).

    Row i is multiplied by the input for bit i of v.
    """
    v = np.arange(2 ** len(rows))[:, None] >> np.arange(len(rows)) & 1
    return encoded(v, is_binary) @ rows


def encoded(bits, is_binary):
    """Return bits as the inputs +-1, or 0 and 1."""
    return 1.0 * bits if is_binary else 2.0 * bits - 1.0


def inputs(state_bits, goal_bits, is_binary=False):
    """Return the bits of the state, then of the goal, as inputs."""
    return encoded(np.concatenate([state_bits, goal_bits], axis=1), is_binary)


def first_layer(x, weights, biases):
    return biases + x @ weights


def first_layer_gradient(x, d_z):
    """Return the gradient of the loss with respect to the weights."""
    return x.T @ d_z


def transposed(bits):
    """Return uint64[n, words of B]; bit b of row i is bits[b, i]."""
    n_words = -(-len(bits) // 64)
    out = np.zeros((bits.shape[1], n_words), np.uint64)
    for b, row in enumerate(bits):
        out[:, b // 64] |= row.astype(np.uint64) << np.uint64(b % 64)
    return out

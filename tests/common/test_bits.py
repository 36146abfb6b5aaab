"""Tests of packing and unpacking bits against Python integers."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from reference import bits as ref

from herfast import _core, pack_bits, unpack_bits

SIZES = [*range(10), 63, 64, 65, 127, 128, 129, 1000]
DTYPES = [np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64, ">i4"]


def random_bits(shape, seed=0):
    return np.random.default_rng(seed).random(shape) < 0.5


def test_random_bits_are_not_all_equal():
    assert random_bits(1000).any()
    assert not random_bits(1000).all()
    assert (random_bits((2, 1000))[0] != random_bits((2, 1000))[1]).any()


@pytest.mark.parametrize("n_bits", SIZES)
def test_pack_and_unpack_equal_the_reference(n_bits):
    bits = random_bits((20, n_bits), seed=n_bits)
    words = pack_bits(bits)
    assert words.dtype == np.uint64
    assert words.shape == (20, -(-n_bits // 64))
    for row in range(20):
        string = ref.from_bits(bits[row])
        np.testing.assert_array_equal(words[row], ref.to_words(string, n_bits))
        assert unpack_bits(words[row], n_bits).tolist() == ref.to_bits(string, n_bits)


@pytest.mark.parametrize("n_bits", SIZES)
def test_bit_i_is_bit_i_of_the_integer(n_bits):
    for bit, words in enumerate(pack_bits(np.eye(n_bits, dtype=np.int8))):
        assert ref.from_words(words) == 1 << bit


@pytest.mark.parametrize("leading", [(), (1,), (3,), (0,), (2, 3), (2, 0, 3), (1, 1, 1)])
@pytest.mark.parametrize("n_bits", [0, 1, 50, 65])
def test_leading_axes_are_kept_by_pack_and_unpack(leading, n_bits):
    bits = random_bits((*leading, n_bits))
    words = pack_bits(bits)
    assert words.shape == (*leading, -(-n_bits // 64))
    back = unpack_bits(words, n_bits)
    assert back.dtype == np.bool_
    np.testing.assert_array_equal(back, bits)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(arrays(np.bool_, array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=140)))
def test_unpacking_packed_bits_returns_them(bits):
    np.testing.assert_array_equal(unpack_bits(pack_bits(bits), bits.shape[-1]), bits)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_integer_dtypes_are_packed_equally(dtype):
    bits = random_bits((5, 70))
    np.testing.assert_array_equal(pack_bits(bits.astype(dtype)), pack_bits(bits))


def test_lists_strided_and_read_only_arrays_are_accepted():
    bits = random_bits((6, 70)).astype(np.int8)
    expected = pack_bits(bits)
    np.testing.assert_array_equal(pack_bits(bits.tolist()), expected)
    np.testing.assert_array_equal(pack_bits(np.asfortranarray(bits)), expected)
    np.testing.assert_array_equal(pack_bits(bits[::2]), expected[::2])
    np.testing.assert_array_equal(unpack_bits(expected[::2], 70), bits[::2])
    bits.setflags(write=False)
    expected.setflags(write=False)
    np.testing.assert_array_equal(unpack_bits(pack_bits(bits), 70), unpack_bits(expected, 70))
    assert pack_bits([]).shape == (0,)
    assert unpack_bits(expected, 70).flags.writeable


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(2, np.uint8), (-1, np.int8), (255, np.uint8), (256, np.int16), (-7, np.int64), (2**63, np.uint64)],
)
@pytest.mark.parametrize("n_bits", [1, 8, 9, 64, 65])
def test_a_value_other_than_0_and_1_is_named_in_the_error(value, dtype, n_bits):
    bits = np.zeros((3, n_bits), dtype)
    bits[1, -1] = value
    with pytest.raises(ValueError, match=f"bits must be 0 or 1, got {value}$"):
        pack_bits(bits)


def test_a_bool_array_with_another_byte_than_0_and_1_is_rejected():
    with pytest.raises(ValueError, match=r"got 3$"):
        pack_bits(np.array([0, 1, 3], np.uint8).view(np.bool_))


@pytest.mark.parametrize("bits", [[0.0, 1.0], ["0"], [None], [1j]])
def test_other_dtypes_are_rejected(bits):
    with pytest.raises(TypeError, match="bits must be booleans or integers, got dtype"):
        pack_bits(bits)


def test_a_single_value_is_rejected():
    with pytest.raises(ValueError, match="at least one axis"):
        pack_bits(1)
    with pytest.raises(ValueError, match="at least one axis"):
        unpack_bits(np.uint64(1), 1)


@pytest.mark.parametrize("n_bits", [1, 8, 50, 63, 65])
def test_unpack_rejects_a_bit_past_the_end(n_bits):
    words = pack_bits(random_bits((3, n_bits)))
    words[2, -1] |= np.uint64(1 << n_bits % 64)
    with pytest.raises(ValueError, match=rf"words\[2\] has a 1 at or past bit {n_bits}"):
        unpack_bits(words, n_bits)


def test_unpack_rejects_another_dtype_shape_or_size():
    with pytest.raises(TypeError, match="words must be uint64, got dtype int64"):
        unpack_bits(np.zeros((2, 1), np.int64), 50)
    with pytest.raises(ValueError, match=r"65 bits take 2 words, got words of shape \(3, 1\)"):
        unpack_bits(np.zeros((3, 1), np.uint64), 65)
    with pytest.raises(ValueError, match=r"n_bits must be from 0 .* got -1"):
        unpack_bits(np.zeros((3, 1), np.uint64), -1)


def test_the_core_checks_shapes():
    with pytest.raises(ValueError, match=r"out_words must have shape \(3, 2\), got \(3, 1\)"):
        _core.pack_bits(np.zeros((3, 65), np.uint8), np.zeros((3, 1), np.uint64))
    with pytest.raises(ValueError, match=r"words must have shape \(3, 2\), got \(2, 2\)"):
        _core.unpack_bits(np.zeros((2, 2), np.uint64), np.zeros((3, 65), np.uint8))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 2**128 - 1), st.integers(1, 128))
def test_packed_words_are_the_integer_with_these_bits(string, n_bits):
    string = ref.prefix(string, n_bits)
    assert ref.from_words(pack_bits(ref.to_bits(string, n_bits))) == string


@pytest.mark.parametrize("missing", ["herfast._core", "herfast._core_envs", "herfast._core_sb3"])
def test_import_without_the_compiled_core_explains_how_to_install_it(tmp_path, missing):
    code = f"import sys; sys.modules['{missing}'] = None; import herfast.common.bits"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "ImportError: herfast was imported from its source folder" in run.stderr
    assert "pip install" in run.stderr

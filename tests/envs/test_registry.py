"""Tests of the registry of environments."""

import functools

import pytest

from herfast import BitFlip, make_env, register_env
from herfast.envs import registry


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", {"BitFlip": BitFlip})


def make_pair():
    return BitFlip(2)


def test_make_env_returns_an_equal_environment():
    assert make_env(BitFlip(5, 9).spec()) == BitFlip(5, 9)


def test_a_class_can_be_registered_again():
    register_env("Pair", make_pair)
    register_env("Pair", make_pair)
    assert make_env({"id": "Pair"}) == BitFlip(2)


def test_two_functions_without_a_name_are_different():
    register_env("Pair", lambda: BitFlip(2))
    with pytest.raises(ValueError, match=r"^id 'Pair' is already registered for "):
        register_env("Pair", lambda: BitFlip(3))


def test_an_object_without_a_name_is_rejected():
    with pytest.raises(TypeError, match=r"^cls must be a class or function, got functools\.partial"):
        register_env("Pair", functools.partial(BitFlip, 2))

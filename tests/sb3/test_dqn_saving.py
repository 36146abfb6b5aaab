"""Tests of files and parameters of DQN: names, parts, changed arguments, errors."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import stable_baselines3
import torch
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.type_aliases import TrainFrequencyUnit
from support.sb3_models import bit_flipping, small_model, state_of

from herfast import Agent, BitFlip
from herfast.sb3 import DQN


@pytest.fixture
def model():
    return small_model(bit_flipping(2)).learn(203)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("model", "model.safetensors"),
        ("a/b/model", "a/b/model.safetensors"),
        ("x_1_steps.zip", "x_1_steps.zip"),
    ],
)
def test_names_of_files(tmp_path, model, name, file):
    """A suffix is added if there is none, and folders are created.

    The name that Stable-Baselines3 would have given is known, too.
    """
    model.save(tmp_path / name)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")] == [file]
    for path in (tmp_path / name, str(tmp_path / file), (tmp_path / name).with_suffix(".zip")):
        loaded = DQN.load(path)
        assert state_of(loaded) == state_of(model)


def test_checkpoints_of_a_callback(tmp_path):
    callback = CheckpointCallback(50, str(tmp_path), save_replay_buffer=True)
    model = small_model().learn(100, callback=callback)
    loaded = DQN.load(tmp_path / "rl_model_100_steps.zip", env=bit_flipping())
    loaded.load_replay_buffer(tmp_path / "rl_model_replay_buffer_100_steps.pkl")
    assert (loaded.replay_buffer.records[:100] == model.replay_buffer.records[:100]).all()
    assert len(DQN.load(tmp_path / "rl_model_50_steps.zip").replay_buffer) <= 50


def test_the_replay_buffer_may_be_excluded(tmp_path, model):
    model.save(tmp_path / "all")
    model.save(tmp_path / "without", exclude=["replay_buffer"])
    model.save(tmp_path / "with", exclude=["replay_buffer"], include=["replay_buffer"])
    assert (tmp_path / "with.safetensors").stat().st_size == (tmp_path / "all.safetensors").stat().st_size
    assert (tmp_path / "without.safetensors").stat().st_size < (tmp_path / "all.safetensors").stat().st_size
    loaded = DQN.load(tmp_path / "without", env=bit_flipping(2))
    assert len(loaded.replay_buffer) == 0
    model.save_replay_buffer(tmp_path / "buffer")
    loaded.load_replay_buffer(tmp_path / "buffer", truncate_last_traj=False)
    assert (loaded.replay_buffer.cursor == model.replay_buffer.cursor).all()
    loaded.learn(50, reset_num_timesteps=False)
    for argument in ("exclude", "include"):
        with pytest.raises(
            ValueError, match=rf"^{argument} must be None or \['replay_buffer'\], got \['seed'\]$"
        ):
            model.save(tmp_path / "all", **{argument: ["seed"]})


def test_a_model_without_an_environment_only_predicts(tmp_path, model):
    model.save(tmp_path / "model")
    loaded = DQN.load(tmp_path / "model")
    assert loaded.get_env() is None
    observation = model.env.reset()
    assert (
        loaded.predict(observation, deterministic=True)[0]
        == model.predict(observation, deterministic=True)[0]
    ).all()
    with pytest.raises(
        RuntimeError, match=r"^the environment, which computes rewards, is not set: call set_env$"
    ):
        loaded.train(1)
    with pytest.raises(AssertionError):
        loaded.learn(10)
    loaded.set_env(bit_flipping(2))
    loaded.learn(10)


@pytest.mark.parametrize("key", ["observation", "achieved_goal", "desired_goal", "action_space"])
def test_spaces_are_saved(tmp_path, model, key):
    model.save(tmp_path / "model")
    loaded = DQN.load(tmp_path / "model")
    assert loaded._task.spaces[key] == model._task.spaces[key]


def test_arguments_may_change(tmp_path, model):
    model.save(tmp_path / "model")
    changes = {
        "learning_rate": 0.5,
        "gamma": 0.5,
        "buffer_size": 500,
        "exploration_final_eps": 0.5,
        "batch_size": 3,
    }
    loaded = DQN.load(tmp_path / "model", env=bit_flipping(2), seed=9, **changes)
    for name, value in changes.items():
        assert getattr(loaded, name) == value
    assert (loaded.network.config.learning_rate, loaded.network.config.gamma) == (0.5, 0.5)
    assert len(loaded.replay_buffer) == len(model.replay_buffer)
    assert loaded._streams.state_dict() != model._streams.state_dict()
    with pytest.raises(ValueError, match=r"buffer_size must be at least \d+, got 5$"):
        DQN.load(tmp_path / "model", buffer_size=5)
    with pytest.raises(ValueError, match=r"hidden1.weight should be"):
        DQN.load(tmp_path / "model", policy_kwargs={"net_arch": [17]})
    with pytest.raises(TypeError, match=r"'strategy' is not a keyword of DQN"):
        DQN.load(tmp_path / "model", strategy="final")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"custom_objects": {"a": 1}}, "^custom_objects must be None, since .*, got {'a': 1}$"),
        ({"device": "cuda"}, "^device must be 'auto' or 'cpu', since .*, got 'cuda'$"),
        ({"env": bit_flipping(2, 6)}, r"^observation of env must be MultiBinary\(5\), got MultiBinary\(6\)$"),
    ],
    ids=["objects", "device", "environment"],
)
def test_load_rejects_arguments(tmp_path, model, arguments, message):
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        DQN.load(tmp_path / "model", **arguments)


def test_other_files_raise_one_sentence(tmp_path, model):
    """An error names the file, and loading parts changes nothing."""
    before = state_of(model)
    Agent(BitFlip(5), seed=0).save(tmp_path / "agent.safetensors")
    (tmp_path / "text").write_text("no model")
    theirs = stable_baselines3.DQN("MultiInputPolicy", bit_flipping(), device="cpu", buffer_size=10)
    theirs.save(tmp_path / "theirs.zip")
    model.save(tmp_path / "damaged")
    data = bytearray((tmp_path / "damaged.safetensors").read_bytes())
    data[-3] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(data)
    loads = (DQN.load, model.set_parameters, model.load_replay_buffer)
    cases = [(name, load) for name in ("agent", "text", "theirs.zip") for load in loads]
    for name, load in [*cases, ("damaged", DQN.load)]:  # the other two do not read its damaged part
        message = rf"^{tmp_path / name}[a-z.]* (is not a readable|does not hold)"
        with pytest.raises(ValueError, match=message) as raised:
            load(tmp_path / name)
        assert "\n" not in str(raised.value)
    with pytest.raises(FileNotFoundError, match=r"^there is no file .*nothing$"):
        DQN.load(tmp_path / "nothing")
    with pytest.raises(TypeError, match=r"^path must be a str or os.PathLike, got 3$"):
        DQN.load(3)
    assert state_of(model) == before


def test_weights_that_are_not_finite_are_not_saved(tmp_path, model):
    model.network.parameters()["output.bias"][0] = np.nan
    with pytest.raises(ValueError, match=r"^weights are not finite, so nothing was saved$"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FloatingPointError, match=r"^loss or weights .* after 2\d\d steps, with learning"):
        model.learn(100, reset_num_timesteps=False)


def test_parameters_can_be_copied(tmp_path, model):
    parameters = model.get_parameters()
    assert set(parameters) == {"policy", "policy.optimizer"}
    assert parameters["policy"]["online.hidden1.weight"].shape == (10, 16)
    assert parameters["policy.optimizer"]["updates"] == model.network.updates > 50
    other = small_model()
    other.set_parameters(parameters)
    assert other.network.updates == other._n_updates == model.network.updates
    for name, view in model.network.state_dict().items():
        assert (other.network.state_dict()[name] == view).all()
    parameters["policy"]["online.output.bias"].zero_()  # a copy
    assert model.network.parameters()["output.bias"].any()
    model.save(tmp_path / "model")
    third = small_model()
    third.set_parameters(tmp_path / "model")
    assert (
        third.network.parameters("moment2")["output.bias"]
        == model.network.parameters("moment2")["output.bias"]
    ).all()


def test_some_parameters_can_be_replaced(model):
    bias = {"policy": {"online.output.bias": torch.ones(5), "other": torch.ones(3)}}
    before = model.network.parameters("online")["hidden1.weight"].copy()
    with pytest.raises(ValueError, match=r"is missing$"):
        model.set_parameters(bias)
    assert not (model.network.parameters()["output.bias"] == 1).all()
    model.set_parameters(bias, exact_match=False)
    assert (model.network.parameters()["output.bias"] == 1).all()
    assert (model.network.parameters("online")["hidden1.weight"] == before).all()
    for wrong, message in (
        ({"actor": {}}, "^parameters must be of policy and policy.optimizer, got 'actor'$"),
        ({"policy": {"online.output.bias": torch.ones(4)}}, r"^online.output.bias should be float32 \(5,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            model.set_parameters(wrong, exact_match=False)


def test_a_preset_is_resolved_as_before(tmp_path):
    """The file holds the step limit, but not the number of threads."""
    model = small_model(
        TimeLimit(BitFlippingEnv(40), 40), preset="fast", train_freq=(9, "episode"), threads=1
    )
    assert model._task.max_steps == 40
    model.save(tmp_path / "model")
    loaded = DQN.load(tmp_path / "model")
    assert loaded.network.config == model.network.config
    assert loaded.train_freq == model.train_freq == (9, TrainFrequencyUnit.EPISODE)
    assert (model.network.threads, loaded.network.threads) == (1, None)


def test_the_seed_of_a_file_seeds_the_environment(tmp_path):
    small_model(bit_flipping(1, 40), seed=3).save(tmp_path / "model")
    expected = bit_flipping(1, 40)
    expected.seed(3)
    env = bit_flipping(1, 40)
    env.seed(4)
    DQN.load(tmp_path / "model", env=env)
    assert (env.reset()["observation"] == expected.reset()["observation"]).all()

"""Tests of files of DQN and of its parameters, after those of Stable-Baselines3."""

import io

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.vec_env import DummyVecEnv
from support.sb3_models import bit_flipping, small_model, state_of

from herfast.sb3 import DQN


def batch(n_bits=5, n=64):
    """Return a batch of random observations."""
    rng = np.random.default_rng(1)
    names = ("observation", "achieved_goal", "desired_goal")
    observation = {name: rng.integers(0, 2, (n, n_bits), np.int8) for name in names}
    return {**observation, "achieved_goal": observation["observation"]}


def greedy(model):
    return model.predict(batch(), deterministic=True)[0].tolist()


def flat(parameters):
    return {f"{group} {name}": tensor for group, part in parameters.items() for name, tensor in part.items()}


def assert_same_parameters(one, other):
    one = flat(one)
    other = flat(other)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def trained():
    """A model that no test changes."""
    return small_model(bit_flipping(2)).learn(150)


@pytest.fixture
def file(trained, tmp_path):
    path = tmp_path / "model"
    trained.save(path)
    return path


@pytest.mark.parametrize("device", ["auto", "cpu"])
@pytest.mark.parametrize("n_envs", [None, 2, 3])
def test_save_and_load(trained, file, n_envs, device):
    env = None
    if n_envs is not None:
        env = bit_flipping(n_envs)
    model = DQN.load(file, env=env, device=device)
    assert_same_parameters(model.get_parameters(), trained.get_parameters())
    assert greedy(model) == greedy(trained)
    assert len(set(greedy(model))) > 1
    assert model.device.type == "cpu"
    assert model.num_timesteps == 150
    assert model.get_env() is env
    assert len(model.replay_buffer) == len(trained.replay_buffer) > 100
    if env is not None:
        model.learn(100)
        assert model._n_updates > trained._n_updates


def test_loading_does_not_depend_on_the_saved_environment(file):
    """The model continues in its environment, or resets another one."""
    env = bit_flipping(2)
    model = small_model(env).learn(150)
    model.save(file)
    same = DQN.load(file, env=env, force_reset=False)
    assert same._last_obs is not None
    same.learn(60, reset_num_timesteps=False)
    other = DQN.load(file, env=bit_flipping(2))
    assert other._last_obs is None
    other.learn(60, reset_num_timesteps=False)
    assert same.num_timesteps == other.num_timesteps == 210


def test_other_spaces_raise_errors(file):
    message = r"^observation of env must be MultiBinary\(5\), got MultiBinary\(6\)$"
    with pytest.raises(ValueError, match=message):
        DQN.load(file, env=bit_flipping(2, n_bits=6))
    model = DQN.load(file)
    with pytest.raises(ValueError, match=message):
        model.set_env(bit_flipping(2, n_bits=6))


def test_set_env():
    model = small_model().learn(64)
    other = bit_flipping()
    model.set_env(other)
    assert model.get_env() is other
    assert model._last_obs is None
    model.learn(64)
    model.set_env(other.envs[0])  # is wrapped
    assert isinstance(model.get_env(), DummyVecEnv)
    model.learn(64)
    model.set_env(model.get_env(), force_reset=False)
    assert model._last_obs is not None
    model.learn(64, reset_num_timesteps=False)
    assert model.num_timesteps == 128


@pytest.mark.parametrize("name", ["exclude", "include"])
@pytest.mark.parametrize("value", [["verbose"], "policy", [3]], ids=str)
def test_no_other_part_can_be_named(trained, tmp_path, name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be None or \['replay_buffer'\], got"):
        trained.save(tmp_path / "model", **{name: value})
    assert not list(tmp_path.iterdir())


def test_load_with_other_arguments(trained, file):
    arguments = {
        "learning_rate": 0.25,
        "gamma": 0.5,
        "verbose": 1,
        "learning_starts": 7,
        "stats_window_size": 9,
        "batch_size": 3,
        "train_freq": (2, "episode"),
        "exploration_final_eps": 0.5,
    }
    model = DQN.load(file, **arguments)
    assert greedy(model) == greedy(trained)
    assert model.train_freq == TrainFreq(2, TrainFrequencyUnit.EPISODE)
    del arguments["train_freq"], arguments["stats_window_size"]
    assert {name: getattr(model, name) for name in arguments} == arguments
    assert model.network.config.learning_rate == 0.25
    assert model.network.config.gamma == 0.5
    assert model._stats_window_size == model.ep_info_buffer.maxlen == 9
    assert DQN.load(file).learning_rate == trained.learning_rate


def test_load_with_a_seed(file):
    """It replaces the random streams of the file, and seeds the environment."""
    streams = [DQN.load(file, **seed)._streams.state_dict() for seed in ({}, {"seed": 1}, {"seed": 2})]
    assert streams[0] != streams[1] != streams[2]
    runs = [
        state_of(DQN.load(file, env=bit_flipping(2), **seed).learn(60))
        for seed in ({}, {}, {"seed": 1}, {"seed": 1}, {"seed": 2})
    ]
    assert runs[0] == runs[1]
    assert runs[2] == runs[3]
    assert runs[0] != runs[2] != runs[4]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"policy_kwargs": {"net_arch": [8]}}, ValueError, "does not hold what"),
        ({"dummy": 1.0}, TypeError, "^'dummy' is not a keyword of DQN"),
        ({"gamma": 2.0}, ValueError, "^gamma must"),
        ({"device": "cuda"}, ValueError, "^device must be 'auto' or 'cpu'"),
        ({"custom_objects": {"gamma": 1}}, ValueError, "^custom_objects must be None, since .*got"),
        ({"print_system_info": 2}, TypeError, "^print_system_info must be"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_arguments_of_load_that_raise_errors(file, arguments, error, message):
    with pytest.raises(error, match=message):
        DQN.load(file, **arguments)


def test_system_information_is_printed(file, capsys):
    DQN.load(file, print_system_info=True)
    assert "Stable-Baselines3" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["save", "save_replay_buffer", "load_replay_buffer", "set_parameters"])
def test_open_files_raise_errors(trained, method):
    """A file is written atomically, for which its name is needed."""
    with pytest.raises(TypeError, match=r"^path must be .*, got <_io\.BytesIO"):
        getattr(trained, method)(io.BytesIO())


def test_an_open_file_raises_an_error_in_load():
    with pytest.raises(TypeError, match=r"^path must be .*, got <_io\.BytesIO"):
        DQN.load(io.BytesIO())


@pytest.mark.parametrize("truncate_last_traj", [False, True])
@pytest.mark.parametrize("n_envs", [1, 2])
def test_save_and_load_the_replay_buffer(tmp_path, recwarn, n_envs, truncate_last_traj):
    """Training continues as with the original buffer."""
    model = small_model(bit_flipping(n_envs)).learn(200)
    model.save_replay_buffer(tmp_path / "logs" / "buffer.pkl")
    other = small_model(bit_flipping(n_envs), seed=8)
    other.load_replay_buffer(tmp_path / "logs" / "buffer.pkl", truncate_last_traj=truncate_last_traj)
    stored = model.replay_buffer
    loaded = other.replay_buffer
    assert len(loaded) == len(stored) > 150
    size = int(stored.cursor[1])
    assert (loaded.records[:size] == stored.records[:size]).all()
    other.learn(100)
    assert not recwarn.list


def test_a_replay_buffer_that_is_too_small_keeps_its_episodes(trained, tmp_path):
    trained.save_replay_buffer(tmp_path / "buffer")
    small = small_model(bit_flipping(2), buffer_size=50).learn(40)
    before = state_of(small)
    with pytest.raises(ValueError, match=r"buffer_size must be at least \d+, got 50$"):
        small.load_replay_buffer(tmp_path / "buffer")
    assert state_of(small) == before


def random_parameters(parameters):
    generator = torch.Generator().manual_seed(0)
    return {
        group: {name: torch.rand(tensor.shape, generator=generator) for name, tensor in part.items()}
        for group, part in parameters.items()
        if group == "policy"
    }


def test_set_parameters(file):
    model = small_model(bit_flipping(2)).learn(60)
    before = model.get_parameters()
    parameters = random_parameters(before)
    (_, last) = parameters["policy"].popitem()
    model.set_parameters(parameters, exact_match=False)
    after = model.get_parameters()
    *changed, kept = before["policy"]
    assert all(torch.equal(after["policy"][name], parameters["policy"][name]) for name in changed)
    assert torch.equal(after["policy"][kept], before["policy"][kept])
    assert not torch.equal(after["policy"][kept], last)
    assert_same_parameters({"o": after["policy.optimizer"]}, {"o": before["policy.optimizer"]})
    model.set_parameters(before)
    assert_same_parameters(model.get_parameters(), before)
    model.set_parameters(file)
    assert_same_parameters(model.get_parameters(), DQN.load(file).get_parameters())
    assert model._n_updates == DQN.load(file)._n_updates > 0


def test_get_parameters_returns_copies(trained):
    before = greedy(trained)
    for tensor in trained.get_parameters()["policy"].values():
        tensor.zero_()
    assert greedy(trained) == before


@pytest.mark.parametrize("exact_match", [False, True])
def test_unknown_groups_of_parameters_raise_errors(trained, exact_match):
    parameters = {**trained.get_parameters(), "other": {}}
    with pytest.raises(
        ValueError, match=r"^parameters must be of policy and policy\.optimizer, got 'other'$"
    ):
        trained.set_parameters(parameters, exact_match=exact_match)


@pytest.mark.parametrize("case", ["group", "tensor", "shape", "unknown", "no tensor", "no group"])
def test_parameters_that_do_not_fit_change_nothing(trained, case):
    before = trained.get_parameters()
    parameters = trained.get_parameters()
    policy = parameters["policy"]
    for tensor in policy.values():
        tensor.zero_()
    last = list(policy)[-1]
    if case == "group":
        del parameters["policy.optimizer"]
    elif case == "tensor":
        del policy[last]
    elif case == "shape":
        policy[last] = torch.zeros(3, 3)
    elif case == "unknown":
        policy["other"] = torch.zeros(3)
    elif case == "no tensor":
        policy[last] = "weights"
    else:
        parameters["policy"] = 3
    with pytest.raises((TypeError, ValueError)) as error:
        trained.set_parameters(parameters)
    assert len(str(error.value).splitlines()) == 1
    assert_same_parameters(trained.get_parameters(), before)


def test_saving_gives_no_warning(tmp_path, recwarn):
    """Neither in several calls of `learn`."""
    model = small_model().learn(50).learn(50, reset_num_timesteps=False).learn(50)
    model.save(tmp_path / "model")
    model.save(tmp_path / "model")
    DQN.load(tmp_path / "model").save_replay_buffer(tmp_path / "buffer")
    assert not recwarn.list

"""Tests of the arguments of DQN: defaults, fields of Config, presets, errors."""

import inspect

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import stable_baselines3
import torch
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.type_aliases import TrainFrequencyUnit
from stable_baselines3.dqn import MultiInputPolicy
from stable_baselines3.her.goal_selection_strategy import GoalSelectionStrategy
from support.sb3_models import bit_flipping

from herfast import Config
from herfast.common.seeding import Role, stream
from herfast.sb3 import DQN, HerReplayBuffer
from herfast.sb3.dqn_settings import NEVER

SAME_ATTRIBUTES = (
    "learning_rate",
    "learning_starts",
    "batch_size",
    "tau",
    "gamma",
    "train_freq",
    "gradient_steps",
    "target_update_interval",
    "exploration_fraction",
    "exploration_initial_eps",
    "exploration_final_eps",
    "exploration_rate",
    "max_grad_norm",
    "num_timesteps",
    "n_envs",
    "observation_space",
    "action_space",
    "policy_class",
    "tensorboard_log",
    "verbose",
    "seed",
)


def model(env=None, **arguments):
    return DQN("MultiInputPolicy", env or bit_flipping(2), **arguments)


def config(**arguments):
    return model(**arguments).network.config


def test_the_signature_begins_with_that_of_stable_baselines3():
    theirs = inspect.signature(stable_baselines3.DQN).parameters
    ours = list(inspect.signature(DQN).parameters.values())
    positional = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == list(theirs)
    defaults = {p.name: repr(p.default) for p in positional}
    assert defaults == {name: repr(p.default) for name, p in theirs.items()}


def test_the_defaults_are_those_of_stable_baselines3():
    ours = model()
    theirs = stable_baselines3.DQN("MultiInputPolicy", bit_flipping(2), device="cpu", buffer_size=1000)
    for name in SAME_ATTRIBUTES:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.buffer_size == 1_000_000
    # The rest is plain Double DQN.
    assert ours.network.config == Config(
        k=0,
        strategy="final",
        hidden=(64, 64),
        gamma=0.99,
        learning_rate=1e-4,
        batch_size=32,
        target_update=NEVER,
        capacity=3_000_000,
        encoding="signed",
    )


def test_arguments_become_fields():
    fields = config(
        learning_rate=np.float32(0.5),
        batch_size=7,
        gamma=0.5,
        tau=0.25,
        policy_kwargs={"net_arch": [8, 9]},
        buffer_size=100,
        double_q=False,
        dueling=True,
        clip_targets=True,
        mask_terminal=False,
        advantage_gap=0.1,
        init="sparse",
        encoding="binary",
        learning_rate_end=0.25,
        learning_rate_decay_updates=10,
        evaluate_with="target",
    )
    assert (fields.learning_rate, fields.batch_size, fields.gamma, fields.polyak) == (0.5, 7, 0.5, 0.75)
    assert (fields.hidden, fields.capacity, fields.k) == ((8, 9), 300, 0)
    assert (fields.double_q, fields.dueling, fields.clip_targets, fields.mask_terminal) == (
        False,
        True,
        True,
        False,
    )
    assert (fields.advantage_gap, fields.init, fields.encoding) == (0.1, "sparse", "binary")
    assert (fields.learning_rate_end, fields.learning_rate_decay_updates) == (0.25, 10)
    assert fields.evaluate_with == "target"


@pytest.mark.parametrize("cls", [HerReplayBuffer, stable_baselines3.HerReplayBuffer])
def test_arguments_of_the_replay_buffer(cls):
    fields = config(replay_buffer_class=cls)
    assert (fields.k, fields.strategy) == (4, "future")
    kwargs = {
        "n_sampled_goal": 2,
        "goal_selection_strategy": GoalSelectionStrategy.EPISODE,
        "copy_info_dict": True,
        "terminated_from_goal": True,
        "handle_timeout_termination": True,
        "seed": 5,
    }
    trained = model(replay_buffer_class=cls, replay_buffer_kwargs=kwargs)
    assert (trained.network.config.k, trained.network.config.strategy) == (2, "episode")
    assert trained._task.copies_infos
    assert trained._task.terminated_from_goal
    assert trained.replay_buffer.rng.bit_generator.state == stream(5, Role.REPLAY).bit_generator.state
    trained.set_random_seed(7)
    assert trained.replay_buffer.rng.bit_generator.state == stream(5, Role.REPLAY).bit_generator.state


@pytest.mark.parametrize(
    ("value", "frequency", "unit"),
    [
        (3, 3, TrainFrequencyUnit.STEP),
        ((2, "step"), 2, TrainFrequencyUnit.STEP),
        ((2, "episode"), 2, TrainFrequencyUnit.EPISODE),
    ],
)
def test_train_freq(value, frequency, unit):
    assert model(train_freq=value).train_freq == (frequency, unit)


def test_accepted_without_effect():
    accepted = {"max_grad_norm": 10.0, "n_steps": 1, "optimize_memory_usage": False}
    trained = model(device=torch.device("cpu"), replay_buffer_class=DictReplayBuffer, **accepted)
    assert trained.network.config == config()
    assert DQN(MultiInputPolicy, bit_flipping(), device="cpu").device.type == "cpu"


@pytest.mark.parametrize("preset", ["fast", "paper", "notebook"])
def test_presets_set_what_is_not_passed(preset):
    trained = model(bit_flipping(2, 10), preset=preset)
    task = trained._task
    wanted = Config.preset(preset, task)
    fields = trained.network.config
    for name in ("hidden", "gamma", "learning_rate", "k", "strategy", "double_q", "polyak", "target_update"):
        assert getattr(fields, name) == getattr(wanted, name), name
    assert trained.train_freq == (wanted.episodes_per_cycle, TrainFrequencyUnit.EPISODE)
    assert trained.gradient_steps == wanted.updates_per_cycle
    assert trained.target_update_interval is None
    assert trained.learning_starts == 0
    assert trained.buffer_size == wanted.capacity * task.max_steps // (task.max_steps + 1)
    assert trained.tau == 1 - wanted.polyak
    trained.num_timesteps = 700
    assert trained._scheduled_rate() == wanted.epsilon_at(700)


def test_passed_arguments_override_a_preset():
    """A passed value counts also if it is Stable-Baselines3's default."""
    trained = model(
        preset="fast",
        gamma=0.99,
        learning_rate=1e-4,
        train_freq=4,
        target_update_interval=10_000,
        exploration_fraction=0.1,
        buffer_size=1_000,
        learning_starts=100,
        replay_buffer_class=None,
        policy_kwargs={"net_arch": [64]},
        seed=1,
    )
    fields = trained.network.config
    assert (fields.gamma, fields.learning_rate, fields.target_update) == (0.99, 1e-4, NEVER)
    assert (fields.k, fields.hidden, fields.advantage_gap) == (0, (64,), 0.5)
    assert trained.train_freq == (4, TrainFrequencyUnit.STEP)
    assert (trained.gradient_steps, trained.target_update_interval) == (1, 10_000)
    assert (trained.buffer_size, trained.learning_starts) == (1_000, 100)
    trained._current_progress_remaining = 0.95
    assert trained._scheduled_rate() == pytest.approx(1 - 0.95 / 2)


def test_the_preset_fast_uses_its_bound_where_it_is_allowed():
    assert not config(preset="fast").hindsight_bound
    assert config(preset="fast", deterministic_env=True).hindsight_bound
    stored = {"replay_buffer_kwargs": {"terminated_from_goal": False}}
    assert not config(preset="fast", deterministic_env=True, **stored).hindsight_bound
    with pytest.raises(ValueError, match=r"^hindsight_bound=True needs deterministic_env=True, got "):
        model(hindsight_bound=True, replay_buffer_kwargs={"terminated_from_goal": True})
    with pytest.raises(
        ValueError, match=r"^hindsight_bound=True needs episodes that end at their goal, got "
    ):
        model(hindsight_bound=True, deterministic_env=True)


HER = {"replay_buffer_class": HerReplayBuffer}
INVALID = [
    ({"max_grad_norm": 0.5}, ValueError, r"^max_grad_norm must be 10.0, since .* not clipped, got 0.5$"),
    ({"n_steps": 3}, ValueError, "^n_steps must be 1, since .*, got 3$"),
    ({"n_steps": True}, ValueError, "^n_steps must be 1, since .*, got True$"),
    (
        {"optimize_memory_usage": True},
        ValueError,
        "^optimize_memory_usage must be False, since .*, got True$",
    ),
    ({"device": "cuda"}, ValueError, "^device must be 'auto' or 'cpu', since .*, got 'cuda'$"),
    ({"learning_rate": lambda p: p}, TypeError, "^learning_rate must be a number, got <function .*decay$"),
    ({"learning_rate": 0}, ValueError, r"^learning_rate must be in \(0, 1\], got 0$"),
    ({"buffer_size": 0}, ValueError, "^buffer_size must be from 1 to .*, got 0$"),
    ({"buffer_size": 1e6}, TypeError, "^buffer_size must be an integer .*, got 1000000.0$"),
    ({"learning_starts": -1}, ValueError, "^learning_starts must be from 0 to .*, got -1$"),
    ({"batch_size": 0}, ValueError, "^batch_size must be from 1 to .*, got 0$"),
    ({"tau": 0}, ValueError, r"^tau must be in \(0, 1\], got 0$"),
    ({"gamma": 1}, ValueError, r"^gamma must be in \[0, 1\), got 1$"),
    ({"train_freq": 0}, ValueError, "^train_freq must be from 1 to .*, got 0$"),
    ({"train_freq": (1, "week")}, ValueError, r"^train_freq must be .*'episode', got \(1, 'week'\)$"),
    ({"gradient_steps": -2}, ValueError, "^gradient_steps must be from -1 to .*, got -2$"),
    (
        {"replay_buffer_class": ReplayBuffer},
        ValueError,
        "^replay_buffer_class must be HerReplayBuffer or None",
    ),
    (
        {"replay_buffer_class": None, "replay_buffer_kwargs": {"n_sampled_goal": 4}},
        ValueError,
        "^replay_buffer_kwargs with n_sampled_goal needs replay_buffer_class=HerReplayBuffer, got None$",
    ),
    ({"replay_buffer_kwargs": [1]}, TypeError, r"^replay_buffer_kwargs must be a dict, got \[1\]$"),
    (
        {"replay_buffer_kwargs": {"gamma": 1}},
        ValueError,
        "^replay_buffer_kwargs must have no keys but .*'gamma'$",
    ),
    ({**HER, "replay_buffer_kwargs": {"n_sampled_goal": -1}}, ValueError, "^n_sampled_goal must be from 0"),
    (
        {"replay_buffer_kwargs": {"handle_timeout_termination": False}},
        ValueError,
        "^handle_timeout_termination",
    ),
    (
        {"replay_buffer_kwargs": {"goal_selection_strategy": "x"}},
        ValueError,
        "^goal_selection_strategy must be",
    ),
    ({"target_update_interval": 0}, ValueError, "^target_update_interval must be from 1 to .*, got 0$"),
    ({"exploration_fraction": 1.5}, ValueError, r"^exploration_fraction must be in \[0, 1\], got 1.5$"),
    ({"exploration_initial_eps": -1}, ValueError, r"^exploration_initial_eps must be in \[0, 1\], got -1$"),
    (
        {"exploration_final_eps": "0"},
        TypeError,
        r"^exploration_final_eps must be a number in \[0, 1\], got '0'$",
    ),
    ({"stats_window_size": 0}, ValueError, "^stats_window_size must be from 1 to .*, got 0$"),
    ({"tensorboard_log": 3}, TypeError, "^tensorboard_log must be the path of a folder or None, got 3$"),
    (
        {"policy_kwargs": {"activation_fn": 1}},
        ValueError,
        "^policy_kwargs must have no keys but net_arch, got 'act",
    ),
    ({"policy_kwargs": {"net_arch": []}}, ValueError, "^net_arch must be a tuple of 1 to 8 layer widths"),
    ({"verbose": 3}, ValueError, "^verbose must be from 0 to 2, got 3$"),
    ({"seed": -1}, ValueError, r"^seed must be None or an integer .*, got -1$"),
    ({"preset": "slow"}, ValueError, "^preset must be one of 'fast', 'paper', 'notebook', got 'slow'$"),
    ({"threads": 0}, ValueError, "^threads must be from 1 to 1,024, got 0$"),
    ({"deterministic_env": 1}, TypeError, "^deterministic_env must be True or False, got 1$"),
    ({"double_q": 1}, TypeError, "^double_q must be True or False, got 1$"),
    (
        {"capacity": 100},
        TypeError,
        "^'capacity' is not a keyword of DQN; those of Config that are keywords are dou",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), INVALID, ids=lambda value: str(value)[:60])
def test_other_arguments_raise_errors_that_name_them(arguments, error, message):
    with pytest.raises(error, match=message) as raised:
        model(**arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("policy", ["MlpPolicy", "CnnPolicy", None, stable_baselines3.dqn.MlpPolicy])
def test_other_policies_raise_errors(policy):
    with pytest.raises(
        ValueError, match=r"^policy must be 'MultiInputPolicy', since observations are dicts, got "
    ):
        DQN(policy, bit_flipping())

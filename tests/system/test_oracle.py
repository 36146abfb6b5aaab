"""The agent against the oracle in reference/agent.py: the same integers, draw for draw; the same numbers, update for
update; and, left to itself, the same success."""

import dataclasses

import numpy as np
import pytest
from reference import agent as oracle
from reference import network as twin
from reference.bits import from_words
from support.trajectories import records_oldest_first, transitions_of, twin_records

from herfast import Agent, BitFlip

SMALL = {"hidden": (32,), "episodes_per_cycle": 5, "updates_per_cycle": 4, "batch_size": 33, "cycles_per_epoch": 3}
PRESETS = ("notebook", "paper", "fast")


def both(n_bits, preset, seed, max_steps=None, **fields):
    agent = Agent(BitFlip(n_bits, max_steps), preset, seed, **fields)
    config = dataclasses.asdict(agent.config)
    return agent, oracle.Agent(n_bits, agent.env.max_steps, config, seed)


def watch(monkeypatch, method, look):
    """Let `look` see the argument and the result of each call of a bound method."""
    call = getattr(method.__self__, method.__name__)

    def watched(*args):
        result = call(*args)
        look(args, result)
        return result

    monkeypatch.setattr(method.__self__, method.__name__, watched)


def assert_same_games(trajectories, episodes, n_bits):
    """Start, goal, every action, every state and the length of each game."""
    for e, episode in enumerate(episodes):
        length = len(episode.actions)
        assert trajectories.lengths[e] == length
        assert from_words(trajectories.goals[e]) == episode.goal
        assert trajectories.actions[:length, e].tolist() == episode.actions
        assert [from_words(state) for state in trajectories.states[: length + 1, e]] == episode.states


def assert_same_minibatch(batches, u, transitions):
    """Every integer of minibatch `u`: states, next states, goals, actions, rewards, terminated, steps to the goal."""
    assert transitions_of(array[u] for array in batches) == transitions


CASES = [
    (8, None, "notebook", {}),
    (8, None, "paper", {"strategy": "episode", "k": 4}),
    (8, None, "fast", {"epsilon": "linear", "epsilon_decay_steps": 150}),
    (1, 3, "notebook", {"strategy": "random"}),
    (2, None, "fast", {"capacity": 7}),
    (63, 5, "paper", {"capacity": 11}),
    (64, 9, "fast", {"capacity": 40, "strategy": "random", "k": 1}),
    (65, 70, "notebook", {"capacity": 200}),
    (130, 20, "fast", {"strategy": "episode"}),
    (20, None, "notebook", {"k": 0, "capacity": 50}),
]


@pytest.mark.parametrize(("n_bits", "max_steps", "preset", "fields"), CASES)
def test_all_integers_are_the_oracles(n_bits, max_steps, preset, fields, monkeypatch):
    """Games, the ring's records, minibatches and counters of 9 cycles, given the actions that the network chose."""
    agent, slow = both(n_bits, preset, 3, max_steps, **{**SMALL, "epochs": 3, "until": None, **fields})
    played, drawn = [], []
    watch(monkeypatch, agent.replay.add, lambda args, _: played.append(args[0]))
    watch(monkeypatch, agent.replay.sample, lambda _, batches: drawn.append(batches))

    def compare(agent):
        (trajectories,), (batches,) = played, drawn
        epsilon = oracle.epsilon_at(slow.config, slow.env_steps)
        rate = oracle.learning_rate_at(slow.config, slow.updates)
        episodes = slow.play(SMALL["episodes_per_cycle"], script=trajectories.actions)
        assert_same_games(trajectories, episodes, n_bits)
        slow.remember(episodes)
        np.testing.assert_array_equal(records_oldest_first(agent.replay), twin_records(slow.ring, n_bits))
        assert len(agent.replay) == slow.ring.n_transitions()
        for u in range(SMALL["updates_per_cycle"]):
            assert_same_minibatch(batches, u, slow.sample())
        slow.updates += SMALL["updates_per_cycle"]
        row = {name: column[-1] for name, column in agent.history.items()}
        assert row["success"] == np.mean([episode.reached for episode in episodes])
        assert row["return"] == np.mean([episode.reached - len(episode.actions) for episode in episodes])
        assert row["epsilon"] == pytest.approx(epsilon, rel=1e-12)
        assert row["learning_rate"] == pytest.approx(rate, rel=1e-12)
        assert (row["env_steps"], row["updates"]) == (slow.env_steps, slow.updates)
        played.clear()
        drawn.clear()

    agent.learn(callback=compare)
    assert agent.cycles == 9


def numbers_of(agent):
    """Copies of online and target network and of both moments, float64, by name."""
    return {
        which: {name: array.astype(np.float64) for name, array in agent.network.parameters(which).items()}
        for which in ("online", "target", "moment1", "moment2")
    }


def test_the_oracle_starts_with_the_agents_weights():
    for preset in PRESETS:
        for hidden in ((32,), (24, 40)):
            agent, slow = both(9, preset, 4, hidden=hidden)
            for name, array in numbers_of(agent)["online"].items():
                np.testing.assert_array_equal(slow.online[name], array)
            assert slow.online.keys() == agent.network.parameters().keys()


def undecided(slow, transitions):
    """The samples in which rounding may decide: whose top two online values at the next state differ by less than 1e-5,
    so that another action may be valued; or with a unit within 2e-7 of where its ReLU bends."""
    zs, _ = twin.forward(slow.online, slow.inputs([(row.state, row.goal) for row in transitions]))
    bent = np.any([np.abs(z).min(axis=1) < 2e-7 for z in zs], axis=0)
    if not slow.config["double_q"]:
        return bent
    top = np.sort(slow.values(slow.online, [(row.next_state, row.goal) for row in transitions]))[:, -2:]
    return bent | (top[:, 1] - top[:, 0] < 1e-5)


def assert_close(computed, expected, what, doubtful=False):
    """Within 1e-5 relative plus 1e-6 absolute, but where `doubtful`."""
    off = np.abs(computed - expected) > 1e-6 + 1e-5 * np.abs(expected)
    assert not np.any(off & ~np.asarray(doubtful)), (what, computed[off], expected[off])


@pytest.mark.parametrize(("preset", "n_bits"), [*((preset, 20) for preset in PRESETS), ("notebook", 65), ("fast", 65)])
def test_each_of_200_updates_is_the_oracles(preset, n_bits):
    """Each starts from the agent's weights, moments and minibatch; undecided samples are replaced by another for both.

    Adam divides by the root of the second moment, and a gradient of less than 1e-7 hangs on rounding itself: there the
    moments are compared, and not the step.
    """
    agent, slow = both(n_bits, preset, 5, until=None, cycles_per_epoch=5)
    fit, replaced, doubts = agent.network.fit, [], []

    def compare(batches):
        return np.array([update(type(batches)(*(array[u].copy() for array in batches))) for u in range(40)])

    def update(batch):
        for which, numbers in numbers_of(agent).items():
            setattr(slow, which, numbers)
        doubtful = undecided(slow, transitions_of(batch))
        for array in batch:
            array[doubtful] = array[~doubtful][0]
        replaced.append(doubtful.sum())
        (loss,) = fit(type(batch)(*(array[None] for array in batch)))
        assert_close(loss, slow.update(transitions_of(batch)), "loss")
        for which, numbers in numbers_of(agent).items():
            for name, computed in numbers.items():
                scale = np.sqrt(slow.moment2[name] / (1 - twin.BETA2**slow.updates))
                tiny = (scale > 0) & (scale < 1e-7) & (which not in ("moment1", "moment2"))
                doubts.extend([tiny.mean()] if which == "online" else [])
                assert_close(computed, getattr(slow, which)[name], (slow.updates, which, name), tiny)
        return loss

    agent.network.fit = compare
    agent.learn(epochs=1)
    assert slow.updates == agent.network.updates == len(replaced) == 200
    assert sum(replaced) < 0.001 * 200 * agent.config.batch_size
    assert np.mean(doubts) < 1e-4


FREE = {  # bits, epochs, fields of Config
    "notebook": (10, 6, {"cycles_per_epoch": 5}),
    "paper": (8, 8, {"cycles_per_epoch": 5}),
    "fast": (14, 7, {"cycles_per_epoch": 2, "episodes_per_cycle": 32, "hidden": (128,), "until": None}),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_left_to_itself_the_oracle_succeeds_as_often(preset):
    """In each epoch, as played and on 100 greedy games, up to what chance makes of the first action that differs.

    Only rounding tells them apart, so the first epoch is equal game for game; later one game may go another way.
    """
    n_bits, epochs, fields = FREE[preset]
    agent, slow = both(n_bits, preset, 6, **fields)
    history = agent.learn(epochs=epochs).history
    ours = [history["success"][history["epoch"] == epoch].mean() for epoch in range(1, epochs + 1)]
    greedy = history["greedy_success"][~np.isnan(history["greedy_success"])]
    theirs = np.array([slow.epoch() for _ in range(epochs)])
    found = {"as played": (ours, theirs[:, 0]), "greedy": (greedy, theirs[:, 1])}
    for what, (one, other) in found.items():
        np.testing.assert_allclose(one, other, rtol=0, atol=0.15, err_msg=f"{what}, seed 6")
        np.testing.assert_array_equal(one[:1], other[:1], err_msg=f"{what}, first epoch, seed 6")
    assert min(greedy[-1], theirs[-1, 1]) > 0.6, "both learn"
    assert max(greedy[0], theirs[0, 1]) < 0.2, "something that they could not do at first"

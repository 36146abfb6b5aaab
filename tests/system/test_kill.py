"""Files after a kill, and agents after an interrupt, at any moment."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.files import read_tensors
from support.kernel_calls import after_each_call

from herfast import Agent, BitFlip, _core
from herfast.networks.compiled import entry_points

SETTINGS = {
    "hidden": (16,),
    "episodes_per_cycle": 2,
    "updates_per_cycle": 2,
    "cycles_per_epoch": 1,
    "batch_size": 16,
    "capacity": 40_001,
    "until": None,
}
KILLS = 50
SEED = 7
# Imports herfast once, then forks a child for each path that it reads. The child trains and saves to this
# path in a loop. After each save it prints the number of cycles in the file.
FORK_SERVER = """
import os, sys
from herfast import Agent
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        agent = Agent.load(line.strip())
        while True:
            agent.learn(epochs=1)
            agent.save(line.strip(), replay=True)
            os.write(1, b"%d\\n" % agent.cycles)
    os.write(1, b"child %d\\n" % child)
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


def content_without_seconds(path):
    """Return tensors and metadata of a file, without the measured seconds."""
    tensors, metadata = read_tensors(path)
    tensors.pop("history.seconds")
    return {name: array.tobytes() for name, array in tensors.items()} | metadata


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_last_complete_file(tmp_path):
    """Kill 50 processes, each a random moment after some saves.

    Each time the file loads and equals that of a run that was never killed.
    """
    rng, path = random.Random(SEED), tmp_path / "agent.safetensors"
    path.write_bytes(b"")
    Agent(BitFlip(8), "fast", 0, **SETTINGS).save(path, replay=True)
    never_killed = Agent(BitFlip(8), "fast", 0, **SETTINGS)
    kills_during_a_write = 0
    with subprocess.Popen(
        [sys.executable, "-c", FORK_SERVER], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as fork_server:
        for kill in range(KILLS):
            fork_server.stdin.write(b"%s\n" % os.fsencode(path))
            fork_server.stdin.flush()
            child = int(fork_server.stdout.readline().split()[1])
            completed = [int(fork_server.stdout.readline()) for _ in range(rng.randrange(1, 5))][-1]
            time.sleep(rng.uniform(0, 0.01))
            os.kill(child, signal.SIGKILL)
            for line in iter(fork_server.stdout.readline, b"dead\n"):
                completed = int(line)
            kills_during_a_write += any(tmp_path.glob(".agent.safetensors.*.tmp"))
            agent = Agent.load(path)
            assert completed <= agent.cycles <= completed + 1, f"kill {kill} of seed {SEED}"
            never_killed.learn(epochs=agent.cycles - never_killed.cycles)
            never_killed.save(tmp_path / "never killed", replay=True)
            assert content_without_seconds(path) == content_without_seconds(tmp_path / "never killed"), (
                f"kill {kill} of seed {SEED}"
            )
        fork_server.stdin.close()
    assert kills_during_a_write > 0, "no kill happened during a write"
    agent.save(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["agent.safetensors", "never killed"]


# --- KeyboardInterrupt in Python ---


def check_consistent(agent, path):
    """Check that the agent's parts agree, and that a loaded copy trains equally."""
    assert len({len(column) for column in agent.history.values()}) == 1
    assert _core.ring_is_valid(agent.replay.records, agent.replay.cursor, agent.env.n_bits, agent.env.n_bits)
    agent.save(path, replay=True)
    loaded = Agent.load(path)
    for one in (agent, loaded):
        one.learn(epochs=1)
    for which in ("online", "target", "moment1", "moment2"):
        for name, array in agent.network.parameters(which).items():
            np.testing.assert_array_equal(array, loaded.network.parameters(which)[name])
    np.testing.assert_array_equal(agent.replay.records, loaded.replay.records)


def test_an_interrupt_at_any_moment_leaves_the_agent_consistent(tmp_path):
    """Python handles Ctrl-C between two bytecode instructions."""
    agent, rng = Agent(BitFlip(8), "fast", 0, **SETTINGS), random.Random(SEED)
    agent.learn(epochs=1)
    interrupted = 0
    for _ in range(100):
        countdown = itertools.count(rng.randrange(1, 4_000), -1)

        def interrupt(frame, event, argument, countdown=countdown):
            if next(countdown) == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            frame.f_trace_opcodes = True
            return interrupt

        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            agent.learn(epochs=3, callback=lambda agent: agent.save(tmp_path / "agent", replay=True))
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(before)
        check_consistent(agent, tmp_path / "agent")
    assert interrupted > 50


def test_updates_are_counted_when_an_interrupt_follows_them(monkeypatch):
    """Python handles a signal during a kernel call as soon as the call returns."""
    agent = Agent(BitFlip(8), "fast", 0, **SETTINGS).learn(epochs=1)

    def interrupt(arguments):
        raise KeyboardInterrupt

    after_each_call(monkeypatch, entry_points.fit, interrupt)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(epochs=1)
    assert (agent.cycles, agent.network.updates) == (1, 4)

"""PyTorch in eager mode, with fused Adam.

16 episodes are played in lockstep. The minibatches and target values of a cycle are computed at once.
"""

import os

import numpy as np
import torch
from protocol import Clock, Result, main
from ring import Ring
from torch import nn


def network_of(parameters):
    """Return the ReLU network with these parameters. PyTorch transposes the weights."""
    w1, b1, w2, b2 = (torch.from_numpy(p) for p in parameters)
    network = nn.Sequential(nn.Linear(*w1.shape), nn.ReLU(), nn.Linear(*w2.shape))
    with torch.no_grad():
        for own, given in zip(network.parameters(), (w1.T, b1, w2.T, b2), strict=True):
            own.copy_(given)
    return network


@torch.inference_mode()
def play(network, protocol, rng, env_steps):
    """Play the episodes of a cycle in lockstep.

    Returns states int8[T + 1, E, n], actions [T, E], goals [E, n], lengths [E] and the number of steps so
    far.
    """
    n = protocol.n_bits
    n_envs = protocol.episodes_per_cycle
    x = rng.choice(np.array([-1, 1], np.float32), (n_envs, 2 * n))
    same = (x[:, :n] == x[:, n:]).all(axis=1)
    x[same, 0] *= -1  # flip a bit where the start is the goal: one episode in 2^n
    states, actions = np.empty((n + 1, n_envs, n), np.int8), np.empty((n, n_envs), np.int64)
    lengths, active, inputs = np.full(n_envs, n), np.arange(n_envs), torch.from_numpy(x)
    states[0] = x[:, :n]
    for t in range(n):
        chosen = network(inputs).argmax(dim=1).numpy()
        explores = rng.random(n_envs) < protocol.epsilon_at(env_steps)
        chosen = np.where(explores, rng.integers(n, size=n_envs), chosen)
        x[active, chosen[active]] *= -1
        states[t + 1], actions[t] = x[:, :n], chosen
        env_steps += len(active)
        over = (x[active, :n] == x[active, n:]).all(axis=1)
        lengths[active[over]] = t + 1
        active = active[~over]
        if not len(active):
            break
    return states, actions, x[:, n:], lengths, env_steps


def fit(network, target, optimizer, gamma, batches):
    """Make one update per minibatch.

    The target network does not change in a cycle, so it is evaluated once for all minibatches.
    """
    x, x_next, actions, rewards, reached = batches
    with torch.no_grad():
        values, discounts = target(x_next), gamma * (~reached).float()
    for u in range(len(x)):
        with torch.no_grad():
            best = network(x_next[u]).argmax(dim=1, keepdim=True)
            y = torch.addcmul(rewards[u], discounts[u], values[u].gather(1, best).squeeze(1))
        loss = nn.functional.mse_loss(network(x[u]).gather(1, actions[u].unsqueeze(1)).squeeze(1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def train(protocol, seed):
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    rng, clock = np.random.default_rng(seed), Clock()
    parameters = protocol.initial_parameters(rng)
    network, target = network_of(parameters), network_of(parameters)
    betas = (protocol.beta1, protocol.beta2)
    optimizer = torch.optim.Adam(
        network.parameters(), protocol.learning_rate, betas, protocol.adam_epsilon, fused=True
    )
    ring, success, env_steps = Ring(protocol.capacity, protocol.n_bits), [], 0
    for _ in range(protocol.cycles):
        states, actions, goals, lengths, env_steps = play(network, protocol, rng, env_steps)
        for e, length in enumerate(lengths):
            ring.add(states[: length + 1, e], actions[:length, e], goals[e])
        success.append((states[lengths, np.arange(len(goals))] == goals).all(axis=1).mean())
        with clock:
            batches = ring.sample(rng, (protocol.updates_per_cycle, protocol.batch_size))
            fit(network, target, optimizer, protocol.gamma, [torch.from_numpy(part) for part in batches])
            target.load_state_dict(network.state_dict())
    return Result(success, env_steps, len(success) * len(goals), protocol.updates, clock.seconds)


if __name__ == "__main__":
    main(train)

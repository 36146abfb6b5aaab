"""PyTorch, eager: 16 games in lockstep, a cycle's minibatches and target values at once, Adam fused, one thread."""

import numpy as np
import torch
from protocol import Clock, Found, main
from ring import Ring
from torch import nn


def network_of(parameters):
    """The ReLU network with these parameters; torch keeps its weights transposed."""
    w1, b1, w2, b2 = (torch.from_numpy(p) for p in parameters)
    network = nn.Sequential(nn.Linear(*w1.shape), nn.ReLU(), nn.Linear(*w2.shape))
    with torch.no_grad():
        for own, given in zip(network.parameters(), (w1.T, b1, w2.T, b2), strict=True):
            own.copy_(given)
    return network


@torch.inference_mode()
def play(network, protocol, rng, env_steps):
    """A cycle's games in lockstep: states int8 [T + 1, E, n], actions [T, E], goals [E, n], lengths [E], the steps."""
    n, games = protocol.n_bits, protocol.episodes_per_cycle
    x = rng.choice(np.array([-1, 1], np.float32), (games, 2 * n))
    same = (x[:, :n] == x[:, n:]).all(axis=1)
    x[same, 0] *= -1  # one bit off, where the goal would be the start: one game in 2^n
    states, actions = np.empty((n + 1, games, n), np.int8), np.empty((n, games), np.int64)
    lengths, active, inputs = np.full(games, n), np.arange(games), torch.from_numpy(x)
    states[0] = x[:, :n]
    for t in range(n):
        chosen = network(inputs).argmax(dim=1).numpy()
        explores = rng.random(games) < protocol.epsilon_at(env_steps)
        chosen = np.where(explores, rng.integers(n, size=games), chosen)
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
    """One update a minibatch; the target network stands still meanwhile, so it is asked once for all of them."""
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


def learn(protocol, seed):
    torch.set_num_threads(1)
    rng, clock = np.random.default_rng(seed), Clock()
    parameters = protocol.initial_parameters(rng)
    network, target = network_of(parameters), network_of(parameters)
    betas = (protocol.beta1, protocol.beta2)
    optimizer = torch.optim.Adam(network.parameters(), protocol.learning_rate, betas, protocol.adam_epsilon, fused=True)
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
    return Found(success, env_steps, len(success) * len(goals), protocol.updates, clock.seconds)


if __name__ == "__main__":
    main(learn)

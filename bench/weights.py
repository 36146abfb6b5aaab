"""Draw docs/weights.png: how hidden units find the second input of a bit.

Preset `fast` learns 50 bits. Each hidden unit starts from one input, a bit of the state or of the goal.
Nothing marks its partner, the same bit of the other one. Dense initial weights get as many epochs.
"""

from pathlib import Path

import numpy as np

from herfast import Agent, BitFlip
from herfast.plotting.style import BLUE, ORANGE, default_style, new_figure, style_axes

N_BITS = 50
OUT = Path(__file__).parents[1] / "docs" / "weights.png"
TITLES = ("share of units that\nfound the partner", "part of the pair in a\nunit's squared weights",
          "success rate of the\ngreedy policy")  # fmt: skip
LOOKS = {"sparse": {"color": "#009E73", "lw": 1.8}, "dense": {"color": "#CC79A7", "lw": 1.8, "ls": "--"}}


def main():
    sparse = train()
    dense = train(init="dense", epochs=sparse[0].cycles // sparse[0].config.cycles_per_epoch)
    with default_style():
        figure = new_figure(9, 7.5)
        panels = figure.subplots(3, 3, sharex=True)
        draw_units(figure, panels[:2].ravel(), sparse[1])  # units 0 to 5, whatever they learn
        draw_pairs(panels[2], "sparse", *sparse)
        draw_pairs(panels[2], "dense", *dense)
        panels[2, 2].legend(title="initial weights", loc="center left", frameon=False)
        figure.savefig(OUT, backend="agg")


def train(**fields):
    """Return the agent, and its first-layer weights [2n, H] by number of updates."""
    agent = Agent(BitFlip(N_BITS), "fast", 0, **fields)
    weights = {}

    def record(agent):
        weights[agent.network.updates] = agent.network.parameters()["hidden1.weight"].copy()

    record(agent)
    return agent.learn(callback=record), weights


def draw_units(figure, panels, weights):
    updates, values = list(weights), np.array(list(weights.values()))
    for unit, axes in enumerate(panels):
        first = int(np.abs(values[0, :, unit]).argmax())
        partner = (first + N_BITS) % (2 * N_BITS)
        others = np.delete(values[..., unit], [first, partner], axis=1)
        axes.plot(updates, others, color="0.7", linewidth=0.4, zorder=1.5)
        axes.plot(updates, values[:, first, unit], label="first input", color=BLUE, lw=1.8)
        axes.plot(updates, values[:, partner, unit], label="its partner", color=ORANGE, ls="--", lw=1.8)
        axes.plot([], label=f"the other {others.shape[1]} inputs", color="0.7")
        style_axes(axes)
        axes.set_title(f"unit {unit}: {('state', 'goal')[first // N_BITS]} bit {first % N_BITS}", loc="left")
        axes.set(ylabel="weight", ylim=(-1.15, 1.15))
        axes.label_outer()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False)


def draw_pairs(panels, name, agent, weights):
    found, parts = np.array([pair_measures(recorded) for recorded in weights.values()]).T
    updates, greedy = agent.history["updates"], agent.history["greedy_success"]
    tested = ~np.isnan(greedy)
    panels[0].plot(list(weights), found, **LOOKS[name])
    panels[1].plot(list(weights), parts, **LOOKS[name])
    panels[2].plot(updates[tested], greedy[tested], label=name, **LOOKS[name])
    for axes, title in zip(panels, TITLES, strict=True):
        style_axes(axes)
        axes.set_title(title, loc="left")
        axes.set(xlabel="updates", ylim=(-0.04, 1.04))
    for row in zip(weights, found, parts, strict=True):
        print(name, "{:,} updates: {:.3f} of the units, part {:.3f}".format(*row))


def pair_measures(weights):
    """Return the share of units whose two largest weights are of one bit, and the pair's mean part.

    The pair is the largest weight and its partner's, and its part that in the sum of squares.
    """
    second, first = np.abs(weights).argsort(axis=0)[-2:]
    pair = np.take_along_axis(weights, np.array([first, (first + N_BITS) % (2 * N_BITS)]), axis=0)
    part = (pair**2).sum(axis=0) / (weights**2).sum(axis=0)
    return np.mean(first % N_BITS == second % N_BITS), np.mean(part)


if __name__ == "__main__":
    main()

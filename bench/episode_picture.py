"""Draw one episode and the same episode with its goal relabelled, as SVG.

`python bench/episode_picture.py --out docs/relabelling.svg`
"""

import argparse
from pathlib import Path

START = "0010"
FLIPS = (0, 3, 2, 3)  # the actions: numbers of bits
GOAL = "1101"

WIDTH = 700
PANEL = 126  # height of an episode
HEIGHT = 2 * PANEL + 10
MARGIN = 24
CELL = 21  # side of a bit
PITCH = 108  # from one state to the next
GOAL_X = WIDTH - MARGIN - 4 * CELL
CSS = """\
.card { fill: #ffffff; stroke: #d0d7de; }
text { font: 19px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.bit, .reward, .label { text-anchor: middle; }
.bit { font-size: 16px; }
.one { fill: #d0d7de; stroke: #8c959f; }
.zero { fill: none; stroke: #8c959f; }
.changed { fill: none; stroke: #d75f00; stroke-width: 3; }
.arrow { fill: none; stroke: #8c959f; stroke-width: 2; }
.missed { fill: none; stroke: #8c959f; stroke-width: 2; stroke-dasharray: 5 4; }
.reached { fill: none; stroke: #1a7f37; stroke-width: 3; }
.success { fill: #1a7f37; font-weight: 700; }
@media (prefers-color-scheme: dark) {
  .card { fill: #161b22; stroke: #30363d; }
  text { fill: #e6edf3; }
  .one { fill: #484f58; }
  .reached { stroke: #3fb950; }
  .success { fill: #3fb950; }
  .changed { stroke: #ff8c3a; }
}"""


def states_of(start, flips):
    """Return the states of an episode: the start, and the state after each flip."""
    states = [start]
    for bit in flips:
        bits = list(states[-1])
        bits[bit] = str(1 - int(bits[bit]))
        states.append("".join(bits))
    return states


def bits_svg(bits, x, y, changed=None):
    """Return the bits of a state or goal, and a frame around the changed one."""
    parts = []
    for i, bit in enumerate(bits):
        left = x + i * CELL
        name = ("zero", "one")[int(bit)]
        parts.append(f'<rect class="{name}" x="{left}" y="{y}" width="{CELL}" height="{CELL}"/>')
        parts.append(f'<text class="bit" x="{left + CELL / 2}" y="{y + 17}">{bit}</text>')
    if changed is not None:
        left = x + changed * CELL
        parts.append(f'<rect class="changed" x="{left}" y="{y}" width="{CELL}" height="{CELL}"/>')
    return parts


def episode_svg(states, goal, name, title, top):
    """Return the states and rewards of an episode beside its goal. The last state and the goal are framed."""
    y = top + 48
    below = y + 52
    frame = "missed"
    if states[-1] == goal:
        frame = "reached"
    parts = [f'<text class="title" x="{MARGIN}" y="{top + 30}">{title}</text>']
    parts.append(f'<text x="{MARGIN}" y="{below}">reward</text>')
    parts += bits_svg(states[0], MARGIN, y)
    for i, (state, flip) in enumerate(zip(states[1:], FLIPS, strict=True), start=1):
        x = MARGIN + i * PITCH
        parts.append(f'<path class="arrow" d="M{x - 21} {y + CELL / 2}h12m-6 -5l6 5l-6 5"/>')
        parts += bits_svg(state, x, y, flip)
        reward = "\N{MINUS SIGN}1"
        style = "reward"
        if state == goal:
            reward = "0"
            style = "reward success"
        parts.append(f'<text class="{style}" x="{x + 2 * CELL}" y="{below}">{reward}</text>')
    frame_size = f'width="{4 * CELL + 10}" height="{CELL + 10}" rx="4"'
    for x in (MARGIN + len(FLIPS) * PITCH, GOAL_X):
        parts.append(f'<rect class="{frame}" x="{x - 5}" y="{y - 5}" {frame_size}/>')
    parts += bits_svg(goal, GOAL_X, y)
    parts.append(f'<text class="label" x="{GOAL_X + 2 * CELL}" y="{below}">goal {name}</text>')
    return parts


def picture():
    """Return the SVG."""
    states = states_of(START, FLIPS)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    card = f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>\n{CSS}\n</style>',
            card,
            *episode_svg(states, GOAL, "A", "The episode: each step flips one bit, goal A is missed", 0),
            *episode_svg(
                states, states[-1], "B", "Relabelled: the same steps, with the last state as goal B", PANEL
            ),
            "</svg>\n",
        ]
    )


def main():
    parser = argparse.ArgumentParser(description="Draw an episode and its relabelled copy.")
    parser.add_argument("--out", type=Path, required=True, help="SVG file")
    parser.parse_args().out.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Cases of test_invalid_calls.py for GridWorld, LightsOut and fixed goals."""

import numpy as np
from support.api_objects import STRAY_BIT, N, ints, words

from herfast import BitFlip, GridWorld, LightsOut

# Both have 9 bits, as the objects of api_objects.py.
GRID = GridWorld("...\n...\n...")
LIGHTS = LightsOut(3, 3)
POSITIONS = {"states": words(4, 1) + np.uint64(1), "goals": words(4, 1) + np.uint64(2)}


def reset(env):
    return lambda api, v: env.reset(**api.reset_args | v)


def step(env):
    if env is GRID:
        return lambda api, v: env.step(**api.step_args | POSITIONS | v)
    return lambda api, v: env.step(**api.step_args | v)


def rendering_cases(name, env):
    render = getattr(env, name.split(".")[1])
    return {
        name: (
            lambda api, v: render(*v),
            ("shape", ValueError, r"^state must have shape \(9,\), got \(8,\)$", (ints(8), ints(N))),
            ("value", ValueError, "^goal must be 0 or 1, got 2$", (ints(N), ints(N) + 2)),
            ("None", ValueError, r"^goal must have shape \(9,\), got \(\)$", (ints(N), None)),
        )
    }


RESET_CASES = (
    ("rng", TypeError, r"^rng must be a numpy.random.Generator, got 5$", {"rng": 5}),
    ("dtype", TypeError, "^out_goals must be .* of uint64, got dtype int64$", {"out_goals": ints(4, 1)}),
    ("shape", ValueError, r"^out_states must have shape \(4, 1\), got", {"out_states": words(4, 2)}),
    ("rows", ValueError, r"^out_goals must have shape \(4, 1\), got \(3, 1\)$", {"out_goals": words(3, 1)}),
)
STEP_CASES = (
    ("active", ValueError, r"^active\[0\] must be from 0 to 3, got -1$", {"active": np.array([-1])}),
    ("goals", ValueError, r"^goals must have shape \(4, 1\), got \(3, 1\)$", {"goals": words(3, 1)}),
    ("actions", TypeError, "^actions must be .* of uint16, got list$", {"actions": [0] * 4}),
)
BOARD_CASES = {
    "BitFlip": (
        lambda api, v: BitFlip(N, goal=v),
        ("short", ValueError, "^goal must have 9 characters, each 0 or 1, got '01'$", "01"),
        ("letters", ValueError, "^goal must have 9 characters, each 0 or 1, got 'x{9}'$", "x" * N),
        ("shape", ValueError, r"^goal must have shape \(9,\), got \(3,\)$", [0, 1, 1]),
        ("value", ValueError, "^goal must be 0 or 1, got 2$", [2] * N),
        ("dtype", TypeError, "^goal must be booleans or integers, got dtype float64$", [0.5] * N),
    ),
    "GridWorld": (
        lambda api, v: GridWorld(v),
        ("type", TypeError, "^map must be a str, got 5$", 5),
        ("characters", ValueError, "^map must be 'four_rooms' or rows of .*, got 'x' in row 2$", "..\n.x"),
        ("walls", ValueError, r"^map must have two connected free cells, got '.#\\n#.'$", ".#\n#."),
        (
            "size",
            ValueError,
            "^map must have at most 65,535 cells with its walls, got 1 x 65,536$",
            "." * 65_536,
        ),
    ),
    "GridWorld.reset": (reset(GRID), *RESET_CASES),
    "GridWorld.step": (
        step(GRID),
        *STEP_CASES,
        (
            "action",
            ValueError,
            r"^actions\[1\] must be .* 3, got 4$",
            {"actions": np.arange(4, dtype="u2") + 3},
        ),
        ("no position", ValueError, r"^states\[0\] must have exactly one 1", {"states": words(4, 1)}),
        (
            "two goals",
            ValueError,
            r"^goals\[0\] must have exactly one 1",
            {"goals": words(4, 1) + np.uint64(3)},
        ),
    ),
    "GridWorld.better_actions": (
        lambda api, v: GRID.better_actions(*v),
        (
            "no position",
            ValueError,
            "^states must have exactly one 1 per row, got 0$",
            (words(1, 1), POSITIONS["goals"]),
        ),
        (
            "width",
            ValueError,
            r"^9 bits take 1 words, got words of shape \(1, 2\)$",
            (words(1, 2), words(1, 2)),
        ),
    ),
    **rendering_cases("GridWorld.render_ansi", GRID),
    **rendering_cases("GridWorld.render_rgb_array", GRID),
    "LightsOut": (
        lambda api, v: LightsOut(*v),
        ("cells", ValueError, r"^width \* height must be from 1 to 65,535, got 66,000$", (660, 100)),
    ),
    "LightsOut.reset": (reset(LIGHTS), *RESET_CASES),
    "LightsOut.step": (
        step(LIGHTS),
        *STEP_CASES,
        (
            "action",
            ValueError,
            r"^actions\[1\] must be .* 8, got 9$",
            {"actions": np.arange(4, dtype="u2") + 8},
        ),
        ("dirty", ValueError, r"^goals\[0\] must be .* 9 bits, got", {"goals": words(4, 1) + STRAY_BIT}),
    ),
    **rendering_cases("LightsOut.render_ansi", LIGHTS),
    **rendering_cases("LightsOut.render_rgb_array", LIGHTS),
}

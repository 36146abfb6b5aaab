"""Cases of test_invalid_calls.py for environments, as in invalid_calls.py."""

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from support.api_objects import ENV, STRAY_BIT, N, ints, words
from support.invalid_calls import LEGACY_GENERATOR, NAN, readonly

import herfast
from herfast import BitFlip
from herfast.envs.gym.env import GymGoalEnv
from herfast.envs.gym.vector_env import GymGoalVectorEnv

ENV_CASES = {
    "BitFlip.reset": (
        lambda api, v: ENV.reset(
            **api.reset_args | (v if isinstance(v, dict) else {"out_goals": api.reset_args[v]})
        ),
        ("rng int", TypeError, r"^rng must be a numpy.random.Generator, got 5$", {"rng": 5}),
        ("rng None", TypeError, r"^rng must be a numpy.random.Generator, got None$", {"rng": None}),
        ("old rng", TypeError, r"^rng must be .*, got RandomState\(", {"rng": LEGACY_GENERATOR}),
        ("list", TypeError, "^out_states must be a NumPy array of uint64, got list$", {"out_states": [[0]]}),
        ("dtype", TypeError, "^out_goals must be .* of uint64, got dtype int64$", {"out_goals": ints(4, 1)}),
        ("axes", ValueError, r"^out_goals must have 2 axes, got shape \(4,\)$", {"out_goals": words(4)}),
        (
            "shape",
            ValueError,
            r"^out_states must have shape \(4, 1\), got \(4, 2\)$",
            {"out_states": words(4, 2)},
        ),
        (
            "strided",
            ValueError,
            r"^out_states must be C-cont.*strides \(16, 8\)",
            {"out_states": words(8, 1)[::2]},
        ),
        (
            "read-only",
            ValueError,
            "^out_goals must be writable, got a read",
            {"out_goals": readonly(words(4, 1))},
        ),
        (
            "shared",
            ValueError,
            "^out_states and out_goals must not share memory",
            "out_states",
        ),
    ),
    "BitFlip.step": (
        lambda api, v: ENV.step(
            **api.step_args | (v if isinstance(v, dict) else {"out_states": api.step_args[v]})
        ),
        (
            "action",
            ValueError,
            r"^actions\[3\] must be from 0 to 8, got 9$",
            {"actions": np.array([0, 1, 2, 9], "u2")},
        ),
        ("actions int64", TypeError, "^actions must be .* of uint16, got dtype int64$", {"actions": ints(4)}),
        ("actions list", TypeError, "^actions must be .* of uint16, got list$", {"actions": [0] * 4}),
        (
            "actions shape",
            ValueError,
            r"^actions must have shape \(4,\), got \(3,\)$",
            {"actions": ints(3, of="u2")},
        ),
        (
            "actions strided",
            ValueError,
            "^actions must be C-cont.*strides",
            {"actions": ints(8, of=np.uint16)[::2]},
        ),
        ("active 4", ValueError, r"^active\[0\] must be from 0 to 3, got 4$", {"active": np.array([4])}),
        (
            "active -1",
            ValueError,
            r"^active\[1\] must be from 0 to 3, got -1$",
            {"active": np.array([0, -1])},
        ),
        (
            "active bool",
            TypeError,
            "^active must be .* of int64, got dtype bool$",
            {"active": np.ones(4, bool)},
        ),
        ("states None", TypeError, "^states must be .* of uint64, got NoneType$", {"states": None}),
        (
            "states float",
            TypeError,
            "^states must be .* of uint64, got dtype float64$",
            {"states": np.zeros((4, 1))},
        ),
        (
            "states swapped",
            TypeError,
            "^states must be .* got dtype >u8$",
            {"states": np.zeros((4, 1), ">u8")},
        ),
        (
            "states dirty",
            ValueError,
            r"^states\[0\] must be .* 9 bits, got a 1 at",
            {"states": words(4, 1) + STRAY_BIT},
        ),
        (
            "goals dirty",
            ValueError,
            r"^goals\[0\] must be .* 9 bits, got a 1 at",
            {"goals": words(4, 1) + STRAY_BIT},
        ),
        (
            "goals shape",
            ValueError,
            r"^goals must have shape \(4, 1\), got \(3, 1\)$",
            {"goals": words(3, 1)},
        ),
        (
            "read-only",
            ValueError,
            "^out_states must be writable, got a read",
            {"out_states": readonly(words(4, 1))},
        ),
        (
            "out_terminated",
            TypeError,
            "^out_terminated must be .* of bool, got",
            {"out_terminated": ints(4, of="i1")},
        ),
        ("shared", ValueError, "^out_states and goals must not share memory", "goals"),
    ),
    "BitFlip.better_actions": (
        lambda api, v: ENV.better_actions(*v),
        (
            "dirty",
            ValueError,
            r"^words\[0\] has a 1 at or past bit 9",
            (words(1, 1) + STRAY_BIT, words(1, 1)),
        ),
        (
            "width",
            ValueError,
            r"^9 bits take 1 words, got words of shape \(1, 2\)$",
            (words(1, 2), words(1, 2)),
        ),
    ),
    "register_env": (
        lambda api, v: herfast.register_env(*v),
        ("id", TypeError, "^id must be a str, got 3$", (3, BitFlip)),
        ("class", TypeError, "^cls must be a class or function, got 'Maze'$", ("Maze", "Maze")),
        (
            "taken",
            ValueError,
            "^id 'BitFlip' is already registered for .*",
            ("BitFlip", int),
        ),
    ),
    "make_env": (
        lambda api, v: herfast.make_env(v),
        ("class", TypeError, "^spec must be a dict with the id of an environment, got 'BitFlip'$", "BitFlip"),
        (
            "no id",
            TypeError,
            "^spec must be a dict with the id of an environment, got {'n_bits': 9}$",
            {"n_bits": 9},
        ),
        (
            "tuple",
            TypeError,
            r"^spec must hold JSON values, got {'id': 'a:Maze', 'size': \(3, 4\)}$",
            {"id": "a:Maze", "size": (3, 4)},
        ),
        (
            "script",
            ValueError,
            "^the environment '__main__:Maze' cannot be imported, since",
            {"id": "__main__:Maze"},
        ),
        (
            "no task",
            ValueError,
            "^'os:system' must name a subclass of herfast.GoalTask, got",
            {"id": "os:system"},
        ),
        ("unknown", ValueError, "^the environment 'Maze' is not registered, only 'BitFlip'", {"id": "Maze"}),
        ("size", ValueError, "^n_bits must be from 1 to 65,535, got 0$", {"id": "BitFlip", "n_bits": 0}),
        ("more", TypeError, "unexpected keyword argument 'size'", {"id": "BitFlip", "n_bits": 3, "size": 4}),
    ),
    "GoalTask": (
        lambda api, v: herfast.GoalTask(),
        ("made", TypeError, "^Can't instantiate abstract class GoalTask with", None),
    ),
    "gymnasium.make": (
        lambda api, v: gymnasium.make("herfast/BitFlip-v0", **v),
        ("n_bits", TypeError, "^n_bits must be an integer from 1 to 65,535, got '9' ", {"n_bits": "9"}),
        ("nothing", TypeError, "missing 1 required positional argument: 'n_bits' ", {}),
        ("name", TypeError, "unexpected keyword argument 'bits'", {"n_bits": 9, "bits": 9}),
        (
            "many bits",
            ValueError,
            "^discrete_obs_space must be False for more than 62 bits, got 63$",
            {"n_bits": 63, "discrete_obs_space": True},
        ),
    ),
    "gymnasium.make_vec": (
        lambda api, v: gymnasium.make_vec("herfast/BitFlip-v0", n_bits=N, **v),
        ("none", ValueError, "^num_envs must be from 1 to 2,147,483,647, got 0$", {"num_envs": 0}),
        ("half", TypeError, "^num_envs must be an integer from 1 to .*, got 2.5$", {"num_envs": 2.5}),
        ("limit 0", ValueError, "^max_episode_steps must be -1, .*, got 0$", {"max_episode_steps": 0}),
        (
            "limit '3'",
            TypeError,
            "^max_episode_steps must be an integer from -1 to .*, got '3'$",
            {"max_episode_steps": "3"},
        ),
    ),
    "GymnasiumTask": (
        lambda api, v: herfast.GymnasiumTask(**{"env": gymnasium.make("herfast/BitFlip-v0", n_bits=4)} | v),
        ("env", TypeError, "^env must have the class of a Gymnasium environment, .*, got 50: ", {"env": 50}),
        ("deterministic", TypeError, "^deterministic must be True or False, got 1$", {"deterministic": 1}),
        (
            "terminated_from_goal",
            TypeError,
            "^terminated_from_goal must be True or False, got None$",
            {"terminated_from_goal": None},
        ),
        ("infos", TypeError, "^copy_info_dict must be True or False, got 'a'$", {"copy_info_dict": "a"}),
    ),
    "GymGoalEnv": (
        lambda api, v: GymGoalEnv(**{"goal_env": ENV} | v),
        (
            "render_mode",
            ValueError,
            "^render_mode must be None, 'ansi' or 'rgb_array', got 'human'$",
            {"render_mode": "human"},
        ),
        ("goal_env", TypeError, "^env must be a BitFlip or .*, got 50$", {"goal_env": 50}),
        ("id", ValueError, "^the environment 'Maze' is not registered, only ", {"goal_env": "Maze"}),
        (
            "parameter",
            TypeError,
            "^n_bits must not be given unless goal_env is an id, got .*9",
            {"n_bits": 3},
        ),
        (
            "discrete",
            TypeError,
            "^discrete_obs_space must be True or False, got 1$",
            {"discrete_obs_space": 1},
        ),
        ("image", TypeError, "^image_obs_space must be True or False, got None$", {"image_obs_space": None}),
        (
            "both",
            ValueError,
            "^image_obs_space must be False if discrete_obs_space is True, got True$",
            {"discrete_obs_space": True, "image_obs_space": True},
        ),
        ("continuous", TypeError, "^continuous must be True or False, got 'yes'$", {"continuous": "yes"}),
    ),
    "GymGoalEnv.step": (
        lambda api, v: api.env.step(v) if not isinstance(v, str) else getattr(api, v).step(0),
        ("9", ValueError, "^actions must be integers from 0 to 8, got 9$", 9),
        ("-1", ValueError, "^actions must be integers from 0 to 8, got -1$", -1),
        ("True", TypeError, "^actions must be integers from 0 to 8, got True$", True),
        ("nan", TypeError, "^actions must be integers from 0 to 8, got nan$", NAN),
        ("None", TypeError, "^actions must be integers from 0 to 8, got None$", None),
        ("[1]", ValueError, r"^actions must be one integer, got shape \[1\]$", [1]),
        ("ragged", ValueError, r"^actions must be an array, or .*, got \[\[1\], 2\]$", [[1], 2]),
        (
            "after the end",
            ResetNeeded,
            r"^the episode ended after 2 steps: call reset\(\) before step\(\)$",
            "finished_env",
        ),
        (
            "before reset",
            ResetNeeded,
            r"^the episode has not begun: call reset\(\) before step\(\)$",
            "env_before_reset",
        ),
    ),
    "GymGoalEnv.compute_reward": (
        lambda api, v: api.env.compute_reward(
            **{"achieved_goal": ints(N), "desired_goal": ints(N), "info": {}} | v
        ),
        ("7", ValueError, "^achieved_goal must be 0 or 1, got 7$", {"achieved_goal": ints(N) + 7}),
        ("nan", ValueError, "^desired_goal must be 0 or 1, got nan$", {"desired_goal": np.full(N, NAN)}),
        (
            "str",
            TypeError,
            "^achieved_goal must be numbers, 0 or 1, got dtype <U1$",
            {"achieved_goal": ["0"] * N},
        ),
        (
            "None",
            ValueError,
            r"^achieved_goal must have shape \[9\] or \[B, 9\].*\[\] for",
            {"achieved_goal": None},
        ),
        ("shape", ValueError, r"^desired_goal must have .* and \[2, 9\] for", {"desired_goal": ints(2, N)}),
        ("ragged", ValueError, r"^desired_goal must be .*, got \[\[0\], 0\]$", {"desired_goal": [[0], 0]}),
    ),
    "GymGoalEnv.compute_terminated": (
        lambda api, v: api.env.compute_terminated(v, ints(N), {}),
        ("half", ValueError, "^achieved_goal must be 0 or 1, got 0.5$", [0.5] * N),
    ),
    "GymGoalEnv.compute_truncated": (
        lambda api, v: api.env.compute_truncated(ints(1, N), ints(1, N), v),
        ("None", TypeError, "^info must be a dict .*, got None$", None),
        ("integers", TypeError, r"^info must be a dict .* or a sequence of dicts, got \[3\]$", [3]),
        ("key", ValueError, "^compute_truncated needs elapsed_steps in every info", {}),
        ("str", TypeError, "^elapsed_steps must be integers >= 0, got dtype <U1$", {"elapsed_steps": ["3"]}),
        (
            "nan",
            TypeError,
            "^elapsed_steps must be integers >= 0, got dtype float64$",
            {"elapsed_steps": [NAN]},
        ),
        ("-3", ValueError, "^elapsed_steps must be integers >= 0, got -3$", {"elapsed_steps": [-3]}),
        ("shape", ValueError, r"^elapsed_steps must have .* \[1\], got \[2\]$", {"elapsed_steps": [1, 2]}),
    ),
    "GymGoalVectorEnv": (
        lambda api, v: GymGoalVectorEnv(3, goal_env=ENV, **v),
        (
            "autoreset_mode",
            ValueError,
            "^autoreset_mode must .* 'Disabled', got 'never'$",
            {"autoreset_mode": "never"},
        ),
        ("render_mode", ValueError, r"^render_mode must .*, got \['ansi'\]$", {"render_mode": ["ansi"]}),
    ),
    "GymGoalVectorEnv.compute_reward": (
        lambda api, v: api.vector_env.compute_reward(ints(3, N), v, {}),
        ("7", ValueError, "^desired_goal must be 0 or 1, got 7$", ints(3, N) + 7),
        ("shape", ValueError, r"^desired_goal must have .* \[2, 9\] for", ints(2, N)),
    ),
    "GymGoalVectorEnv.compute_terminated": (
        lambda api, v: api.vector_env.compute_terminated(v, ints(3, N), {}),
        ("half", ValueError, "^achieved_goal must be 0 or 1, got 0.5$", np.full((3, N), 0.5)),
    ),
    "GymGoalVectorEnv.reset": (
        lambda api, v: (
            api.vector_env.reset(seed=5, options=v)
            if not isinstance(v, tuple)
            else api.vector_env_before_reset.reset(options=v[0])
        ),
        ("options", TypeError, r"^options must be None or a dict, got \[1\]$", [1]),
        ("list", ValueError, r"must be a bool array of shape \[3\], got \[True\]$", {"reset_mask": [True]}),
        (
            "integers",
            ValueError,
            r"must be a bool array of shape \[3\], got int64 array",
            {"reset_mask": ints(3)},
        ),
        (
            "none",
            ValueError,
            "must be True for at least one environment, got only False$",
            {"reset_mask": ints(3, of=bool)},
        ),
        (
            "some first",
            ResetNeeded,
            "^the episodes have not begun",
            ({"reset_mask": np.eye(3, dtype=bool)[0]},),
        ),
    ),
    "GymGoalVectorEnv.step": (
        lambda api, v: api.vector_env.step(v) if not isinstance(v, str) else getattr(api, v).step([0, 0, 0]),
        ("9", ValueError, "^actions must be integers from 0 to 8, got 9$", [0, 9, 0]),
        ("bool", TypeError, "^actions must be integers from 0 to 8, got an array of bool$", [True] * 3),
        ("None", TypeError, "^actions must be integers from 0 to 8, got None$", None),
        ("shape", ValueError, r"^actions must be an array of shape \[3\], got shape \[2\]$", [0, 1]),
        ("ragged", ValueError, r"^actions must be an array, or .*, got \[0, 1, \[2\]\]$", [0, 1, [2]]),
        (
            "after the end",
            ResetNeeded,
            "^episode 0 has ended and autoreset is disabled: reset it with",
            "finished_vector_env",
        ),
        (
            "before reset",
            ResetNeeded,
            r"^the episodes have not begun: call reset\(\) before step\(\)$",
            "vector_env_before_reset",
        ),
    ),
}

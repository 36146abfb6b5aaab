"""Cases of test_invalid_calls.py that are specific to one call."""

import math

import numpy as np
from support.api_objects import ENV, STRAY_BIT, N, ints, words
from support.invalid_network_calls import NETWORK_CASES

import herfast
from herfast import Agent, BitFlip, Config, HindsightReplay, pack_bits, unpack_bits

NAN = math.nan
LEGACY_GENERATOR = np.random.RandomState(0)
TABLE = np.zeros((2, 2))  # its repr has two lines


def readonly(array):
    array.setflags(write=False)
    return array


# name: the call, then for each case its id, the exception, a pattern of the message, and the invalid argument
SPECIFIC_CASES = {
    "pack_bits": (
        lambda api, v: pack_bits(v),
        ("2", ValueError, "^bits must be 0 or 1, got 2$", [0, 2]),
        ("-1", ValueError, "^bits must be 0 or 1, got -1$", [0, -1]),
        ("256", ValueError, "^bits must be 0 or 1, got 256$", np.array([256])),
        ("nan", TypeError, "^bits must be booleans or integers, got dtype float64$", [NAN]),
        ("str", TypeError, "^bits must be booleans or integers, got dtype <U2$", "01"),
        ("None", TypeError, "^bits must be booleans or integers, got dtype object$", None),
        ("2**70", TypeError, "^bits must be booleans or integers, got dtype object$", [2**70]),
        ("scalar", ValueError, "^bits must have at least one axis, got the single value 1$", 1),
        (
            "ragged",
            ValueError,
            r"^bits must be an array, or .* equal lengths, got \[\[0, 1\], \[0\]\]$",
            [[0, 1], [0]],
        ),
    ),
    "unpack_bits": (
        lambda api, v: unpack_bits(v, N),
        ("list", TypeError, "^words must be uint64, got dtype int64$", [1]),
        ("ragged", ValueError, r"^words must be an array, or .* equal lengths, got \[\[0\], 0\]$", [[0], 0]),
        ("scalar", ValueError, "^words must have at least one axis, got the single word 5$", np.uint64(5)),
        ("width", ValueError, r"^9 bits take 1 words, got words of shape \(2, 2\)$", words(2, 2)),
        (
            "dirty",
            ValueError,
            r"^words\[1\] has a 1 at or past bit 9",
            np.array([[0], [STRAY_BIT]], np.uint64),
        ),
    ),
    "HindsightReplay": (
        lambda api, v: HindsightReplay(*v),
        (
            "too large",
            MemoryError,
            "^capacity must fit .*, got 1,099,511,627,776 records of 16,392",
            (2**40, 65_535),
        ),
    ),
    "HindsightReplay.sample": (
        lambda api, v: api.replay.sample(*v) if v else HindsightReplay(60, N).sample(1, 1),
        (
            "too large",
            MemoryError,
            "^n_batches x batch_size must .* got 16,777,216 x 16,777,216",
            (2**24, 2**24),
        ),
        ("empty", ValueError, "the replay buffer is empty: add trajectories before sampling$", None),
    ),
    "HindsightReplay.add": (
        lambda api, v: api.replay.add(api.trajectories._replace(**v) if isinstance(v, dict) else v),
        ("None", TypeError, "^trajectories must be Trajectories, a tuple of 4 arrays, got NoneType$", None),
        ("part", TypeError, "^trajectories must be Trajectories, a tuple of 4 arrays, got tuple$", (1, 2)),
        ("states float", TypeError, "^states must be .* got dtype float64$", {"states": np.zeros((7, 5, 1))}),
        ("states list", TypeError, "^states must be .* got list$", {"states": []}),
        (
            "states axes",
            ValueError,
            r"^states must have 3 axes, got shape \(7, 5\)$",
            {"states": words(7, 5)},
        ),
        (
            "states shape",
            ValueError,
            r"^states must .* \(7, 5, 1\), got \(6, 5, 1\)$",
            {"states": words(6, 5, 1)},
        ),
        (
            "goals shape",
            ValueError,
            r"^goals must have shape \(5, 1\), got \(4, 1\)$",
            {"goals": words(4, 1)},
        ),
        ("actions dtype", TypeError, "^actions must be .* uint16, got dtype int64$", {"actions": ints(6, 5)}),
        ("lengths dtype", TypeError, "^lengths must be .* int32, got dtype int64$", {"lengths": ints(5)}),
        ("length 0", ValueError, r"^lengths\[0\] must be from 1 to 6, got 0$", {"lengths": ints(5, of="i4")}),
        (
            "length -1",
            ValueError,
            r"^lengths\[0\] must be from 1 to 6, got -1$",
            {"lengths": ints(5, of="i4") - 1},
        ),
        (
            "length 7",
            ValueError,
            r"^lengths\[0\] must be from 1 to 6, got 7$",
            {"lengths": ints(5, of="i4") + 7},
        ),
        (
            "dirty state",
            ValueError,
            "^episode 0 has a 1 at or past bit 9",
            {"states": words(7, 5, 1) + STRAY_BIT},
        ),
        (
            "dirty goal",
            ValueError,
            "^episode 0 has .* or bit 9 of its goal$",
            {"goals": words(5, 1) + STRAY_BIT},
        ),
    ),
    "HindsightReplay.load_state_dict": (
        lambda api, v: api.replay.load_state_dict(
            {"records": v[0], "cursor": np.array(v[1]) if isinstance(v[1], list) else v[1]}
        ),
        ("None", TypeError, "^records must be .* uint64, got NoneType$", (None, None)),
        ("dtype", TypeError, "^records must be .* uint64, got dtype int64$", (ints(9, 3), [0, 0, 0])),
        ("cursor tuple", TypeError, "^cursor must be .* int64, got tuple$", (words(9, 3), (0, 0, 0))),
        (
            "cursor -1",
            ValueError,
            r"^cursor \[-1, 0, 0\] is not valid for a ring of 60 records$",
            (words(9, 3), [-1, 0, 0]),
        ),
        (
            "cursor 10",
            ValueError,
            r"^cursor \[10, 10, 9\] does not match 9 records$",
            (words(9, 3), [10, 10, 9]),
        ),
        (
            "zero records",
            ValueError,
            r"cursor \[5, 5, 4\] are not a ring of whole episodes$",
            (words(9, 3), [5, 5, 4]),
        ),
        (
            "width",
            ValueError,
            r"^records must have 3 words per row, got shape \(9, 2\)$",
            (words(9, 2), [0, 0, 0]),
        ),
    ),
    **NETWORK_CASES,
    "Config": (
        lambda api, v: Config(**v),
        ("width", TypeError, "^hidden must be a tuple of 1 to 8 layer widths, got 256$", {"hidden": 256}),
        (
            "array",
            TypeError,
            r"^hidden must be a tuple of .*, got array\(\[\[0\., 0\.\], ",
            {"hidden": TABLE},
        ),
        (
            "no width",
            ValueError,
            r"^hidden must be a tuple of 1 to 8 layer widths, got \(\)$",
            {"hidden": ()},
        ),
        ("field", TypeError, "unexpected keyword argument 'gama'", {"gama": 0.9}),
        ("bound", ValueError, "needs mask_terminal=True", {"hindsight_bound": True, "mask_terminal": False}),
    ),
    "Config.preset": (
        lambda api, v: Config.preset("fast", **{"env": ENV} | v),
        (
            "env",
            TypeError,
            "^env must have n_state_bits and max_steps, as a BitFlip has, got 50$",
            {"env": 50},
        ),
        ("field", TypeError, "^'gama' is not a field of Config; the fields are strategy", {"gama": 0.9}),
    ),
    "Agent": (
        lambda api, v: Agent(**{"env": ENV} | v),
        ("env", TypeError, "^env must be a BitFlip or .*, a herfast.GoalTask, .*, got 50$", {"env": 50}),
        ("env_kwargs", TypeError, "^env_kwargs needs an id as env, got {} with BitF", {"env_kwargs": {}}),
        ("env id", ValueError, "^the environment 'Maze' is not registered, only ", {"env": "Maze"}),
        ("threads", ValueError, "^threads must be from 1 to 1,024, got 0$", {"threads": 0}),
        (
            "env class",
            TypeError,
            r"^env must be an instance, as in BitFlip\(\), got <class 'herfast\..*\.BitFlip'>$",
            {"env": BitFlip},
        ),
        (
            "env array",
            TypeError,
            r"^env must be a BitFlip or .*, got array\(\[\[0\., 0\.\], ",
            {"env": TABLE},
        ),
        ("field", TypeError, "^'gama' is not a field of Config; the fields are strategy", {"gama": 0.9}),
        ("capacity", ValueError, r"^capacity must be at least max_steps \+ 1 = 10, got 9$", {"capacity": 9}),
        (
            "too large",
            MemoryError,
            "memory is available and .* for the replay buffer: lower capacity$",
            {"capacity": 2**40},
        ),
    ),
    "Agent.learn": (
        lambda api, v: api.agent.learn(**{"total_timesteps": 1} | v),
        ("callback", TypeError, "^callback must be a callable .* list of callables, got 5$", {"callback": 5}),
        (
            "one of two",
            TypeError,
            "^callback must be .* a list of callables, got 'a'$",
            {"callback": [print, "a"]},
        ),
        ("progress_bar", TypeError, "^progress_bar must be True or False, got 'no'$", {"progress_bar": "no"}),
    ),
    "Agent.predict": (
        lambda api, v: api.agent.predict(api.observation | v if isinstance(v, dict) and len(v) == 1 else v),
        (
            "None",
            TypeError,
            "observation must be a dict with observation and desired_goal, got NoneType$",
            None,
        ),
        ("keys", TypeError, r"must be a dict with observation and desired_goal, got \[\]$", {}),
        (
            "shape",
            ValueError,
            r"^observation must .* or \(E, 9\), got \(4, 8\)$",
            {"observation": ints(4, 8)},
        ),
        (
            "single",
            ValueError,
            r"^observation and .* both be batches, got shapes \(4, 9\) and \(9,\)$",
            {"desired_goal": ints(N)},
        ),
        (
            "unequal",
            ValueError,
            "^observation and desired_goal must .* got 4 and 3$",
            {"desired_goal": ints(3, N)},
        ),
        ("2", ValueError, "^desired_goal must be 0 or 1, got 2$", {"desired_goal": ints(4, N) + 2}),
        ("-1", ValueError, "^observation must be 0 or 1, got -1$", {"observation": ints(4, N) - 1}),
        (
            "nan",
            ValueError,
            "^observation must be 0 or 1, got nan$",
            {"observation": np.full((4, N), NAN)},
        ),
        (
            "str",
            TypeError,
            "^desired_goal must be numbers, 0 or 1, got dtype <U1$",
            {"desired_goal": [["0"] * N] * 4},
        ),
        ("ragged", ValueError, r"^observation must .* got \[\[0\], 0\]$", {"observation": [[0], 0]}),
    ),
    "Agent.evaluate": (
        lambda api, v: api.agent.evaluate(3, no_revisit=v),
        ("no_revisit", TypeError, "^no_revisit must be True or False, got 'no'$", "no"),
    ),
    "Agent.save": (
        lambda api, v: api.agent.save(*v[:1], **dict([v[1:]] if v[1:] else [])),
        ("None", TypeError, r"^path must be a str or os\.PathLike, got None$", (None,)),
        ("nothing", OSError, r"^cannot write \.: it is a folder$", ("",)),
        ("folder", OSError, "^cannot write folder: it is a folder$", ("folder",)),
        ("no folder", OSError, "^cannot write missing/x: there is no folder missing$", ("missing/x",)),
        ("below a file", OSError, "^cannot write text/x: there is no folder text$", ("text/x",)),
        ("long name", OSError, "^cannot write x{300}: File name too long$", ("x" * 300,)),
        ("surrogate", ValueError, r"^path must not contain lone surrogates, got '\\ud800'$", ("\ud800",)),
        ("replay", TypeError, "^replay must be True or False, got 'no'$", ("new", "replay", "no")),
    ),
    "Agent.load": (
        lambda api, v: Agent.load(**v) if isinstance(v, dict) else Agent.load(v),
        ("None", TypeError, r"^path must be a str or os\.PathLike, got None$", None),
        ("nothing there", FileNotFoundError, "^there is no file missing$", "missing"),
        ("folder", FileNotFoundError, "^there is no file folder$", "folder"),
        ("below a file", FileNotFoundError, "^there is no file text/x$", "text/x"),
        ("text", ValueError, "^text is not a readable herfast file: .*header", "text"),
        (
            "replay",
            TypeError,
            "^replay must be True or False, got 'no'$",
            {"path": "missing", "replay": "no"},
        ),
    ),
    "JsonLines": (
        lambda api, v: herfast.JsonLines(v),
        ("None", TypeError, r"^path must be a str or os\.PathLike, got None$", None),
        ("bytes", TypeError, r"^path must be a str or os\.PathLike, got b'log'$", b"log"),
        ("null", ValueError, r"^path must not contain null characters, got 'a\\x00b'$", "a\0b"),
        ("nothing", OSError, "^cannot write /.*: it is a folder$", ""),
        ("folder", OSError, "^cannot write /.*/folder: it is a folder$", "folder"),
        ("no folder", OSError, "^cannot write /.*/missing/x: there is no folder /.*/missing$", "missing/x"),
        ("below a file", OSError, "^cannot write /.*/text/x: there is no folder /.*/text$", "text/x"),
        ("device", OSError, "^cannot write /dev/null: it is not a regular file$", "/dev/null"),
        ("long name", OSError, "^cannot write /.*/x{300}: File name too long$", "x" * 300),
        ("surrogate", ValueError, r"^path must not contain lone surrogates, got '\\ud800'$", "\ud800"),
    ),
    "TensorBoard": (
        lambda api, v: herfast.TensorBoard(v),
        ("None", TypeError, r"^folder must be a str or os\.PathLike, got None$", None),
        ("bytes", TypeError, r"^folder must be a str or os\.PathLike, got b'logs'$", b"logs"),
        ("null", ValueError, r"^folder must not contain null characters, got 'a\\x00b'$", "a\0b"),
        ("file", NotADirectoryError, "^cannot write into /.*/text: /.*/text is not a folder$", "text"),
        (
            "below a file",
            NotADirectoryError,
            "^cannot write into /.*/text/x/y: /.*/text is not a folder$",
            "text/x/y",
        ),
        (
            "device",
            NotADirectoryError,
            "^cannot write into /dev/null: /dev/null is not a folder$",
            "/dev/null",
        ),
        ("surrogate", ValueError, r"^folder must not contain lone surrogates, got '\\ud800'$", "\ud800"),
    ),
    "Trajectories": (
        lambda api, v: herfast.Trajectories(*v),
        ("part", TypeError, "missing 1 required positional argument: 'lengths'$", (1, 2, 3)),
    ),
    "Minibatches": (
        lambda api, v: herfast.Minibatches(*v),
        ("part", TypeError, "missing 1 required positional argument: 'steps_to_goal'$", (1, 2, 3, 4, 5, 6)),
    ),
    "Evaluation": (
        lambda api, v: herfast.Evaluation(*v),
        ("part", TypeError, "missing 4 required positional arguments: 'success_rate'", (1,)),
    ),
    "Diagnosis": (
        lambda api, v: herfast.Diagnosis(*v),
        ("part", TypeError, "missing 9 required positional arguments: 'loop_share'", (1.0,)),
    ),
    "sweep": (
        lambda api, v: herfast.sweep(**{"n_bits": N, "out": "swept"} | v),
        ("bits", ValueError, "^n_bits must be from 1 to 65,535, got 0$", {"n_bits": [5, 0]}),
        (
            "set",
            TypeError,
            "^n_bits must be one value, or a list, tuple, range or array of values, got {5, 6}$",
            {"n_bits": {5, 6}},
        ),
        ("one of a tuple", ValueError, "^k must be from 0 to 1,000,000, got -1$", {"k": (1, -1)}),
        (
            "seed",
            TypeError,
            "^seed is not an argument of a sweep, got 3: use seeds, the number of",
            {"seed": 3},
        ),
        ("nothing", ValueError, r"^gamma must have at least one value, got \[\]$", {"gamma": []}),
        ("one of two", ValueError, r"^gamma must be in \[0, 1\), got 2$", {"gamma": [0.9, 2]}),
        ("field", TypeError, "^'gama' is not a field of Config", {"gama": 0.9}),
        (
            "preset",
            ValueError,
            "^preset must be one of 'fast', 'paper', 'notebook', got 'slow'$",
            {"preset": "slow"},
        ),
        (
            "seeds",
            TypeError,
            r"^seeds must be an integer from 1 to 1,048,576, got \[1, 2\]$",
            {"seeds": [1, 2]},
        ),
        ("ring", ValueError, "^capacity must be at least max_steps \\+ 1 = 10, got 9$", {"capacity": 9}),
        ("jobs", ValueError, "^jobs must be from 1 to 1,024, got 0$", {"jobs": 0}),
        ("scheduler", TypeError, "^scheduler must be the address .* or None, got 8786$", {"scheduler": 8786}),
        (
            "address",
            ValueError,
            "^scheduler must be an address such as tcp://.*, got 'here'$",
            {"scheduler": "here"},
        ),
        ("bar", TypeError, "^progress_bar must be True or False, got 1$", {"progress_bar": 1}),
        ("out", TypeError, "^out must be a str or os.PathLike, got 3$", {"out": 3}),
        (
            "file",
            NotADirectoryError,
            "^text is a file: choose a folder for the sweep$",
            {"out": "text"},
        ),
    ),
    "GoalEnv": (
        lambda api, v: herfast.GoalEnv(),
        ("made", TypeError, "^Protocols cannot be instantiated$", None),
    ),
}

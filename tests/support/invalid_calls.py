"""The cases of test_invalid_calls.py that are specific to one call."""

import math

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from support.api_objects import ENV, N, words

import herfast
from herfast import Agent, BitFlip, Config, HindsightReplay, QNetwork, pack_bits, unpack_bits
from herfast.envs.gym_env import BitFlipEnv
from herfast.envs.gym_vector_env import BitFlipVectorEnv

NAN = math.nan
LEGACY_GENERATOR = np.random.RandomState(0)
TABLE = np.zeros((2, 2))  # whose repr takes two lines
STRAY_BIT = np.array(1 << N, np.uint64)  # the first bit past the end
SHORT_BIAS = {"online.output.bias": np.zeros(8, np.float32)}


def ints(*shape, of=np.int64):
    return np.zeros(shape, of)


def readonly(array):
    array.setflags(write=False)
    return array


# who: the call, and for each case what it is, its error, the sentence, and the bad argument
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
        ("scalar", ValueError, "^bits must have one axis or more, got the single value 1$", 1),
        ("ragged", ValueError, r"^bits must be an array, or .* equal lengths, got \[\[0, 1\], \[0\]\]$", [[0, 1], [0]]),
    ),
    "unpack_bits": (
        lambda api, v: unpack_bits(v, N),
        ("list", TypeError, "^words must be uint64, got dtype int64$", [1]),
        ("ragged", ValueError, r"^words must be an array, or .* equal lengths, got \[\[0\], 0\]$", [[0], 0]),
        ("scalar", ValueError, "^words must have one axis or more, got the single word 5$", np.uint64(5)),
        ("width", ValueError, r"^9 bits take 1 words, got words of shape \(2, 2\)$", words(2, 2)),
        ("dirty", ValueError, r"^words\[1\] has a 1 at or past bit 9", np.array([[0], [STRAY_BIT]], np.uint64)),
    ),
    "BitFlip.reset": (
        lambda api, v: ENV.reset(**api.reset_args | (v if isinstance(v, dict) else {"out_goals": api.reset_args[v]})),
        ("rng int", TypeError, r"^rng must be a numpy.random.Generator, got 5$", {"rng": 5}),
        ("rng None", TypeError, r"^rng must be a numpy.random.Generator, got None$", {"rng": None}),
        ("old rng", TypeError, r"^rng must be .*, got RandomState\(", {"rng": LEGACY_GENERATOR}),
        ("list", TypeError, "^out_states must be a NumPy array of uint64, got list$", {"out_states": [[0]]}),
        ("dtype", TypeError, "^out_goals must be .* of uint64, got dtype int64$", {"out_goals": ints(4, 1)}),
        ("axes", ValueError, r"^out_goals must have 2 axes, got shape \(4,\)$", {"out_goals": words(4)}),
        ("shape", ValueError, r"^out_states must have shape \(4, 1\), got \(4, 2\)$", {"out_states": words(4, 2)}),
        ("strided", ValueError, r"^out_states must be C-cont.*strides \(16, 8\)", {"out_states": words(8, 1)[::2]}),
        ("read-only", ValueError, "^out_goals must be writable, got a read", {"out_goals": readonly(words(4, 1))}),
        ("shared", ValueError, "^out_states and out_goals must be two arrays, got the same memory", "out_states"),
    ),
    "BitFlip.step": (
        lambda api, v: ENV.step(**api.step_args | (v if isinstance(v, dict) else {"out_states": api.step_args[v]})),
        ("action", ValueError, r"^actions\[3\] must be from 0 to 8, got 9$", {"actions": np.array([0, 1, 2, 9], "u2")}),
        ("actions int64", TypeError, "^actions must be .* of uint16, got dtype int64$", {"actions": ints(4)}),
        ("actions list", TypeError, "^actions must be .* of uint16, got list$", {"actions": [0] * 4}),
        ("actions shape", ValueError, r"^actions must have shape \(4,\), got \(3,\)$", {"actions": ints(3, of="u2")}),
        ("actions strided", ValueError, "^actions must be C-cont.*strides", {"actions": ints(8, of=np.uint16)[::2]}),
        ("active 4", ValueError, r"^active\[0\] must be from 0 to 3, got 4$", {"active": np.array([4])}),
        ("active -1", ValueError, r"^active\[1\] must be from 0 to 3, got -1$", {"active": np.array([0, -1])}),
        ("active bool", TypeError, "^active must be .* of int64, got dtype bool$", {"active": np.ones(4, bool)}),
        ("states None", TypeError, "^states must be .* of uint64, got NoneType$", {"states": None}),
        ("states float", TypeError, "^states must be .* of uint64, got dtype float64$", {"states": np.zeros((4, 1))}),
        ("states swapped", TypeError, "^states must be .* got dtype >u8$", {"states": np.zeros((4, 1), ">u8")}),
        (
            "states dirty",
            ValueError,
            r"^states\[0\] must be .* 9 bits, got a 1 at",
            {"states": words(4, 1) + STRAY_BIT},
        ),
        ("goals dirty", ValueError, r"^goals\[0\] must be .* 9 bits, got a 1 at", {"goals": words(4, 1) + STRAY_BIT}),
        ("goals shape", ValueError, r"^goals must have shape \(4, 1\), got \(3, 1\)$", {"goals": words(3, 1)}),
        ("read-only", ValueError, "^out_states must be writable, got a read", {"out_states": readonly(words(4, 1))}),
        ("out_terminated", TypeError, "^out_terminated must be .* of bool, got", {"out_terminated": ints(4, of="i1")}),
        ("shared", ValueError, "^out_states and goals must be two arrays, got the same memory", "goals"),
    ),
    "HindsightReplay": (
        lambda api, v: HindsightReplay(*v),
        ("too large", MemoryError, "^capacity must fit .*, got 1,099,511,627,776 records of 16,392", (2**40, 65_535)),
    ),
    "HindsightReplay.sample": (
        lambda api, v: api.replay.sample(*v) if v else HindsightReplay(60, N).sample(1, 1),
        ("too large", MemoryError, "^n_batches x batch_size must .* got 16,777,216 x 16,777,216", (2**24, 2**24)),
        ("empty", ValueError, "the replay is empty; add trajectories first$", None),
    ),
    "HindsightReplay.add": (
        lambda api, v: api.replay.add(api.trajectories._replace(**v) if isinstance(v, dict) else v),
        ("None", TypeError, "^trajectories must be Trajectories, a tuple of 4 arrays, got NoneType$", None),
        ("part", TypeError, "^trajectories must be Trajectories, a tuple of 4 arrays, got tuple$", (1, 2)),
        ("states float", TypeError, "^states must be .* got dtype float64$", {"states": np.zeros((7, 5, 1))}),
        ("states list", TypeError, "^states must be .* got list$", {"states": []}),
        ("states axes", ValueError, r"^states must have 3 axes, got shape \(7, 5\)$", {"states": words(7, 5)}),
        ("states shape", ValueError, r"^states must .* \(7, 5, 1\), got \(6, 5, 1\)$", {"states": words(6, 5, 1)}),
        ("goals shape", ValueError, r"^goals must have shape \(5, 1\), got \(4, 1\)$", {"goals": words(4, 1)}),
        ("actions dtype", TypeError, "^actions must be .* uint16, got dtype int64$", {"actions": ints(6, 5)}),
        ("lengths dtype", TypeError, "^lengths must be .* int32, got dtype int64$", {"lengths": ints(5)}),
        ("length 0", ValueError, r"^lengths\[0\] must be from 1 to 6, got 0$", {"lengths": ints(5, of="i4")}),
        ("length -1", ValueError, r"^lengths\[0\] must be from 1 to 6, got -1$", {"lengths": ints(5, of="i4") - 1}),
        ("length 7", ValueError, r"^lengths\[0\] must be from 1 to 6, got 7$", {"lengths": ints(5, of="i4") + 7}),
        ("dirty state", ValueError, "^episode 0 has a 1 at or past bit 9", {"states": words(7, 5, 1) + STRAY_BIT}),
        ("dirty goal", ValueError, "^episode 0 has .* or bit 9 of its goal$", {"goals": words(5, 1) + STRAY_BIT}),
    ),
    "HindsightReplay.load_state_dict": (
        lambda api, v: api.replay.load_state_dict(
            {"records": v[0], "cursor": np.array(v[1]) if isinstance(v[1], list) else v[1]}
        ),
        ("None", TypeError, "^records must be .* uint64, got NoneType$", (None, None)),
        ("dtype", TypeError, "^records must be .* uint64, got dtype int64$", (ints(9, 3), [0, 0, 0])),
        ("cursor tuple", TypeError, "^cursor must be .* int64, got tuple$", (words(9, 3), (0, 0, 0))),
        ("cursor -1", ValueError, r"^cursor \[-1, 0, 0\] is none of a ring of 60 records$", (words(9, 3), [-1, 0, 0])),
        ("cursor 10", ValueError, r"^cursor \[10, 10, 9\] does not go .* \(9, 3\)$", (words(9, 3), [10, 10, 9])),
        ("rubbish", ValueError, r"cursor \[5, 5, 4\] are not a ring of whole episodes$", (words(9, 3), [5, 5, 4])),
        ("width", ValueError, r"^records must have 3 words a row, got shape \(9, 2\)$", (words(9, 2), [0, 0, 0])),
    ),
    "QNetwork": (
        lambda api, v: QNetwork(N, config=v),
        ("config dict", TypeError, "^config must be a Config or None, got {'k': 1}$", {"k": 1}),
        ("config str", TypeError, "^config must be a Config or None, got 'fast'$", "fast"),
        ("config class", TypeError, "^config must be a Config or None, got <class 'herfast.config.Config'>$", Config),
    ),
    "QNetwork.act": (
        lambda api, v: api.network.act(**{"states": words(2, 1), "goals": words(2, 1)} | v),
        ("list", TypeError, "^states must be .* uint64, got list$", {"states": [[0]]}),
        ("dtype", TypeError, "^goals must be .* uint64, got dtype int64$", {"goals": ints(2, 1)}),
        ("axes", ValueError, r"^states must have 2 axes, got shape \(2,\)$", {"states": words(2)}),
        ("width", ValueError, r"^goals must have 1 words a row for 9 bits, got \(2, 2\)$", {"goals": words(2, 2)}),
        ("unequal", ValueError, "^states and goals must be equally many, got 3 and 2$", {"states": words(3, 1)}),
        ("dirty", ValueError, "^states must .* past bit 8, got the word 0x200$", {"states": words(2, 1) + STRAY_BIT}),
    ),
    "QNetwork.q_values": (
        lambda api, v: api.network.q_values(*v),
        ("dirty", ValueError, "^goals must .* past bit 8, got the word 0x200$", (words(1, 1), words(1, 1) + STRAY_BIT)),
    ),
    "QNetwork.state_dict": (
        lambda api, v: api.network.state_dict(v),
        ("int", TypeError, "^learning must be True or False, got 1$", 1),
    ),
    "QNetwork.load_state_dict": (
        lambda api, v: api.network.load_state_dict({} if v is None else api.network.state_dict() | v if v else v),
        ("list", TypeError, r"^state must be a dict, got \[\]$", []),
        ("unknown", ValueError, "^'x' is unknown$", {"x": np.zeros(3)}),
        ("missing", ValueError, "^online.hidden1.bias is missing$", None),
        ("float", TypeError, "^target.output.bias must be .* float32, got float$", {"target.output.bias": 1.0}),
        ("shape", ValueError, r"^online.output.bias should be float32 \(9,\), is float32 \(8,\)$", SHORT_BIAS),
        ("NaN", ValueError, "^online.output.bias is not finite$", {"online.output.bias": np.full(9, np.nan, "f4")}),
        (
            "moment",
            ValueError,
            "^moment2.output.bias has a negative number, -1$",
            {"moment2.output.bias": -np.ones(9, "f4")},
        ),
    ),
    "QNetwork.fit": (
        lambda api, v: api.network.fit(api.batches._replace(**v) if isinstance(v, dict) else v),
        ("None", TypeError, "^batches must be Minibatches, got NoneType$", None),
        ("tuple", TypeError, "^batches must be Minibatches, got tuple$", (1, 2)),
        ("action", ValueError, "^actions must be below 9, got 9$", {"actions": np.full((2, 4), 9, "u2")}),
        ("actions dtype", TypeError, "^actions must be .* uint16, got dtype int64$", {"actions": ints(2, 4)}),
        ("rewards", TypeError, "^rewards must be .* float32, got dtype float64$", {"rewards": np.zeros((2, 4))}),
        ("terminated", TypeError, "^terminated must be .* bool, got dtype int64$", {"terminated": ints(2, 4)}),
        ("steps", ValueError, r"^steps_to_goal must .* got \(4, 2\)$", {"steps_to_goal": ints(4, 2, of="i4")}),
        ("goals shape", ValueError, r"^goals must .* \(2, 4\), got \(2, 3, 1\)$", {"goals": words(2, 3, 1)}),
        ("dirty", ValueError, "^states must .* past bit 8", {"states": words(2, 4, 1) + STRAY_BIT}),
        ("empty", ValueError, r"at least one transition each, got shape \(0, 4\)$", {"states": words(0, 4, 1)}),
    ),
    "Config": (
        lambda api, v: Config(**v),
        ("width", TypeError, "^hidden must be a tuple of 1 to 8 layer widths, got 256$", {"hidden": 256}),
        ("array", TypeError, r"^hidden must be a tuple of .*, got array\(\[\[0\., 0\.\], ", {"hidden": TABLE}),
        ("no width", ValueError, r"^hidden must be a tuple of 1 to 8 layer widths, got \(\)$", {"hidden": ()}),
        ("field", TypeError, "unexpected keyword argument 'gama'", {"gama": 0.9}),
        ("bound", ValueError, "needs mask_terminal=True", {"hindsight_bound": True, "mask_terminal": False}),
    ),
    "Config.preset": (
        lambda api, v: Config.preset("fast", **{"env": ENV} | v),
        ("env", TypeError, "^env must have n_state_bits and max_steps, as a BitFlip has, got 50$", {"env": 50}),
        ("field", TypeError, "^'gama' is not a field of Config; the fields are strategy", {"gama": 0.9}),
    ),
    "Agent": (
        lambda api, v: Agent(**{"env": ENV} | v),
        ("env", TypeError, "^env must be a BitFlip or an environment made with .*, got 50$", {"env": 50}),
        (
            "env class",
            TypeError,
            "^env must be a BitFlip or .*, got <class 'herfast.envs.bit_flip.BitFlip'>$",
            {"env": BitFlip},
        ),
        ("env array", TypeError, r"^env must be a BitFlip or .*, got array\(\[\[0\., 0\.\], ", {"env": TABLE}),
        ("field", TypeError, "^'gama' is not a field of Config; the fields are strategy", {"gama": 0.9}),
        ("capacity", ValueError, r"^capacity must be at least max_steps \+ 1 = 10, got 9$", {"capacity": 9}),
        ("too large", MemoryError, "memory is available and .* for the ring: lower capacity$", {"capacity": 2**40}),
    ),
    "Agent.learn": (
        lambda api, v: api.agent.learn(**{"total_timesteps": 1} | v),
        ("callback", TypeError, "^callback must be a function .* or a list of them, got 5$", {"callback": 5}),
        ("one of two", TypeError, "^callback must be .* a list of them, got 'a'$", {"callback": [print, "a"]}),
        ("progress_bar", TypeError, "^progress_bar must be True or False, got 'no'$", {"progress_bar": "no"}),
    ),
    "Agent.predict": (
        lambda api, v: api.agent.predict(api.observation | v if isinstance(v, dict) and len(v) == 1 else v),
        ("None", TypeError, "observation must be a dict with observation and desired_goal, got NoneType$", None),
        ("keys", TypeError, r"must be a dict with observation and desired_goal, got \[\]$", {}),
        ("shape", ValueError, r"^observation must .* or \(E, 9\), got \(4, 8\)$", {"observation": ints(4, 8)}),
        ("single", ValueError, r"^desired_goal must .* or \(E, 9\), got \(9,\)$", {"desired_goal": ints(N)}),
        ("unequal", ValueError, "^observation and desired_goal must .* got 4 and 3$", {"desired_goal": ints(3, N)}),
        ("2", ValueError, "^desired_goal must be 0 or 1, got 2$", {"desired_goal": ints(4, N) + 2}),
        ("-1", ValueError, "^observation must be 0 or 1, got -1$", {"observation": ints(4, N) - 1}),
        ("nan", TypeError, "^observation must be .* got dtype float64$", {"observation": np.full((4, N), NAN)}),
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
        ("long name", OSError, "File name too long: '.*xxx", ("x" * 300,)),
        ("replay", TypeError, "^replay must be True or False, got 'no'$", ("new", "replay", "no")),
    ),
    "Agent.load": (
        lambda api, v: Agent.load(v),
        ("None", TypeError, r"^path must be a str or os\.PathLike, got None$", None),
        ("nothing there", FileNotFoundError, "^there is no file missing$", "missing"),
        ("folder", FileNotFoundError, "^there is no file folder$", "folder"),
        ("below a file", FileNotFoundError, "^there is no file text/x$", "text/x"),
        ("text", ValueError, "^text is not a readable herfast file: .*header", "text"),
    ),
    "JsonLines": (
        lambda api, v: herfast.JsonLines(v),
        ("None", TypeError, r"^path must be a str or os\.PathLike, got None$", None),
        ("bytes", TypeError, r"^path must be a str or os\.PathLike, got b'log'$", b"log"),
        ("null", ValueError, r"^path must be without null characters, got 'a\\x00b'$", "a\0b"),
        ("nothing", OSError, r"^cannot write \.: it is a folder$", ""),
        ("folder", OSError, "^cannot write folder: it is a folder$", "folder"),
        ("no folder", OSError, "^cannot write missing/x: there is no folder missing$", "missing/x"),
        ("below a file", OSError, "^cannot write text/x: there is no folder text$", "text/x"),
    ),
    "TensorBoard": (
        lambda api, v: herfast.TensorBoard(v),
        ("None", TypeError, r"^folder must be a str or os\.PathLike, got None$", None),
        ("bytes", TypeError, r"^folder must be a str or os\.PathLike, got b'logs'$", b"logs"),
        ("null", ValueError, r"^folder must be without null characters, got 'a\\x00b'$", "a\0b"),
        ("file", NotADirectoryError, "^cannot write into text: text is a file$", "text"),
        ("below a file", NotADirectoryError, "^cannot write into text/x/y: text is a file$", "text/x/y"),
    ),
    "gymnasium.make": (
        lambda api, v: gymnasium.make("herfast/BitFlip-v0", **v),
        ("n_bits", TypeError, "^n_bits must be an integer from 1 to 65,535, got '9' ", {"n_bits": "9"}),
        ("nothing", TypeError, "missing 1 required positional argument: 'n_bits' ", {}),
        ("name", TypeError, "unexpected keyword argument 'bits' ", {"n_bits": 9, "bits": 9}),
    ),
    "gymnasium.make_vec": (
        lambda api, v: gymnasium.make_vec("herfast/BitFlip-v0", n_bits=N, **v),
        ("none", ValueError, "^num_envs must be from 1 to 2,147,483,647, got 0$", {"num_envs": 0}),
        ("half", TypeError, "^num_envs must be an integer from 1 to .*, got 2.5$", {"num_envs": 2.5}),
    ),
    "BitFlipEnv": (
        lambda api, v: BitFlipEnv(N, render_mode=v),
        ("render_mode", ValueError, "^render_mode must be None, 'ansi' or 'rgb_array', got 'human'$", "human"),
    ),
    "BitFlipEnv.step": (
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
            r"^the game ended after 2 steps: call reset\(\) before step\(\)$",
            "finished_env",
        ),
        ("before reset", ResetNeeded, r"^the game has not begun: call reset\(\) before step\(\)$", "env_before_reset"),
    ),
    "BitFlipEnv.compute_reward": (
        lambda api, v: api.env.compute_reward(**{"achieved_goal": ints(N), "desired_goal": ints(N), "info": {}} | v),
        ("7", ValueError, "^achieved_goal must be 0 or 1, got 7$", {"achieved_goal": ints(N) + 7}),
        ("nan", ValueError, "^desired_goal must be 0 or 1, got nan$", {"desired_goal": np.full(N, NAN)}),
        ("str", TypeError, "^achieved_goal must be numbers, 0 or 1, got dtype <U1$", {"achieved_goal": ["0"] * N}),
        ("None", ValueError, r"^achieved_goal must have shape \[9\] or \[B, 9\].*\[\] for", {"achieved_goal": None}),
        ("shape", ValueError, r"^desired_goal must have .* and \[2, 9\] for", {"desired_goal": ints(2, N)}),
        ("ragged", ValueError, r"^desired_goal must be .*, got \[\[0\], 0\]$", {"desired_goal": [[0], 0]}),
    ),
    "BitFlipEnv.compute_terminated": (
        lambda api, v: api.env.compute_terminated(v, ints(N), {}),
        ("half", ValueError, "^achieved_goal must be 0 or 1, got 0.5$", [0.5] * N),
    ),
    "BitFlipEnv.compute_truncated": (
        lambda api, v: api.env.compute_truncated(ints(1, N), ints(1, N), v),
        ("None", TypeError, "^info must be a dict .*, got None$", None),
        ("integers", TypeError, r"^info must be a dict .* or a sequence of dicts, got \[3\]$", [3]),
        ("key", ValueError, "^compute_truncated needs elapsed_steps in every info", {}),
        ("str", TypeError, "^elapsed_steps must be integers >= 0, got dtype <U1$", {"elapsed_steps": ["3"]}),
        ("nan", TypeError, "^elapsed_steps must be integers >= 0, got dtype float64$", {"elapsed_steps": [NAN]}),
        ("-3", ValueError, "^elapsed_steps must be integers >= 0, got -3$", {"elapsed_steps": [-3]}),
        ("shape", ValueError, r"^elapsed_steps must have .* \[1\], got \[2\]$", {"elapsed_steps": [1, 2]}),
    ),
    "BitFlipVectorEnv": (
        lambda api, v: BitFlipVectorEnv(3, n_bits=N, **v),
        ("autoreset_mode", ValueError, "^autoreset_mode must .* 'Disabled', got 'never'$", {"autoreset_mode": "never"}),
        ("render_mode", ValueError, r"^render_mode must .*, got \['ansi'\]$", {"render_mode": ["ansi"]}),
    ),
    "BitFlipVectorEnv.reset": (
        lambda api, v: (
            api.vector_env.reset(seed=5, options=v)
            if not isinstance(v, tuple)
            else api.vector_env_before_reset.reset(options=v[0])
        ),
        ("options", TypeError, r"^options must be None or a dict, got \[1\]$", [1]),
        ("list", ValueError, r"must be a bool array of shape \[3\], got \[True\]$", {"reset_mask": [True]}),
        ("integers", ValueError, r"must be a bool array of shape \[3\], got int64 array", {"reset_mask": ints(3)}),
        ("none", ValueError, "must choose at least one game, got only False$", {"reset_mask": ints(3, of=bool)}),
        ("some first", ResetNeeded, "^the games have not begun", ({"reset_mask": np.eye(3, dtype=bool)[0]},)),
    ),
    "BitFlipVectorEnv.step": (
        lambda api, v: api.vector_env.step(v) if not isinstance(v, str) else getattr(api, v).step([0, 0, 0]),
        ("9", ValueError, "^actions must be integers from 0 to 8, got 9$", [0, 9, 0]),
        ("bool", TypeError, "^actions must be integers from 0 to 8, got an array of bool$", [True] * 3),
        ("None", TypeError, "^actions must be integers from 0 to 8, got None$", None),
        ("shape", ValueError, r"^actions must be an array of shape \[3\], got shape \[2\]$", [0, 1]),
        ("ragged", ValueError, r"^actions must be an array, or .*, got \[0, 1, \[2\]\]$", [0, 1, [2]]),
        ("after the end", ResetNeeded, "^game 0 has ended, autoreset is disabled: reset it by", "finished_vector_env"),
        (
            "before reset",
            ResetNeeded,
            r"^the games have not begun: call reset\(\) before step\(\)$",
            "vector_env_before_reset",
        ),
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
        ("tuple", TypeError, r"^n_bits must be an integer from 1 to 65,535, got \(5, 6\)$", {"n_bits": (5, 6)}),
        ("nothing", ValueError, r"^gamma must have one value or more, got \[\]$", {"gamma": []}),
        ("one of two", ValueError, r"^gamma must be in \[0, 1\), got 2$", {"gamma": [0.9, 2]}),
        ("field", TypeError, "^'gama' is not a field of Config", {"gama": 0.9}),
        ("preset", ValueError, "^preset must be one of 'fast', 'paper', 'notebook', got 'slow'$", {"preset": "slow"}),
        ("seeds", TypeError, r"^seeds must be an integer from 1 to 1,048,576, got \[1, 2\]$", {"seeds": [1, 2]}),
        ("ring", ValueError, "^capacity must be at least max_steps \\+ 1 = 10, got 9$", {"capacity": 9}),
        ("jobs", ValueError, "^jobs must be from 1 to 1,024, got 0$", {"jobs": 0}),
        ("scheduler", TypeError, "^scheduler must be the address .* or None, got 8786$", {"scheduler": 8786}),
        ("address", ValueError, "^scheduler must be an address such as tcp://.*, got 'here'$", {"scheduler": "here"}),
        ("bar", TypeError, "^progress_bar must be True or False, got 1$", {"progress_bar": 1}),
        ("out", TypeError, "^out must be a str or os.PathLike, got 3$", {"out": 3}),
        ("file", NotADirectoryError, "^text is a file, where the folder of a sweep is wanted$", {"out": "text"}),
    ),
    "GoalEnv": (
        lambda api, v: herfast.GoalEnv(),
        ("made", TypeError, "^Protocols cannot be instantiated$", None),
    ),
}

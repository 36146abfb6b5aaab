"""Invalid command lines, for every option.

The exit code is 2, the message names option and value, and nothing is written.
"""

import dataclasses
import re
from pathlib import Path

import pytest

from herfast import Config
from herfast.cli import main, options
from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE, CONFIG_FILE, PROGRESS_FILE

TRAIN = "train --n-bits 9"
SMALL = (
    "--hidden 8 --epochs 1 --cycles-per-epoch 1 --capacity 200 --episodes-per-cycle 4 --updates-per-cycle 1"
)
LONG = "x" * 300

WRONG_TYPE = {  # values of another type: a usage error that names option and value
    TRAIN: {
        "--max-steps": ("nine", "9.5", "True"),
        "--preset": ("quick", "Fast", "3"),
        "--seed": ("1.5", "nan", "True", "x"),
        "--threads": ("2.5", "all"),
        "--strategy": ("first", "Future"),
        "--init": ("zero",),
        "--encoding": ("onehot",),
        "--epsilon": ("cosine", "0.2"),
        "--evaluate-with": ("both",),
        "--hidden": ("wide", "8.5", "8,8"),
        "--k": ("four", "1.5", "True"),
        "--gamma": ("much", "0,9"),
        "--advantage-gap": ("True",),
        "--epsilon-start": ("x",),
        "--epsilon-end": ("x",),
        "--epsilon-decay-steps": ("1e-3",),
        "--learning-rate": ("1e-3e",),
        "--learning-rate-end": ("x",),
        "--learning-rate-decay-updates": ("2.5",),
        "--target-update": ("x",),
        "--polyak": ("x",),
        "--batch-size": ("128.5",),
        "--capacity": ("1e6.5", "inf", "1e9999"),
        "--episodes-per-cycle": ("x",),
        "--updates-per-cycle": ("x",),
        "--cycles-per-epoch": ("x",),
        "--epochs": ("six", "6.5"),
        "--until": ("soon",),
        "--checkpoint-every": ("x", "2.5"),
    },
    "train": {"--n-bits": ("nine", "9.5", "nan", "True", "0x9")},
    "train --resume run": {
        "--epochs": ("many", "1.5"),
        "--until": ("soon",),
        "--checkpoint-every": ("often",),
    },
    "eval run": {"--episodes": ("1.5e0", "True"), "--seed": ("x", "1.5")},
    "play run": {"--games": ("2.5", "x"), "--seed": ("x",)},
}
OUT_OF_RANGE = {  # one line that names field, value and allowed range
    TRAIN: {
        "--max-steps": ("0", "-1", "70000"),
        "--seed": ("-1",),
        "--threads": ("0", "1025"),
        "--hidden": ("0", "-8", "65537"),
        "--k": ("-1", "1000001"),
        "--gamma": ("1", "-0.1", "nan", "inf"),
        "--advantage-gap": ("1", "nan"),
        "--epsilon-start": ("1.5", "-inf"),
        "--epsilon-end": ("-0.5", "nan"),
        "--epsilon-decay-steps": ("0",),
        "--learning-rate": ("0", "2", "nan"),
        "--learning-rate-end": ("0", "nan"),
        "--learning-rate-decay-updates": ("0",),
        "--target-update": ("0",),
        "--polyak": ("1", "nan"),
        "--batch-size": ("0", "-128"),
        "--capacity": ("1", "9"),
        "--episodes-per-cycle": ("0",),
        "--updates-per-cycle": ("0",),
        "--cycles-per-epoch": ("0",),
        "--epochs": ("0", "-6"),
        "--until": ("0", "1.5", "nan"),
        "--checkpoint-every": ("0", "-1"),
    },
    "train": {"--n-bits": ("0", "-9", "65536")},
    "train --resume run": {
        "--epochs": ("0", "-2"),
        "--until": ("0", "2", "nan"),
        "--checkpoint-every": ("0",),
    },
    "eval run": {"--episodes": ("0", "-1", "99999999999999"), "--seed": ("-1",)},
    "play run": {"--games": ("0", "-1", "99999999999"), "--seed": ("-1",)},
}
ERRORS = [  # other errors, and a regex of the whole message
    (f"{TRAIN} --hidden", r"hidden must be a tuple of 1 to 8 layer widths, got \(\)"),
    (f"{TRAIN} --hidden 8 8 8 8 8 8 8 8 8", r"hidden must be a tuple of 1 to 8 layer widths, got \(8, .*"),
    (f"{TRAIN} --no-mask-terminal", "hindsight_bound=True needs mask_terminal=True: .*"),
    ("train", "exactly one of --n-bits and --env must be given, got None and None"),
    ("sweep --out new", "exactly one of --n-bits and --env must be given, got None and None"),
    (
        f"{TRAIN} --env BitFlip",
        "exactly one of --n-bits and --env must be given, got 9 and 'BitFlip'",
    ),
    (
        "sweep --out new --n-bits 8 9 --env BitFlip",
        "exactly one of --n-bits and --env must be given, got 8 and 'BitFlip'",
    ),
    *(
        (f"{command} {flags}", sentence)
        for command in ("train", "sweep --out new")
        for flags, sentence in (
            (
                "--n-bits 9 --env-kwargs max_steps=9 a=b",
                "--env-kwargs needs --env, got 'max_steps=9' with --n-bits",
            ),
            (
                "--env BitFlip --max-steps 7",
                r"--max-steps needs --n-bits, got 7 with --env: use --env-kwargs max_steps=\.\.\.",
            ),
            ("--env Maze", "--env Maze: the environment 'Maze' .*"),
            ("--env BitFlip", "--env BitFlip: BitFlip.* missing 1 required positional argument: 'n_bits'"),
            ("--env BitFlip --env-kwargs size=9", "--env BitFlip: BitFlip.* keyword argument 'size'"),
            (
                "--env BitFlip --env-kwargs n_bits=0",
                "--env BitFlip: n_bits must be from 1 to 65,535, got 0",
            ),
            (
                "--env BitFlip --env-kwargs n_bits=9 max_steps=nine",
                "--env BitFlip: max_steps must be an integer from 1 to 65,535, got 'nine'",
            ),
            (
                "--env BitFlip --env-kwargs n_bits",
                "--env-kwargs must be pairs key=value, such as max_steps=9, got 'n_bits'",
            ),
            (
                "--env BitFlip --env-kwargs n_bits=8 n_bits=9",
                "--env-kwargs must have each key once, got a second 'n_bits=9'",
            ),
            (
                "--env BitFlip --env-kwargs n_bits=8 id=Maze",
                "id is not allowed in --env-kwargs, got 'id=Maze': it is the value of --env",
            ),
            (
                "--env BitFlip --env-kwargs n_bits=8 --env_kwargs max_steps=9",
                "--env-kwargs is given 2 times: give it once, with all its values",
            ),
        )
    ),
    ("train --resume run --env BitFlip", "--env cannot be combined with --resume: .*"),
    (
        f"{TRAIN} --capacity 1000000000000",
        ".* GB of memory is available and .* for the replay buffer: lower capacity",
    ),
    (f"{TRAIN} --out text", "text is a file: choose a folder for the run"),
    (f"{TRAIN} --out text/run", "cannot create text/run: Not a directory"),
    (f"{TRAIN} --out {LONG}", f"File name too long: {LONG}|cannot create {LONG}: File name too long"),
    (
        f"{TRAIN} --out run",
        "run already contains a run: continue it with herfast resume, or replace it with --overwrite",
    ),
    (
        f"{TRAIN} --out foreign",
        r"foreign contains a config\.json that herfast did not write: choose another --out",
    ),
    (
        f"{TRAIN} --out foreign --overwrite",
        r"foreign contains a config\.json that herfast did not write: choose another --out",
    ),
    (
        "train --resume none",
        r"none is not the folder of a run: it contains no config\.json written by herfast",
    ),
    ("train --resume text", r"text is not the folder of a run: .*"),
    ("train --resume folder", r"folder is not the folder of a run: .*"),
    ("train --resume foreign", r"foreign is not the folder of a run: .*"),
    ("train --resume broken", r"broken/checkpoint\.safetensors is not a readable herfast file: .*"),
    ("train --resume run --epochs 1", "run has completed 1 of 1 epochs: increase --epochs to continue"),
    ("train --resume run --gamma 0.5", "--gamma cannot be combined with --resume: .*"),
    ("train --resume run --n-bits 9", "--n-bits cannot be combined with --resume: .*"),
    ("train --resume run --out other", "--out cannot be combined with --resume: .*"),
    *(
        (f"{command} {path}", sentence)
        for command in ("eval", "play", "doctor")
        for path, sentence in (
            ("none", "none does not exist"),
            ("text", "text is not a readable herfast file: .*"),
            ("folder", r"folder is not the folder of a run: it contains no agent\.safetensors"),
            ("broken", r"broken/\w+\.safetensors is not a readable herfast file: .*"),
            ("run/config.json", r"run/config\.json is not a readable herfast file: .*"),
            (LONG, f"File name too long: {LONG}.*|{LONG} does not exist"),  # the latter from Python 3.14 on
        )
    ),
    ("plot none", "none does not exist"),
    ("plot text", "text is not the progress of a run: its header has no column 'success'"),
    ("plot folder", r"folder is not the folder of a run: it contains no progress\.csv"),
    ("plot foreign", "Is a directory: foreign/progress.csv"),
]
USAGE_ERRORS = [  # errors that tyro prints in a box, and a part of them
    ("", "Missing subcommand"),
    ("learn", "learn"),
    (f"{TRAIN} more", "more"),
    (f"{TRAIN} --gama 0.9", "--gama"),
    (f"{TRAIN} --overwrite=yes", "yes"),
    ("eval run --no-revisit=yes", "yes"),
    ("play run --watch=yes", "yes"),
    *(
        (f"{TRAIN} --{flag} maybe", "maybe")
        for flag in ("double-q", "dueling", "clip-targets", "mask-terminal")
    ),
    (f"{TRAIN} --hindsight-bound maybe", "maybe"),
    *(
        (f"{TRAIN} {flag}", flag)
        for flag in ("--max-steps", "--preset", "--seed", "--out", "--gamma", "--epochs")
    ),
    ("train --n-bits", "--n-bits"),
    ("train --env", "--env"),
    ("train --resume", "PATH"),
    ("train --resume run more", "more"),
    *((command, "PATH") for command in ("resume", "eval", "play", "plot", "doctor")),
    *((f"{command} run --bits 3", "--bits") for command in ("eval", "play", "plot", "doctor")),
    *((f"{command} run more", "more") for command in ("eval", "play", "plot", "doctor")),
]


def lines_of(table):
    return [
        (f"{start} {flag} {value}", flag, value)
        for start, flags in table.items()
        for flag, values in flags.items()
        for value in values
    ]


def with_ids(rows):
    """Parameters of a test, each with its command line as id."""
    return [pytest.param(*row, id=row[0].replace(LONG, "x...") or "nothing") for row in rows]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder with a finished run, a damaged run, a text file and other folders."""
    workspace = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        patch.setattr("herfast.experiments.run.plot_run", lambda *_: [])  # saves time
        for folder in ("run", "broken"):
            assert main.main(f"{TRAIN} {SMALL} --out {folder}".split()) == 0
        for name in (AGENT_FILE, CHECKPOINT_FILE):
            Path("broken", name).write_bytes(Path("run", name).read_bytes()[:1000])
        Path("text").write_text("neither an agent nor a run\n")
        Path("folder").mkdir()
        Path("foreign", PROGRESS_FILE).mkdir(parents=True)
        Path("foreign", CONFIG_FILE).write_text("{}")
    return workspace


@pytest.fixture
def run_rejected(workspace, monkeypatch, capsys):
    """A function that runs a command line and returns stderr.

    It checks that the command line is rejected and that no file is changed.
    """

    def run(line):
        monkeypatch.chdir(workspace)
        before = contents(workspace)
        capsys.readouterr()
        try:
            code = main.main(line.split())
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        assert contents(workspace) == before
        return err

    return run


def contents(workspace):
    return {path: path.read_bytes() if path.is_file() else None for path in workspace.rglob("*")}


def error_message(err):
    """The message of the only line of stderr."""
    assert err.count("\n") == 1
    return re.fullmatch("herfast: error: (.*)\n", err)[1]


def box_text(err):
    """The text in the box that tyro prints, in one line."""
    assert "herfast: error:" not in err
    return " ".join(re.sub("[│╭╮╰╯─]", " ", err).split())


@pytest.mark.parametrize(("line", "flag", "value"), with_ids(lines_of(WRONG_TYPE)))
def test_a_value_of_another_type_is_rejected_with_option_and_value(line, flag, value, run_rejected):
    message = box_text(run_rejected(line))
    assert flag in message
    assert value in message


@pytest.mark.parametrize(("line", "flag", "value"), with_ids(lines_of(OUT_OF_RANGE)))
def test_a_value_out_of_range_is_rejected_with_the_allowed_range(line, flag, value, run_rejected):
    field = flag[2:].replace("-", "_")
    message = error_message(run_rejected(line))
    got = value if re.search("nan|inf", value) else f"{float(value) if '.' in message else int(value):,}"
    allowed = r"(from .* to .*|in [\[(].*, .*[\])]|at least .*|None or .*)"
    assert re.search(rf"{field} must be {allowed}, got {got}$", message)


@pytest.mark.parametrize(("line", "expected"), with_ids(ERRORS))
def test_an_invalid_command_is_rejected_with_one_line(line, expected, run_rejected):
    message = error_message(run_rejected(line))
    assert re.fullmatch(expected, message), message


@pytest.mark.parametrize(("line", "word"), with_ids(USAGE_ERRORS))
def test_a_usage_error_is_printed_in_a_box(line, word, run_rejected):
    assert word in box_text(run_rejected(line))


def test_every_option_is_tested():
    lines = [line for line, *_ in (*lines_of(WRONG_TYPE), *lines_of(OUT_OF_RANGE), *ERRORS, *USAGE_ERRORS)]
    tried = {word.partition("=")[0] for line in lines for word in line.split() if word.startswith("--")}
    fields = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(Config)}
    commands = (options.Train, options.Resume, options.Eval, options.Play)
    own = {
        f"--{field.name.replace('_', '-')}" for command in commands for field in dataclasses.fields(command)
    }
    assert tried >= fields | own - {"--config", "--path", "--folder"} | {"--resume"}
    assert len(set(lines)) == len(lines)

"""Change one line of the compiled code in a copy, and show which test fails.

Run `python tests/mutation/mutate.py` in a clone after `pip install ".[test]"`. It takes about 10 minutes. The
exit code is 1 if all tests pass with a mutation, or if a test fails without one.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Mutation(NamedTuple):
    file: str
    before: str
    after: str
    effect: str


MUTATIONS = [
    Mutation(
        "csrc/bitflip.h",
        "out_terminated[game] = hf_equal(next,",
        "out_terminated[game] = hf_equal(states + game * n_words,",
        "an episode terminates one step late",
    ),
    Mutation(
        "csrc/draw.h",
        "out[n_words - 1] &= tail_mask",
        "out[0] &= tail_mask",
        "bits past the end of another word are cleared",
    ),
    Mutation(
        "csrc/replay.h",
        "else if (hf_steps_to_end(*hf_record_meta(ring, record)) > 0)",
        "else if (hf_steps_to_end(*hf_record_meta(ring, record)) > 1)",
        "an overwritten transition still counts if it was the last of its episode",
    ),
    Mutation(
        "csrc/hindsight.h",
        "return age + 1 + hf_draw_below(rng, last - age)",
        "return age + hf_draw_below(rng, last - age)",
        "future goals may be the present state",
    ),
    Mutation(
        "csrc/hindsight.h",
        "hf_draw_below(rng, k + 1) < k",
        "hf_draw_below(rng, k + 1) <= k",
        "all goals are relabelled",
    ),
    Mutation(
        "csrc/hindsight.h",
        "const bool terminated = hf_prefix_equal(next,",
        "const bool terminated = hf_prefix_equal(record,",
        "the reward depends on the state instead of the next state",
    ),
    Mutation(
        "herfast/networks/kernels/td_error.py",
        "targets[b] = batch.rewards[b] + discount * work.q_next[b]",
        "targets[b] = batch.rewards[b] - discount * work.q_next[b]",
        "the bootstrapped value has the wrong sign",
    ),
    Mutation(
        "herfast/networks/kernels/td_error.py",
        "np.float64(batch.steps_to_goal[b] - 1)",
        "np.float64(batch.steps_to_goal[b])",
        "the hindsight bound is one step too low",
    ),
    Mutation(
        "herfast/networks/kernels/packed_layer.py",
        "change = step if (now >> np.uint64(bit)) & np.uint64(1) else -step",
        "change = -step if (now >> np.uint64(bit)) & np.uint64(1) else step",
        "a bit that is set subtracts its row of weights",
    ),
    Mutation(
        "herfast/networks/kernels/update.py",
        "learning_rate * root / (1.0 - BETA1 **",
        "learning_rate * root / (1.0 - BETA2 **",
        "the first moment of Adam is corrected with the decay of the second",
    ),
]


def main():
    exit_code = 0
    for mutation in (None, *MUTATIONS):
        failure = first_failure(mutation)
        effect = "no mutation"
        if mutation is not None:
            effect = f"{mutation.file}: {mutation.effect}"
        print(f"{failure or 'all tests pass':80} {effect}", flush=True)
        if (failure is None) != (mutation is None):
            exit_code = 1
    return exit_code


def first_failure(mutation):
    """Return the first test that fails in a copy with this mutation, or None."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "herfast"
        ignored = shutil.ignore_patterns(".git", "*.so", "__pycache__", "build", "runs", "*.egg-info")
        shutil.copytree(ROOT, copy, ignore=ignored)
        if mutation:
            path = copy / mutation.file
            path.write_text(path.read_text().replace(mutation.before, mutation.after))
        site = Path(folder) / "site"
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(site),
            str(copy),
        ]
        subprocess.run(install, check=True)
        suite = [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            copy / "pyproject.toml",
            "--rootdir",
            copy,
            copy / "tests",
        ]
        options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "--tb=no"]
        options += ["--ignore", copy / "tests" / "architecture"]  # it checks that the lines exist
        environment = {**os.environ, "PYTHONPATH": str(site)}  # and a working folder without the source
        done = subprocess.run([*suite, *options], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    failed = [
        line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))
    ]
    return failed[0] if failed else f"pytest ended with {done.returncode}"


if __name__ == "__main__":
    sys.exit(main())

"""Does the suite notice? Breaks one line of the compiled code at a time, in a copy, and shows which test turns red.

From a clone with `pip install ".[test]"`: `python tests/mutation/mutate.py`, about 10 minutes. Exits with 1 if a
mutation stays green, or if the suite is red without any.
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
    what: str


MUTATIONS = [
    Mutation(
        "csrc/bitflip.h",
        "out_terminated[game] = hf_equal(next,",
        "out_terminated[game] = hf_equal(states + game * n_words,",
        "a game is won one step late",
    ),
    Mutation("csrc/draw.h", "out[n_words - 1] &= tail_mask", "out[0] &= tail_mask", "the wrong word is masked"),
    Mutation(
        "csrc/replay.h",
        "else if (hf_steps_to_end(*hf_record_meta(ring, record)) > 0)",
        "else if (hf_steps_to_end(*hf_record_meta(ring, record)) > 1)",
        "an overwritten transition still counts, if it was its episode's last",
    ),
    Mutation(
        "csrc/hindsight.h",
        "return age + 1 + hf_draw_below(rng, last - age)",
        "return age + hf_draw_below(rng, last - age)",
        "future goals begin with the present",
    ),
    Mutation(
        "csrc/hindsight.h", "hf_draw_below(rng, k + 1) < k", "hf_draw_below(rng, k + 1) <= k", "all are relabelled"
    ),
    Mutation(
        "csrc/hindsight.h",
        "const bool terminated = hf_prefix_equal(next,",
        "const bool terminated = hf_prefix_equal(record,",
        "the reward is that of the state, not of the next one",
    ),
    Mutation(
        "herfast/networks/kernels/td_error.py",
        "y = batch.rewards[b] + discount * work.q_next[b]",
        "y = batch.rewards[b] - discount * work.q_next[b]",
        "the sign of what is bootstrapped",
    ),
    Mutation(
        "herfast/networks/kernels/td_error.py",
        "np.float64(batch.steps_to_goal[b] - 1)",
        "np.float64(batch.steps_to_goal[b])",
        "the bound is a step too low",
    ),
    Mutation(
        "herfast/networks/kernels/packed_layer.py",
        "sign = np.float32(2.0) if (now",
        "sign = np.float32(-2.0) if (now",
        "a bit that is set subtracts its row",
    ),
    Mutation(
        "herfast/networks/kernels/update.py",
        "learning_rate * root / (1.0 - BETA1 **",
        "learning_rate * root / (1.0 - BETA2 **",
        "Adam corrects its first moment by the second's decay",
    ),
]


def main():
    surprises = 0
    for mutation in (None, *MUTATIONS):
        red = first_red(mutation)
        what = f"{mutation.file}: {mutation.what}" if mutation else "nothing changed"
        print(f"{red or 'green':80} {what}", flush=True)
        surprises += (red is None) != (mutation is None)
    return int(surprises > 0)


def first_red(mutation):
    """The first test that fails in a copy with this mutation, or None."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "herfast"
        ignored = shutil.ignore_patterns(".git", "*.so", "__pycache__", "build", "runs", "*.egg-info")
        shutil.copytree(ROOT, copy, ignore=ignored)
        if mutation:
            path = copy / mutation.file
            path.write_text(path.read_text().replace(mutation.before, mutation.after))
        site = Path(folder) / "site"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(copy)]
        subprocess.run(install, check=True)
        suite = [sys.executable, "-m", "pytest", "-c", copy / "pyproject.toml", "--rootdir", copy, copy / "tests"]
        options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "--tb=no"]
        options += ["--ignore", copy / "tests" / "architecture"]  # which looks for the line that is changed
        environment = {**os.environ, "PYTHONPATH": str(site)}  # and a folder that holds no source
        done = subprocess.run([*suite, *options], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    failed = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0] if failed else f"pytest ended with {done.returncode}"


if __name__ == "__main__":
    sys.exit(main())

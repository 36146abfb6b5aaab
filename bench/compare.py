"""Compare herfast with other implementations on one task and one protocol.

The protocol is in peers/protocol.py. The peers run one after another, each in its own process, on one core
with one thread, or on as many as --threads says. Peers that are not installed are skipped with a message.
Nothing else should run meanwhile.

From a clone: `pip install ".[bench]"`, then `python bench/compare.py --out bench/results/compare.json`.
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEERS = {  # name: script, required package, True if it compiles and so has a slower first run
    "herfast": ("herfast_agent.py", "herfast", True),
    "jax": ("jax_scan.py", "jax", True),
    "numpy": ("numpy_notebook.py", "numpy", False),
    "torch": ("torch_eager.py", "torch", False),
    "sb3": ("sb3_her.py", "stable_baselines3", False),
}
BUFFERS = {"herfast": "herfast", "cpprb": "cpprb", "sb3": "stable_baselines3"}
VERSIONS = ("herfast", "numpy", "numba", "jax", "torch", "stable-baselines3", "cpprb")
EPOCHS = {20: 6, 50: 2}  # 2 epochs do not solve 50 bits; they measure the time of a cycle
MIN_SUCCESS = (
    0.9  # in the last epoch at 20 bits; with less, the task is not solved and the time is meaningless
)
MIN_BUSY = 0.97  # with less, something else ran on the core
THREADS = (  # environment variables of the number of threads; herfast reads the first one
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def main():
    args = arguments()
    cores = pin(args.threads)
    os.environ.update(settings(args.threads))
    skipped, rows, buffers = [], [], []
    for n_bits in args.bits:
        for name in args.peers:
            rows += collect(
                skipped,
                PEERS[name][1],
                measure,
                name,
                n_bits,
                1 if args.quick and is_slow(name) else args.repeats,
            )
        for name in BUFFERS if args.buffers else ():
            buffers += collect(skipped, BUFFERS[name], measure_buffer, name, n_bits)
    measured = {
        "date": datetime.date.today().isoformat(),
        "machine": machine() | {"threads": args.threads, "pinned": cores is not None},
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in VERSIONS if version(name)},
        "rows": rows,
        "buffers": buffers,
        "skipped": sorted(set(skipped)),
    }
    show(measured)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(measured, indent=1) + "\n")


def arguments():
    parser = argparse.ArgumentParser(
        description="Measure herfast and its peers on the protocol of the bit-flip notebook."
    )
    parser.add_argument("--bits", type=int, nargs="+", default=[20, 50])
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--threads", type=int, default=1, help="number of threads and cores")
    parser.add_argument("--repeats", type=int, default=3, help="number of seeds of each peer: 0, 1, ...")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only one seed for peers that do not compile: 4 minutes instead of 7",
    )
    parser.add_argument("--buffers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, help="JSON file for report.py")
    return parser.parse_args()


def is_slow(name):
    return not PEERS[name][2]


def pin(threads):
    """Pin this process and its children to as many cores, and return their numbers.

    Returns None if the system does not support it.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))[-threads:]
    os.sched_setaffinity(0, cores)
    return cores


def settings(threads):
    """Return the environment of processes with this number of threads, without a GPU."""
    multi_threaded = str(threads > 1).lower()
    return {
        **dict.fromkeys(THREADS, str(threads)),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={multi_threaded}",
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
    }


def collect(skipped, package, function, name, *args):
    """Return [function(name, *args)], or [] after adding a message to `skipped`."""
    if importlib.util.find_spec(package) is None:
        skipped.append(f"{name} is skipped: {package} is not installed.")
        return []
    try:
        return [function(name, *args)]
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        skipped.append(f"{name} is skipped: it failed with {reason}")
        return []


def run(script, *args, **environment):
    """Run a peer's script in a process.

    Returns the JSON value that it printed in its last line.
    """
    command = [sys.executable, str(Path(__file__).parent / "peers" / script), *map(str, args)]
    environment = {**os.environ, **environment}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    finished = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout.splitlines()[-1])


def measure(name, n_bits, repeats):
    """Return a row of the table: medians over seeds, and the range of the warm time.

    The first run is measured from the start of its process, so that imports count. A peer that compiles runs
    again in the same process, warm. herfast has a cache on disk, which is empty for each seed's process.
    `cached` is the first run of another process, with the cache that this one filled.
    """
    script, _, compiles = PEERS[name]
    epochs = EPOCHS.get(n_bits, 2)
    runs, first, cached = [], [], []
    for seed in range(repeats):
        print(f"{n_bits} bits, {name}, seed {seed} ...", file=sys.stderr, flush=True)
        sizes = ("--bits", n_bits, "--epochs", epochs, "--seed", seed)
        with tempfile.TemporaryDirectory() as cache:
            started = time.time()
            runs.append(run(script, *sizes, "--runs", 2 if compiles else 1, NUMBA_CACHE_DIR=cache))
            first.append(runs[-1]["ended"][0] - started)
            if name == "herfast":
                started = time.time()
                cached.append(run(script, *sizes, NUMBA_CACHE_DIR=cache)["ended"][0] - started)
    warm = [one["seconds"][-1] for one in runs]
    busy = sum(one["processor_seconds"][-1] for one in runs) / sum(warm)
    success = [statistics.median(epoch) for epoch in zip(*(one["success"] for one in runs), strict=True)]
    is_judged = n_bits == 20 and epochs >= EPOCHS[20]
    threads = int(os.environ[THREADS[0]])
    assert all(one["threads"] in (None, *range(threads + 1)) for one in runs), f"{name} used more threads"
    return {
        "peer": name,
        "bits": n_bits,
        "epochs": epochs,
        "seeds": repeats,
        "first_run": statistics.median(first),
        "cached": statistics.median(cached) if cached else None,
        "warm": statistics.median(warm),
        "lowest": min(warm),
        "highest": max(warm),
        "busy": busy,  # processor time divided by wall time of the warm runs
        "ms_per_cycle": statistics.median(warm) / (epochs * 50) * 1e3,
        "us_per_update": statistics.median(one["us_per_update"] for one in runs),
        "env_steps": statistics.median(one["env_steps"] for one in runs),
        "episodes": runs[0]["episodes"],
        "updates": runs[0]["updates"],
        "success": success,
        "solved": all(one["success"][-1] > MIN_SUCCESS for one in runs) if is_judged else None,
    }


def measure_buffer(name, n_bits):
    print(f"{n_bits} bits, buffer of {name} ...", file=sys.stderr, flush=True)
    return {"buffer": name, "bits": n_bits, **run("buffers.py", name, n_bits)}


def machine():
    """Return processor, number of cores, memory and system of this machine."""
    cpu = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        models = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        cpu = models[0] if models else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "ram_gib": round(memory / 2**30, 1),
        "system": platform.system(),
    }


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def show(measured):
    """Print the machine, the versions and the tables as plain text."""
    print(
        measured["date"],
        *(f"{name} {value}" for name, value in {**measured["machine"], **measured["versions"]}.items()),
        sep=", ",
    )
    print(*measured["skipped"], sep="\n")
    head = f"{'peer':8} {'bits':>4} {'epochs':>6} {'seeds':>5} {'first s':>7} {'warm s':>7} {'spread s':>13} "
    head += f"{'ms/cycle':>8} {'us/update':>9} {'steps':>7} {'episodes':>8} {'updates':>7}  success per epoch"
    print(head)
    for row in measured["rows"]:
        spread = f"{row['lowest']:.2f}-{row['highest']:.2f}"
        mark = "  NOT SOLVED" if row["solved"] is False else ""
        success = " ".join(f"{rate:.2f}" for rate in row["success"])
        print(
            f"{row['peer']:8} {row['bits']:4} {row['epochs']:6} {row['seeds']:5} "
            f"{row['first_run']:7.2f} {row['warm']:7.2f} {spread:>13} "
            f"{row['ms_per_cycle']:8.2f} {row['us_per_update']:9.0f} {row['env_steps']:7.0f} "
            f"{row['episodes']:8} {row['updates']:7}  {success}{mark}"
        )
    shared = [row for row in measured["rows"] if row["busy"] < MIN_BUSY]
    if shared:
        shares = ", ".join(f"{row['peer']} at {row['bits']} bits {row['busy']:.0%}" for row in shared)
        print(f"The core was shared, so these times are too long. Share of the processor time: {shares}.")
    for row in measured["buffers"]:
        print(
            f"buffer of {row['buffer']:8} {row['bits']:4} bits: {row['us_per_sample']:8.1f} us to draw 128, "
            f"{row['us_per_transition']:7.3f} us to store a transition"
        )


if __name__ == "__main__":
    main()

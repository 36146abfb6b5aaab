"""The peers side by side: same task, same protocol (peers/protocol.py), one after another, each in its own process.

From a clone: `pip install ".[bench]"`, then `python bench/compare.py --out bench/results/compare.json`. Every process
is held to one core and one thread. Peers that are not installed are left out, with a sentence. Let nothing else run
meanwhile.
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
from pathlib import Path

PEERS = {  # name: script, the package it needs, whether it compiles so that its first run is another than its second
    "herfast": ("herfast_agent.py", "herfast", True),
    "jax": ("jax_scan.py", "jax", True),
    "numpy": ("numpy_notebook.py", "numpy", False),
    "torch": ("torch_eager.py", "torch", False),
    "sb3": ("sb3_her.py", "stable_baselines3", False),
}
BUFFERS = {"herfast": "herfast", "cpprb": "cpprb", "sb3": "stable_baselines3"}
VERSIONS = ("herfast", "numpy", "numba", "jax", "torch", "stable-baselines3", "cpprb")
EPOCHS = {20: 6, 50: 2}  # 50 bits are not learnt in 2 epochs: they tell what a cycle takes
LEAST_SUCCESS = 0.9  # in the last epoch at 20 bits; less has not learnt, and its time means nothing
LEAST_BUSY = 0.97  # below, something else ran on the core
ONE_THREAD = {
    **dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS"),
        "1",
    ),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
}


def main():
    args = arguments()
    core = pin_to_one_core()
    skipped, rows, buffers = [], [], []
    for n_bits in args.bits:
        for name in args.peers:
            rows += collect(
                skipped, PEERS[name][1], measure, name, n_bits, 1 if args.quick and is_slow(name) else args.repeats
            )
        for name in BUFFERS if args.buffers else ():
            buffers += collect(skipped, BUFFERS[name], measure_buffer, name, n_bits)
    found = {
        "date": datetime.date.today().isoformat(),
        "machine": machine() | {"threads": 1, "core": core},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in VERSIONS if version(name)},
        "rows": rows,
        "buffers": buffers,
        "skipped": sorted(set(skipped)),
    }
    show(found)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(found, indent=1) + "\n")


def arguments():
    parser = argparse.ArgumentParser(description="Measure herfast and its peers on the bit-flip notebook's protocol.")
    parser.add_argument("--bits", type=int, nargs="+", default=[20, 50])
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--repeats", type=int, default=3, help="seeds 0, 1, ... of each peer")
    parser.add_argument(
        "--quick", action="store_true", help="one seed of the peers that compile nothing: 4 minutes instead of 7"
    )
    parser.add_argument("--buffers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, help="a JSON file for report.py")
    return parser.parse_args()


def is_slow(name):
    return not PEERS[name][2]


def pin_to_one_core():
    """This process and those it starts on one core, whose number is returned; None where the system cannot do it."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def collect(skipped, package, function, name, *args):
    """[function(name, *args)], or nothing and a sentence for `skipped`."""
    if importlib.util.find_spec(package) is None:
        skipped.append(f"{name} is left out: {package} is not installed.")
        return []
    try:
        return [function(name, *args)]
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        skipped.append(f"{name} is left out: it failed with {reason}")
        return []


def run(script, *args, **environment):
    """What a peer's script printed last, in a process with one thread."""
    command = [sys.executable, str(Path(__file__).parent / "peers" / script), *map(str, args)]
    environment = {**os.environ, **ONE_THREAD, **environment}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    finished = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout.splitlines()[-1])


def measure(name, n_bits, repeats):
    """A row of the table: medians over the seeds, and the lowest and highest warm time.

    Of a peer that compiles, each process runs twice, cold and warm. herfast keeps what it compiled, so only its first
    process finds nothing and is the cold one; `cached` is the first run in those that follow.
    """
    script, _, compiles = PEERS[name]
    epochs = EPOCHS.get(n_bits, 2)
    with tempfile.TemporaryDirectory() as cache:
        runs = []
        for seed in range(repeats):
            print(f"{n_bits} bits, {name}, seed {seed} ...", file=sys.stderr, flush=True)
            sizes = ("--bits", n_bits, "--epochs", epochs, "--seed", seed, "--runs", 2 if compiles else 1)
            runs.append(run(script, *sizes, NUMBA_CACHE_DIR=cache))
    first, warm = ([one["seconds"][place] for one in runs] for place in (0, -1))
    busy = sum(one["processor_seconds"][-1] for one in runs) / sum(warm)
    keeps = name == "herfast"
    success = [statistics.median(epoch) for epoch in zip(*(one["success"] for one in runs), strict=True)]
    judged = n_bits == 20 and epochs >= EPOCHS[20]
    assert all(one["threads"] in (1, None) for one in runs), f"{name} used several threads"
    return {
        "peer": name,
        "bits": n_bits,
        "epochs": epochs,
        "seeds": repeats,
        "cold": first[0] if keeps else statistics.median(first),
        "cached": statistics.median(first[1:]) if keeps and repeats > 1 else None,
        "warm": statistics.median(warm),
        "lowest": min(warm),
        "highest": max(warm),
        "busy": busy,  # the share of the warm time in which the processor worked for this process
        "ms_per_cycle": statistics.median(warm) / (epochs * 50) * 1e3,
        "us_per_update": statistics.median(one["us_per_update"] for one in runs),
        "env_steps": statistics.median(one["env_steps"] for one in runs),
        "episodes": runs[0]["episodes"],
        "updates": runs[0]["updates"],
        "success": success,
        "learnt": all(one["success"][-1] > LEAST_SUCCESS for one in runs) if judged else None,
    }


def measure_buffer(name, n_bits):
    print(f"{n_bits} bits, buffer of {name} ...", file=sys.stderr, flush=True)
    return {"buffer": name, "bits": n_bits, **run("buffers.py", name, n_bits)}


def machine():
    """What the numbers were measured on."""
    cpu = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        cpu = models[0] if models else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": cpu, "cores": os.cpu_count(), "ram_gib": round(memory / 2**30, 1), "system": platform.system()}


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def show(found):
    """The machine, the versions and the tables in plain text."""
    print(
        found["date"],
        *(f"{name} {value}" for name, value in {**found["machine"], **found["versions"]}.items()),
        sep=", ",
    )
    print(*found["skipped"], sep="\n")
    head = f"{'peer':8} {'bits':>4} {'epochs':>6} {'seeds':>5} {'cold s':>7} {'warm s':>7} {'spread s':>13} "
    print(head + f"{'ms/cycle':>8} {'us/update':>9} {'steps':>7} {'games':>6} {'updates':>7}  success per epoch")
    for row in found["rows"]:
        spread = f"{row['lowest']:.2f}-{row['highest']:.2f}"
        mark = "  DID NOT LEARN" if row["learnt"] is False else ""
        print(
            f"{row['peer']:8} {row['bits']:4} {row['epochs']:6} {row['seeds']:5} {row['cold']:7.2f} {row['warm']:7.2f} "
            f"{spread:>13} {row['ms_per_cycle']:8.2f} {row['us_per_update']:9.0f} {row['env_steps']:7.0f} "
            f"{row['episodes']:6} {row['updates']:7}  {' '.join(f'{rate:.2f}' for rate in row['success'])}{mark}"
        )
    if slowest := [row for row in found["rows"] if row["busy"] < LEAST_BUSY]:
        shares = ", ".join(f"{row['peer']} at {row['bits']} bits {row['busy']:.0%}" for row in slowest)
        print(f"The core was shared, so these times are too long; the share that was ours: {shares}.")
    for row in found["buffers"]:
        print(
            f"buffer of {row['buffer']:8} {row['bits']:4} bits: {row['us_per_sample']:8.1f} us to draw 128, "
            f"{row['us_per_transition']:7.3f} us to store a transition"
        )


if __name__ == "__main__":
    main()

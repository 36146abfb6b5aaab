"""First cycle of an agent, which test_startup.py runs in a new process.

The agent has preset notebook and 20 bits. JSON is printed: the time of day at which the cycle ended, the
seconds of the next cycle, and a digest of the weights.

`--split` adds the seconds of each part of a first cycle that compiles. It imports Numba at the start, so that
its import is not timed as a part of the compilation.
"""

import json
import sys
import time


def main():
    seconds = {}
    start = time.perf_counter()
    from herfast import Agent, BitFlip

    if "--split" in sys.argv:
        from herfast.networks.compiled import compiler  # imports Numba
        from herfast.networks.kernels import acting, update  # noqa: F401

        seconds["imports"] = time.perf_counter() - start
        split(compiler, seconds)
    agent = Agent(BitFlip(20), "notebook", 0)
    one_cycle(agent)
    ended = time.time()
    assert agent.network.updates == agent.config.updates_per_cycle
    weights = digest(agent.network.parameters())
    start = time.perf_counter()
    one_cycle(agent)
    print(json.dumps({"ended": ended, "cycle": time.perf_counter() - start, "weights": weights, **seconds}))


def one_cycle(agent):
    agent.learn(callback=lambda agent: False)


def digest(parameters):
    from hashlib import sha256

    return sha256(b"".join(array.tobytes() for array in parameters.values())).hexdigest()


def split(compiler, seconds):
    """Let the parts of a compilation add their time to `seconds`."""
    from llvmlite.binding import TargetMachine
    from llvmlite.binding.newpassmanagers import ModulePassManager

    from herfast.networks.compiled.native_code import Function

    add_time(compiler, "compile_kernel", seconds, "compilation")
    add_time(ModulePassManager, "run", seconds, "optimisation")
    add_time(TargetMachine, "emit_object", seconds, "machine code")
    add_time(Function, "__init__", seconds, "loading")


def add_time(owner, name, seconds, part):
    """Replace a function of `owner` by one that adds its time to seconds[part]."""
    function = getattr(owner, name)
    seconds[part] = 0.0

    def timed(*args):
        start = time.perf_counter()
        result = function(*args)
        seconds[part] += time.perf_counter() - start
        return result

    setattr(owner, name, timed)


if __name__ == "__main__":
    main()

"""Available memory, from fake files of Linux: system, control groups, ulimit."""

import os
import resource
from pathlib import Path

import pytest
from support.processes import run_python

from herfast.dqn import memory_budget
from herfast.dqn.memory_budget import available_memory, format_bytes

V1_MOUNT = "40 30 0:31 {top} /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
V1_OTHER = "39 30 0:30 {top} /sys/fs/cgroup/cpu rw,relatime shared:8 - cgroup cgroup rw,cpu,cpuacct\n"
V2_MOUNT = "41 30 0:32 {top} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
NO_LIMIT_V1 = 9_223_372_036_854_771_712


def system(folder, available=8_000_000_000, cgroup="", mounts=""):
    """Write the files of a system without limits to `folder` and return it."""
    write(folder, "proc/meminfo", f"MemTotal: 99 kB\nMemAvailable: {available // 1024} kB\n")
    write(folder, "proc/self/cgroup", cgroup)
    root_mount = "23 1 254:0 / / rw,relatime - ext4 /dev/root rw\n"
    write(folder, "proc/self/mountinfo", root_mount + mounts)
    return folder


def write(folder, path, text):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)


def v1_group(folder, path, limit, usage=0, inactive=0):
    group = f"sys/fs/cgroup/memory/{path}"
    write(folder, f"{group}/memory.limit_in_bytes", f"{limit}\n")
    write(folder, f"{group}/memory.usage_in_bytes", f"{usage}\n")
    write(folder, f"{group}/memory.stat", f"inactive_file 7\ntotal_inactive_file {inactive}\n")


def v2_group(folder, path, limit, usage=0, **caches):
    group = f"sys/fs/cgroup/{path}"
    write(folder, f"{group}/memory.max", f"{limit}\n")
    write(folder, f"{group}/memory.current", f"{usage}\n")
    write(folder, f"{group}/memory.stat", "".join(f"{name} {n}\n" for name, n in caches.items()))


def v2_system(folder, group="/", top="/"):
    return system(folder, cgroup=f"0::{group}\n", mounts=V2_MOUNT.format(top=top, point="/sys/fs/cgroup"))


def test_without_groups_the_memory_of_the_system_is_available(tmp_path):
    assert available_memory(system(tmp_path, 2**30)) == 2**30


def test_caches_of_files_in_a_container_are_available(tmp_path):
    caches = {"anon": 990, "inactive_file": 700_000, "active_file": 50_000, "slab_reclaimable": 3_000}
    v2_group(v2_system(tmp_path), "", 1_000_000, 999_990, **caches)
    assert available_memory(tmp_path) == 10 + 753_000


def test_a_container_that_is_full_without_caches_has_no_memory(tmp_path):
    v2_group(v2_system(tmp_path), "", 1_000_000, 1_000_001, anon=1_000_000)
    assert available_memory(tmp_path) == 0


@pytest.mark.parametrize("limited", ["", "user.slice", "user.slice/job", "user.slice/job/step"])
def test_each_parent_of_a_group_of_version_2_limits_it(limited, tmp_path):
    v2_system(tmp_path, "/user.slice/job/step")
    for path in ("user.slice", "user.slice/job", "user.slice/job/step"):
        v2_group(tmp_path, path, "max", 10)
    v2_group(tmp_path, "user.slice/other", 5)
    v2_group(tmp_path, limited, 500, 100)
    assert available_memory(tmp_path) == 400


def test_the_lowest_limit_counts(tmp_path):
    v2_system(tmp_path, "/a/b")
    v2_group(tmp_path, "a", 900, 500)
    v2_group(tmp_path, "a/b", 600, 100)
    assert available_memory(tmp_path) == 400


@pytest.mark.parametrize("limited", ["", "docker", "docker/x"])
def test_each_parent_of_a_group_of_version_1_limits_it(limited, tmp_path):
    mounts = V1_OTHER.format(top="/") + V1_MOUNT.format(top="/")
    system(tmp_path, cgroup="4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n", mounts=mounts)
    for path in ("", "docker", "docker/x"):
        v1_group(tmp_path, path, NO_LIMIT_V1, 20)
    v1_group(tmp_path, limited, 500, 450, inactive=40)
    assert available_memory(tmp_path) == 90


def test_the_group_of_a_container_may_be_the_top_of_its_mount(tmp_path):
    system(tmp_path, cgroup="4:memory:/docker/x/child\n", mounts=V1_MOUNT.format(top="/docker/x"))
    v1_group(tmp_path, "", 5_000, 100)
    v1_group(tmp_path, "child", 3_000, 100)
    assert available_memory(tmp_path) == 2_900


def test_version_1_limits_memory_on_a_hybrid_system(tmp_path):
    mounts = V2_MOUNT.format(top="/", point="/sys/fs/cgroup/unified") + V1_MOUNT.format(top="/")
    system(tmp_path, cgroup="0::/job\n4:memory:/job\n1:name=systemd:/job\n", mounts=mounts)
    (tmp_path / "sys/fs/cgroup/unified/job").mkdir(parents=True)
    v1_group(tmp_path, "job", 700, 100)
    assert available_memory(tmp_path) == 600


@pytest.mark.parametrize("group", ["/../other", "/gone (deleted)", "/a:b"])
def test_a_group_outside_of_the_mounted_tree_is_limited_by_its_top(group, tmp_path):
    v2_system(tmp_path, group)
    v2_group(tmp_path, "", 700, 100)
    assert available_memory(tmp_path) == 600
    assert available_memory(v2_system(tmp_path, group, top="/elsewhere")) == 600


@pytest.mark.parametrize(
    "path", ["proc/self/cgroup", "proc/self/mountinfo", "proc/self/statm", "sys/fs/cgroup/memory.stat"]
)
@pytest.mark.parametrize("text", ["x", "x y z\n\n", "1 2 3 4 5 6 7\n", "a b c d e - cgroup2\n", "\udcff"])
def test_files_in_an_unknown_format_are_ignored(path, text, tmp_path):
    v2_group(v2_system(tmp_path), "", 10**9)
    (tmp_path / path).write_text(text, errors="surrogateescape")
    assert available_memory(tmp_path) in (10**9, 8 * 10**9)


def test_ulimit_limits_memory(tmp_path, monkeypatch):
    system(tmp_path, 2**40)
    write(tmp_path, "proc/self/statm", "1000 300 200 1 0 400 0\n")
    page_size = os.sysconf("SC_PAGE_SIZE")
    limits = {}
    monkeypatch.setattr(
        memory_budget.resource, "getrlimit", lambda which: (limits.get(which, resource.RLIM_INFINITY), -1)
    )
    assert available_memory(tmp_path) == 2**40
    limits[resource.RLIMIT_AS] = 1500 * page_size
    assert available_memory(tmp_path) == 500 * page_size
    limits[resource.RLIMIT_DATA] = 700 * page_size
    assert available_memory(tmp_path) == 300 * page_size


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc of Linux")
def test_an_agent_beyond_the_ulimit_of_its_process_is_rejected(tmp_path):
    code = """
import resource
from herfast import Agent, BitFlip
page_size = resource.getpagesize()
used = int(open("/proc/self/statm").read().split()[0]) * page_size
resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000, resource.RLIM_INFINITY))
try:
    Agent(BitFlip(50), capacity=20_000_000)
except MemoryError as error:
    print(error)
"""
    message = run_python(code, tmp_path).stdout
    assert "MB of memory is available and the agent needs 4" in message
    assert message.endswith(" for the replay buffer: lower capacity\n")


def test_without_proc_the_physical_memory_counts(tmp_path, monkeypatch):
    sizes = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory_budget.os, "sysconf", sizes.__getitem__)
    assert available_memory(tmp_path) == 4_096_000
    monkeypatch.delattr(memory_budget.os, "sysconf")
    assert available_memory(tmp_path) is None


def test_this_system_has_memory():
    assert 10**7 < available_memory() < 10**14


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1 kB"),
        (640_000, "640 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (12_345_678, "12.3 MB"),
        (1_500_000_000, "1.5 GB"),
        (2**64, "18.4 EB"),
    ],
)
def test_sizes_have_a_unit_in_which_they_are_not_zero(size, text):
    assert format_bytes(size) == text

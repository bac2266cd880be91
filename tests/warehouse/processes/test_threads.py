"""Number of threads: affinity, quotas of cgroups v1 and v2, nested and in containers, and settings of the user."""

import os
import subprocess
import sys

import pytest

from photogenic.warehouse.processes.threads import available_cores, limit_library_threads

V1 = "1 0 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


@pytest.fixture
def eight(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def machine(root, groups, mounts, quotas):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    (root / "proc/self/mountinfo").write_text(mounts)
    for folder, quota in quotas.items():
        place = root / "sys/fs/cgroup" / folder
        place.mkdir(parents=True, exist_ok=True)
        if isinstance(quota, str):
            (place / "cpu.max").write_text(f"{quota}\n")
        else:
            (place / "cpu.cfs_quota_us").write_text(f"{quota[0]}\n")
            (place / "cpu.cfs_period_us").write_text(f"{quota[1]}\n")
    return root


@pytest.mark.parametrize(
    ("groups", "mounts", "quotas", "n"),
    [
        ("0::/\n", V2, {}, 8),
        ("0::/\n", V2, {"": "max 100000"}, 8),
        ("0::/a\n", V2, {"a": "200000 100000"}, 2),
        ("0::/a\n", V2, {"a": "150000 100000"}, 2),
        ("0::/a\n", V2, {"a": "50000 100000"}, 1),
        ("0::/a/b\n", V2, {"a": "300000 100000", "a/b": "max 100000"}, 3),
        ("0::/a/b\n", V2, {"a": "max 100000", "a/b": "400000 100000"}, 4),
        ("0::/a\n", V2, {"a": "9900000 100000"}, 8),
        ("0::/outside/of/here\n", V2, {"": "200000 100000"}, 2),
        ("0::/a\n", V2, {"a": "garbage"}, 8),
        ("0::/a\n", V2, {"a": "100000 0"}, 8),
        ("3:cpu,cpuacct:/a\n", V1, {"cpu/a": (-1, 100000)}, 8),
        ("3:cpu,cpuacct:/a\n", V1, {"cpu/a": (50000, 100000)}, 1),
        ("3:cpu,cpuacct:/a/b\n", V1, {"cpu/a": (250000, 100000), "cpu/a/b": (-1, 100000)}, 3),
        ("3:cpu,cpuacct:/docker/x\n", V1.replace(" / /sys", " /docker/x /sys"), {"cpu": (200000, 100000)}, 2),
        ("4:memory:/a\n", V1, {"cpu/a": (100000, 100000)}, 8),
    ],
)
def test_the_tightest_quota_counts_rounded_up(groups, mounts, quotas, n, eight, tmp_path):
    assert available_cores(machine(tmp_path, groups, mounts, quotas)) == n


def test_a_machine_without_cgroups(eight, tmp_path):
    assert available_cores(tmp_path) == 8


def test_affinity_counts_where_it_is_tighter(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert available_cores(machine(tmp_path, "0::/a\n", V2, {"a": "400000 100000"})) == 1


def test_what_the_user_set_stands(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "POLARS_MAX_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    limit_library_threads(3)
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    assert os.environ["OMP_NUM_THREADS"] == os.environ["POLARS_MAX_THREADS"] == "3"


def test_a_store_in_python_limits_libraries_loaded_later():
    program = (
        "import os\nfrom photogenic import FeatureStore\nFeatureStore('none')\n"
        "import polars, pyarrow\nprint(polars.thread_pool_size(), pyarrow.cpu_count(), os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {k: v for k, v in os.environ.items() if "THREADS" not in k and not k.startswith("OMP_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "FEATURES_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["3", "3", "passive"]

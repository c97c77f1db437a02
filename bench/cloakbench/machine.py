"""The machine in words and figures: what it is, how fast it multiplies, and how much memory a piece of work took."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import torch

from glaze_server.engine.device import Device

MATMUL_SIDE = 1536
MATMUL_ROUNDS = 8


def processor() -> str:
    """The CPU's name, as the system has it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def in_words(device: Device) -> str:
    """CPU, cores, torch, threads and device in one line."""
    return (
        f"{processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, computing on {device}"
    )


def commit() -> str:
    """The checkout's commit, "+" after it where files differ from it; "unknown" outside a checkout."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout

    try:
        return git("rev-parse", "--short=10", "HEAD").strip() + ("+" if git("status", "--porcelain").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def matmul_rate(device: Device) -> float:
    """Floating-point operations per second of a large matrix product, in the precision that gradients are taken in."""
    one = torch.rand(MATMUL_SIDE, MATMUL_SIDE, device=device.name).to(device.dtype)
    best = float("inf")
    for _ in range(MATMUL_ROUNDS):
        start = time.perf_counter()
        float((one @ one)[0, 0])  # the copy waits for a graphics processor
        best = min(best, time.perf_counter() - start)
    return 2 * MATMUL_SIDE**3 / best


class PeakMemory:
    """How far this process's resident memory rose above where it was at the beginning. Linux only."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak, see proc(5)
        self._before = self._read("VmRSS")

    def mebibytes(self) -> float | None:
        """MiB since the beginning, None where the system does not tell."""
        peak = self._read("VmHWM")
        return None if peak is None or self._before is None else max(0.0, peak - self._before)

    @staticmethod
    def _read(field: str) -> float | None:
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith(f"{field}:"):
                    return int(line.split()[1]) / 1024
        return None

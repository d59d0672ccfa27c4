"""The benchmark of speed works; how fast anything is, no test says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_benchmark_tells_of_every_goal():
    few = ("--meetings", "20", "--large", "60", "--rounds", "1")
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "benchmarks" / "speed.py", *few],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *sys.path)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| P")]
    assert sorted(set(printed)) == [f"P{number}" for number in range(1, 10)]


def test_the_benchmark_of_the_pages_asks_for_each_of_them():
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "benchmarks" / "pages.py", "--sessions", "40", "--rounds", "1"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *sys.path)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split("`")[1] for line in done.stdout.splitlines() if line.startswith("| `")][:2] == [
        "/",
        "/sessions",
    ]
    assert "40 sessions (40 on" in done.stdout

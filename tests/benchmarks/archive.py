"""How long an audit of an archive takes in one process, in two, and on Spark; and that all three find the same.

    python tests/benchmarks/archive.py [--meetings 140000] [--files 4]

The made-up log is split over several files, each behind the one before. Exit code 0 if the findings, as JSON lines sorted, are the same bytes, else 1.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from tracker.delivery.envelope import encode
from tracker.simulate import simulate

WAYS = {
    "one process": (),
    "two processes": ("--jobs", "2"),
    "Spark, on this machine": ("--engine", "spark"),
}


def write(place, meetings, files):
    """The paths of the logs, and how many deliveries they hold."""
    lines = [encode(line.received) for line in simulate(meetings, 1)]
    paths = [place / f"{number}.jsonl" for number in range(files)]
    for number, path in enumerate(paths):
        part = lines[len(lines) * number // files : len(lines) * (number + 1) // files]
        path.write_bytes(b"".join(line + b"\n" for line in part))
    return paths, len(lines)


def measure(paths, options):
    """Seconds by the clock, how many findings, and the digest of them in order."""
    command = [tracker(), "audit", *map(str, paths), "--format", "ndjson", "--fail-on", "never", *options]
    begun = perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    seconds = perf_counter() - begun
    if done.returncode:
        sys.exit(done.stderr.decode())
    found = sorted(done.stdout.splitlines())
    return seconds, len(found), sha256(b"\n".join(found)).hexdigest()


def tracker():
    return shutil.which("tracker", path=str(Path(sys.executable).parent)) or "tracker"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meetings", type=int, default=140_000)
    parser.add_argument("--files", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        paths, deliveries = write(Path(place), given.meetings, given.files)
        print(f"{deliveries:,} deliveries in {given.files} files\n", flush=True)
        print("| audit in | seconds | against one | findings | digest |")
        print("|---|---:|---:|---:|---|", flush=True)
        first, digests = 0.0, set()
        for way, options in WAYS.items():
            seconds, findings, digest = measure(paths, options)
            first = first or seconds
            digests.add(digest)
            print(
                f"| {way} | {seconds:.1f} | {seconds / first:.2f} × | {findings:,} | {digest[:12]} |",
                flush=True,
            )
    print("\nthe findings are the same" if len(digests) == 1 else "\nTHE FINDINGS DIFFER")
    return 0 if len(digests) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())

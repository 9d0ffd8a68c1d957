#!/usr/bin/python3
"""How much longer a training step takes beside one busy process on every core. Alone and beside them in turn, so that both
see the same machine; fails if the ratio of the medians is above --most."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
BUSY = "while True: pass"


class Busy:
    """One process per core that computes without end."""
    def __enter__(self):
        self.processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in os.sched_getaffinity(0)]

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def steps(arguments, ranks, threads, folder):
    run = os.path.join(folder, "run")
    command = [os.path.abspath(arguments.binary), "train", "configs/tiny.yaml", "output.dir=" + run,
               f"train.steps={arguments.steps}", *arguments.overrides]
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none", *command]
    subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as lines:
        return [json.loads(line)["seconds"] for line in lines][3:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="build/host/longsight")
    parser.add_argument("--most", type=float, default=2.5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("overrides", nargs="*", help="configuration, key.path=value")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    bad = False
    for ranks, threads in [(cores, 1), (1, cores)]:
        alone, beside = [], []
        for _ in range(arguments.rounds):
            with tempfile.TemporaryDirectory() as folder:
                alone += steps(arguments, ranks, threads, folder)
            with tempfile.TemporaryDirectory() as folder, Busy():
                beside += steps(arguments, ranks, threads, folder)
        ratio = sum(beside) / sum(alone)
        print(f"{ranks} ranks x {threads} threads: {1e3 * statistics.mean(alone):.1f} ms a step alone, "
              f"{1e3 * statistics.mean(beside):.1f} beside {cores} busy processes: {ratio:.2f} times")
        bad = bad or ratio > arguments.most
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""What checkpoints cost: a run that writes one every ten steps against one that writes none, in turn, so that both see the same
machine; and how much of the disk's speed a save reaches. Prints medians of the rounds' ratios with the smallest and largest.

    scripts/quickstart.sh         # makes the data
    scripts/bench_checkpoints.py [--rounds 5] [--steps 100] [--ranks 2] [--dir FOLDER] [--config FILE] [key=value ...]
"""
import argparse
import datetime
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


def times(arguments, every, folder):
    """Seconds from the fifth step to the last, and of the processors for the whole run."""
    run = os.path.join(folder, "run")
    command = ["launch/run.sh", "-n", str(arguments.ranks), "--threads", "1", arguments.config, "output.dir=" + run, f"train.steps={arguments.steps}", "train.eval_every=0", "output.save_every=0",
               "data.eval=[]", f"output.checkpoint_every={every}", *arguments.overrides]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.DEVNULL, env={**os.environ, "LONGSIGHT_BINARY": os.path.abspath(arguments.binary)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as lines:
        when = [datetime.datetime.fromisoformat(json.loads(line)["time"].rstrip("Z")) for line in lines]
    return (when[-1] - when[4]).total_seconds(), sum(getattr(after, k) - getattr(before, k) for k in ["ru_utime", "ru_stime"])


def text(ratios):
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/host/longsight")
    parser.add_argument("--config", default="configs/emoji.yaml")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--dir", default="build", help="on the disk to measure")
    parser.add_argument("overrides", nargs="*", help="configuration, key.path=value")
    arguments = parser.parse_args()
    if "emoji" in arguments.config and not os.path.exists(os.path.join(ROOT, "data/emoji/train.jsonl")):
        print("bench_checkpoints: no data/emoji: scripts/quickstart.sh makes it", file=sys.stderr)
        return 66
    print(f"load of the last minute before: {os.getloadavg()[0]:.2f}")
    seconds, processors = [], []
    for number in range(arguments.rounds):
        got = {}
        for every in [10, 0] if number % 2 else [0, 10]:
            with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
                got[every] = times(arguments, every, folder)
        seconds.append(got[10][0] / got[0][0])
        processors.append(got[10][1] / got[0][1])
    print(f"a checkpoint every 10 steps, time of {arguments.steps} steps: {text(seconds)} times that without; of processors: {text(processors)}")
    subprocess.run([arguments.binary, "bench", "checkpoint", "--dir", arguments.dir], cwd=ROOT, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What checks against Python libraries share: how they end, how they run longsight, and their main."""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def stop(message, code):
    """64: wrong arguments, 66: a missing input, 70: anything else."""
    print(f"{pathlib.Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
    sys.exit(code)


def stop_without(missing):
    """An ImportError of what the check needs."""
    stop(f"no {missing.name} here: scripts/setup.sh --with-peers, and run this with .venv/bin/python", 66)


def run(*command):
    """What the command wrote; it must end with 0."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                          env=dict(os.environ, OMP_NUM_THREADS="2"))
    if done.returncode != 0:
        stop(f"{' '.join(map(str, command))}: {done.stderr.strip()}", 70)
    return done


def main(description, cases):
    """`cases`: of each name a function of the binary and an empty folder (pathlib) that yields (title, remark, problems) of each
    thing that it compares."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/host/longsight"), help="default: %(default)s")
    parser.add_argument("--only", help="one case")
    options = parser.parse_args()
    chosen = [name for name in cases if options.only in (None, name)]
    if not chosen:
        stop(f"--only {options.only}: none of {', '.join(cases)}", 64)
    if not os.path.exists(options.binary):
        stop(f"no {options.binary}; build it (scripts/test.sh), or name it with --binary", 66)
    bad = 0
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            for title, remark, problems in cases[name](options.binary, pathlib.Path(folder)):
                print(f"{name}, {title}: {remark}", flush=True)
                for problem in problems:
                    print(f"PROBLEM {name}, {title}: {problem}", flush=True)
                bad += len(problems)
    sys.exit(70 if bad else 0)

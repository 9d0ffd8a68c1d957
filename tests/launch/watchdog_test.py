#!/usr/bin/python3
"""A run that hangs is ended, with exit code 74 and the name of the rank that is behind; a slow rank is named while the run goes on; and
nothing is said of a run that is well.

By hand, the long forms (scripts/soak.sh watchdog): LONGSIGHT_STOPS=20 LONGSIGHT_CLEAN_STEPS=1000 LONGSIGHT_BUSY=1 tests/launch/watchdog_test.py"""
import concurrent.futures
import glob
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import Launch, TrainingTest, processes_of  # noqa: E402

SLOW_THREADS = os.environ.get("LONGSIGHT_SLOW_THREADS", os.path.join("build", "host", "tests", "libslow_threads.so"))
STOPS = int(os.environ.get("LONGSIGHT_STOPS", 3))
CLEAN_STEPS = int(os.environ.get("LONGSIGHT_CLEAN_STEPS", 150))
BUSY = bool(os.environ.get("LONGSIGHT_BUSY"))
FLOOR, MOST_SECONDS = 5, 8  # of the deadline; from the stop of a rank to the end of the last process
HANG, USAGE = 74, 64
LAYOUTS = [["parallel.sequence=1"], ["parallel.sequence=2"], ["parallel.sequence=4"]]


class WatchdogTest(TrainingTest):
    def arguments(self, run, *overrides, steps):
        return ["configs/tiny.yaml", f"train.steps={steps}", "train.tokens_per_step=200", "train.eval_every=0", "output.dir=" + run,
                f"train.watchdog.floor={FLOOR}", *overrides]

    def wait_for_steps(self, job, run, steps):
        path = self.path(run, "metrics.jsonl")
        while job.process.poll() is None:
            if os.path.exists(path) and self.read(path).count(b"\n") >= steps:
                return
            time.sleep(0.01)

    def stop_a_rank(self, seed):
        """Returns the seconds from the stop to the end of all processes."""
        chance = random.Random(seed)
        run, ranks = f"run-{seed}", 4
        busy = ["train.eval_every=7", "output.checkpoint_every=5"]
        job = Launch(self, self.arguments(run, *chance.choice(LAYOUTS), *busy, steps=100000), ranks, {})
        self.wait_for_steps(job, run, 8)
        time.sleep(chance.uniform(0, 0.7))
        rank = chance.randrange(ranks)
        pids = job.by_rank()
        self.assertEqual(len(pids), ranks, job.stderr())
        job.kill([pids[rank]], signal.SIGSTOP)
        stopped = time.monotonic()
        while processes_of(job.mark) and time.monotonic() < stopped + 60:
            time.sleep(0.02)
        seconds = time.monotonic() - stopped
        self.assertEqual(job.wait(), HANG, job.stderr())
        said = re.findall(r"(ranks? [0-9, ]+) ha\w+ not been heard of since step (\d+), when ", job.stderr())
        self.assertEqual([who for who, _ in said], [f"rank {rank}"], job.stderr())
        self.assertRegex(job.stderr(), fr"error: the job hangs: rank {rank} has [^;]*; (the others|ranks?)")
        done = [json.loads(line)["step"] for line in self.read(run + "/metrics.jsonl").splitlines()][-1]
        self.assertLessEqual(int(said[0][1]), done)
        self.assertLessEqual(done - int(said[0][1]), 30, job.stderr())  # heartbeats are that old
        self.check_records(run, ranks, rank)
        return seconds

    def check_records(self, run, ranks, stopped):
        hang = self.path(run, "hang-1")
        self.assertEqual(sorted(os.listdir(hang)),
                         sorted(["report.txt", *(f"rank-{r}.jsonl" for r in range(ranks) if r != stopped)]))
        report = self.read(hang + "/report.txt").decode()
        self.assertTrue(report.startswith(f"rank {stopped} has not been heard of since step "), report)
        self.assertIn(f"rank {stopped}, process ", report)
        for path in glob.glob(hang + "/rank-*.jsonl"):
            lines = [json.loads(line) for line in self.read(path).splitlines()]
            self.assertGreaterEqual(len(lines[1]["threads"]), 2)
            numbers = [line["number"] for line in lines[2:]]
            self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
            self.assertLessEqual(len(numbers), 1024)
            self.assertGreater(len(numbers), 100)
            self.assertEqual({line["state"] for line in lines[2:-1]}, {"done"})
            self.assertEqual(lines[-1]["state"], "begun", lines[-1])  # it waits
            self.assertIn(lines[-1]["group"], ["world", "sequence", "data"])

    def test_a_stopped_rank_is_named_and_the_job_ends(self):
        with concurrent.futures.ThreadPoolExecutor(2 if STOPS > 3 else STOPS) as pool:
            seconds = list(pool.map(self.stop_a_rank, range(STOPS)))
        print(f"{STOPS} stops; seconds to the end: {min(seconds):.1f} to {max(seconds):.1f}", file=sys.stderr)
        self.assertLessEqual(max(seconds), MOST_SECONDS)

    def test_a_supervised_run_goes_on_behind_its_checkpoint(self):
        steps = 60
        arguments = ["--supervise", *self.arguments("run", "output.checkpoint_every=5", steps=steps)]
        job = Launch(self, arguments, 2, {}, "run.sh")
        self.wait_for_steps(job, "run", 12)
        job.kill([job.by_rank()[1]], signal.SIGSTOP)
        self.assertEqual(job.wait(), 0, job.stderr())
        self.assertIn("rank 1 has not been heard of", job.stderr())
        self.assertIn("ended with exit code 74", job.stderr())
        lines = [json.loads(line)["step"] for line in self.read("run/metrics.jsonl").splitlines()]
        self.assertEqual(lines, list(range(1, steps + 1)))
        self.assertTrue(os.path.exists(self.path("run/hang-1/report.txt")))
        self.assertFalse(os.path.exists(self.path("run/heartbeats")))

    def launch_slow(self, ranks, slow, arguments, **names):
        """One rank of the job, `slow`, has its own part of the command line."""
        preload = ["env", f"LD_PRELOAD={SLOW_THREADS}", *(f"{key}={value}" for key, value in names.items())]
        parts = [["-n", "1", *(preload if r == slow else []), self.binary, "train", *arguments] for r in range(ranks)]
        return Launch(self, None, ranks, {}, [self.mpirun, *parts[0], *[word for part in parts[1:] for word in [":", *part]]])

    def test_a_rank_whose_process_lives_but_gets_nowhere_is_named(self):
        ranks, stuck = 3, 1
        job = self.launch_slow(ranks, stuck, self.arguments("run", steps=100000), LONGSIGHT_SLOW_AFTER=30, LONGSIGHT_SLOW_MS=100000)
        self.assertEqual(job.wait(), HANG, job.stderr())
        self.assertRegex(job.stderr(), fr"error: the job hangs: rank {stuck} is in its wait for data, behind \d+ [^;]*; the others are in \d+ ")
        self.assertEqual(sorted(os.listdir(self.path("run/hang-1"))), ["rank-0.jsonl", "rank-1.jsonl", "rank-2.jsonl", "report.txt"])

    def test_a_slow_rank_is_named_and_the_run_goes_on(self):
        ranks, slow = 3, 1
        job = self.launch_slow(ranks, slow, self.arguments("run", steps=25), LONGSIGHT_SLOW_MS=100)
        self.assertEqual(job.wait(), 0, job.stderr())
        said = re.findall(r"step (\d+): rank (\d+) on \S+ is slow: outside of collectives it took ([0-9.]+) s", job.stderr())
        self.assertEqual([rank for _, rank, _ in said], [str(slow)], job.stderr())
        self.assertLessEqual(int(said[0][0]), 20)
        self.assertGreaterEqual(float(said[0][2]), 0.1)

    def test_nothing_is_said_of_a_run_that_is_well(self):
        neighbours = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(os.cpu_count() if BUSY else 0)]
        try:
            started = time.monotonic()
            job = Launch(self, self.arguments("run", "train.eval_every=50", "output.checkpoint_every=20", steps=CLEAN_STEPS), 4, {})
            self.assertEqual(job.wait(3600), 0, job.stderr())
            print(f"{CLEAN_STEPS} steps in {time.monotonic() - started:.0f} s", file=sys.stderr)
        finally:
            for process in neighbours:
                process.kill()
                process.wait()
        self.assertNotIn("warning", job.stderr())
        self.assertNotIn("hangs", job.stderr())
        left = os.listdir(self.path("run"))
        self.assertFalse([name for name in left if name.startswith("hang") or name == "heartbeats"], left)

    @unittest.skipIf(STOPS <= 3, "six times the floor pass before the first step")
    def test_a_rank_that_stops_before_the_first_step_is_named(self):
        """In the data check, whose end the others wait for."""
        self.write("long.jsonl", b'{"text": "a b c d e f g h"}\n' * 300000)
        job = Launch(self, self.arguments("run", "data.train=[{text: long.jsonl}]", "train.watchdog.floor=1", steps=5), 3, {})
        while job.process.poll() is None and "data" not in job.stderr() and len(job.listening()) < 3:
            time.sleep(0.005)
        time.sleep(0.3)
        job.kill([job.by_rank()[1]], signal.SIGSTOP)
        self.assertEqual(job.wait(), HANG, job.stderr())
        self.assertRegex(job.stderr(), "error: the job hangs before its first step: rank 1 has not been heard of since step 0")
        self.assertFalse(os.path.exists(self.path("run")))
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".longsight")], [])

    def test_it_can_be_switched_off(self):
        job = Launch(self, self.arguments("run", "train.watchdog.enabled=false", "train.watchdog.floor=1", steps=100000), 2, {})
        self.wait_for_steps(job, "run", 8)
        self.assertFalse(os.path.exists(self.path("run/heartbeats")))
        pids = job.by_rank()
        job.kill([pids[1]], signal.SIGSTOP)
        with self.assertRaises(subprocess.TimeoutExpired):
            job.process.wait(3)
        job.kill([pids[1]], signal.SIGCONT)
        job.kill(pids.values(), signal.SIGUSR1)
        self.assertEqual(job.wait(), 75, job.stderr())

    def test_a_wrong_floor_is_refused(self):
        for value, says in [("0", "train.watchdog.floor: 0 is not between 1 and"), ("-5", "train.watchdog.floor: -5 is not between 1 and"),
                            ("soon", "train.watchdog.floor"), (".nan", "train.watchdog.floor"), ("2e6", "is not between 1 and")]:
            with self.subTest(value=value):
                result = self.run_longsight("train", *self.arguments("run", f"train.watchdog.floor={value}", steps=1))
                self.assertEqual(result.code, USAGE, result.stderr)
                self.assertIn(says, result.errors()[0])
        result = self.run_longsight("train", *self.arguments("run", "train.watchdog.flor=5", steps=1))
        self.assertEqual(result.code, USAGE, result.stderr)
        self.assertIn("floor", result.errors()[0])
        self.assertFalse(os.path.exists(self.path("run")))


if __name__ == "__main__":
    unittest.main()

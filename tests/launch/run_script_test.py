#!/usr/bin/python3
"""launch/run.sh: what it starts on one machine, on those of a host file and under Slurm, and when it starts it again. The launchers
and the binary are scripts here, which write down how they were called."""
import json
import os
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import ROOT, JobTest  # noqa: E402

PROCESSORS = 8
# Writes a line of its arguments, and ends with the next of `codes` (the last one again and again). A code "75:12" says that there is
# a checkpoint of step 12 then; "wait" ends with 75 on SIGUSR1.
LAUNCHER = """#!/usr/bin/python3
import json, os, signal, sys, time
here = os.path.dirname(os.path.abspath(__file__))
name = os.path.basename(sys.argv[0])
if name == "longsight" and "--status" in sys.argv:
    step = open(here + "/step").read() if os.path.exists(here + "/step") else "-1"
    print(json.dumps({"run": "x", "step": 99, "steps": 100, "checkpoint": int(step), "finished": False}, separators=(",", ":")))
    sys.exit(0)
with open(here + "/calls", "a") as calls:
    calls.write(json.dumps({"name": name, "arguments": sys.argv[1:], "environment": dict(os.environ)}) + "\\n")
codes = open(here + "/codes").read().split()
number = len(open(here + "/calls").read().splitlines())
code = codes[min(number, len(codes)) - 1]
if code == "wait":
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(75))
    open(here + "/waits", "w").close()
    time.sleep(20)
code, _, step = code.partition(":")
if step:
    open(here + "/step", "w").write(step)
sys.exit(int(code))
"""
RELAUNCHED, FINAL = [74, 75, 134, 137, 139], [0, 1, 64, 65, 66, 70, 73, 76, 77]


class RunScriptTest(JobTest):
    def setUp(self):
        super().setUp()
        for name in ["mpirun", "srun", "longsight"]:
            self.script(name, LAUNCHER)
        self.script("nproc", f"#!/bin/sh\necho {PROCESSORS}\n")
        self.hosts = self.path(self.write("hosts", "one slots=2\ntwo slots=2\n"))

    def script(self, name, text):
        self.write("bin/" + name, text)
        os.chmod(self.path("bin", name), 0o755)

    def start(self, *arguments, codes="0", **environment):
        for left in ["calls", "step", "waits"]:
            if os.path.exists(self.path("bin", left)):
                os.remove(self.path("bin", left))
        self.write("bin/codes", codes)
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("OMP", "SLURM"))}
        # A file: what the script leaves behind for a second would keep a pipe open.
        with open(self.path("said"), "w", encoding="utf-8") as said:
            return subprocess.Popen([os.path.join(ROOT, "launch", "run.sh"), *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
                                    env={**clean, "PATH": self.path("bin") + ":" + os.environ["PATH"],
                                         "LONGSIGHT_BINARY": self.path("bin/longsight"), **environment})

    def end(self, job, code):
        """What was said, and the calls."""
        got, said = job.wait(30), self.read("said").decode()
        self.assertEqual(got, code, said)
        calls = self.read("bin/calls").splitlines() if os.path.exists(self.path("bin/calls")) else []
        return said, [json.loads(line) for line in calls]

    def run_script(self, *arguments, code=0, **options):
        return self.end(self.start(*arguments, **options), code)

    def command(self, *arguments, **options):
        """The one launch: its name, and the arguments in front of the binary."""
        _, (call,) = self.run_script(*arguments, **options)
        if call["name"] == "longsight":
            self.assertEqual(call["arguments"], ["train", "c.yaml", "a=1"])
            return ["longsight"], call["environment"]
        end = call["arguments"].index(self.path("bin/longsight"))
        self.assertEqual(call["arguments"][end + 1:], ["train", "c.yaml", "a=1"])
        return [call["name"], *call["arguments"][:end]], call["environment"]

    def test_ranks_of_one_machine_get_processors_of_their_own(self):
        for ranks, each in [(2, 4), (3, 2), (8, 1)]:
            with self.subTest(ranks=ranks):
                got, environment = self.command("-n", str(ranks), "c.yaml", "a=1")
                self.assertEqual(got, ["mpirun", "-n", str(ranks), "--use-hwthread-cpus", "--map-by", f"slot:PE={each}", "--bind-to",
                                       "hwthread"])
                self.assertEqual(environment["OMPI_MCA_rmaps_base_oversubscribe"], "1")
                self.assertNotIn("OMP_NUM_THREADS", environment)
        # More than there are processors share them.
        got, _ = self.command("-n", "9", "c.yaml", "a=1")
        self.assertEqual(got, ["mpirun", "-n", "9", "--bind-to", "none"])
        # As many as processors, where nothing is said.
        got, _ = self.command("c.yaml", "a=1")
        self.assertEqual(got[:3], ["mpirun", "-n", str(PROCESSORS)])

    def test_one_rank_needs_no_launcher(self):
        self.assertEqual(self.command("-n", "1", "c.yaml", "a=1")[0], ["longsight"])

    def test_a_host_file_names_the_machines_and_nothing_is_bound(self):
        for ranks in [1, 4]:
            got, _ = self.command("-n", str(ranks), "--hosts", self.hosts, "c.yaml", "a=1")
            self.assertEqual(got, ["mpirun", "-n", str(ranks), "--bind-to", "none", "--hostfile", self.hosts])

    def test_threads_reach_every_rank(self):
        got, environment = self.command("-n", "4", "--hosts", self.hosts, "--threads", "3", "c.yaml", "a=1")
        self.assertEqual(got[-2:], ["-x", "OMP_NUM_THREADS"])
        self.assertEqual(environment["OMP_NUM_THREADS"], "3")

    def test_under_slurm_the_job_says_how_many(self):
        self.assertEqual(self.command("--launcher", "srun", "c.yaml", "a=1")[0], ["srun", "--mpi=pmix", "--kill-on-bad-exit=1"])
        self.assertEqual(self.command("--launcher", "srun", "-n", "6", "c.yaml", "a=1")[0],
                         ["srun", "--mpi=pmix", "--ntasks=6", "--kill-on-bad-exit=1"])

    def test_what_it_does_not_know_starts_nothing(self):
        for arguments, code, says in [(["--what", "c.yaml"], 64, "unknown option '--what'"), ([], 64, "usage:"),
                                      (["--launcher", "ssh", "c.yaml"], 64, "mpirun or srun")]:
            with self.subTest(arguments=arguments):
                said, calls = self.run_script(*arguments, code=code)
                self.assertIn(says, said)
                self.assertEqual(calls, [])
        said, _ = self.run_script("c.yaml", code=66, LONGSIGHT_BINARY=self.path("nothing"))
        self.assertIn("cmake --build", said)

    def test_without_supervision_the_exit_code_is_that_of_the_launch(self):
        for code in [*RELAUNCHED, *FINAL]:
            _, calls = self.run_script("-n", "2", "c.yaml", codes=str(code), code=code)
            self.assertEqual(len(calls), 1)

    def test_supervised_what_may_pass_is_started_again_and_nothing_else(self):
        for code in RELAUNCHED:
            with self.subTest(code=code):
                said, calls = self.run_script("-n", "2", "--supervise", "c.yaml", codes=f"{code} 0")
                self.assertEqual(len(calls), 2)
                self.assertEqual(calls[0]["arguments"], calls[1]["arguments"])
                self.assertIn(f"ended with exit code {code}", said)
        for code in FINAL:
            with self.subTest(code=code):
                _, calls = self.run_script("-n", "2", "--supervise", "c.yaml", codes=f"{code} 0", code=code)
                self.assertEqual(len(calls), 1)

    def test_three_launches_without_a_later_checkpoint_are_the_last(self):
        said, calls = self.run_script("-n", "2", "--supervise", "c.yaml", codes="137", code=137)
        self.assertEqual(len(calls), 3)
        self.assertIn("no checkpoint behind step -1", said)
        # Each later checkpoint counts anew; the same one again, or an earlier one, is none.
        said, calls = self.run_script("-n", "2", "--supervise", "c.yaml", codes="137 74 137:5 137:5 139 137:9 137:9 75:7 134", code=134)
        self.assertEqual(len(calls), 9)
        self.assertIn("no checkpoint behind step 9 (the last with exit code 134)", said)

    def test_what_it_is_asked_to_stop_is_not_started_again(self):
        for kind in [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT]:
            with self.subTest(kind=kind):
                job = self.start("-n", "2", "--supervise", "c.yaml", codes="wait 0")
                while not os.path.exists(self.path("bin/waits")):
                    self.assertIsNone(job.poll())
                    time.sleep(0.01)
                job.send_signal(kind)
                _, calls = self.end(job, 75)
                self.assertEqual(len(calls), 1)


if __name__ == "__main__":
    unittest.main()

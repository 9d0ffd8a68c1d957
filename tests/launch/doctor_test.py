#!/usr/bin/python3
"""longsight doctor, alone and on several ranks: it says what is there, and finds what is wrong."""
import json
import os
import resource
import sys
import unittest
import unittest.mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import JobTest  # noqa: E402

NAMES = ["ranks", "host name", "instruction set", "other work", "memory", "shared memory", "temporary folder", "gpu",
         "processors", "limits", "user", "direct copies"]


class DoctorTest(JobTest):
    seconds = float(os.environ.get("LONGSIGHT_TEST_SECONDS", 60))

    def findings(self, *arguments, ranks=1, code=None):
        """By name; what this machine itself has to say does not fail a test."""
        result = self.run_longsight("doctor", "--json", *arguments, ranks=ranks)
        line = json.loads(result.stdout.splitlines()[-1])
        self.assertEqual(len(result.stdout.splitlines()), 1)
        self.assertEqual(line["ranks"], ranks)
        self.assertEqual(line["wrong"], sum(f["verdict"] == "WRONG" for f in line["findings"]))
        self.assertEqual(result.code, 70 if line["wrong"] else 0, result.stderr)
        if code is not None:
            self.assertEqual(result.code, code)
        found = {}
        for finding in line["findings"]:
            self.assertEqual(list(finding), ["verdict", "name", "finding", "remedy", "ranks"])
            self.assertIn(finding["verdict"], ["ok", "note", "WRONG"])
            self.assertTrue(finding["remedy"] or finding["verdict"] != "WRONG", finding)
            found.setdefault(finding["name"], []).append(finding)
        return found

    def wrong(self, found, name):
        return [f for f in found[name] if f["verdict"] == "WRONG"]

    def test_one_rank_is_told_of_all_and_prints_a_line_each(self):
        found = self.findings("--dir", "runs")
        self.assertEqual(list(found), NAMES + ["folder", "libraries"])
        self.assertIn("started by hand", found["ranks"][0]["finding"])
        self.assertEqual(os.listdir(self.path()), [name for name in os.listdir(self.path()) if name in ("configs", "goldens")])
        lines = self.run_longsight("doctor").stdout.splitlines()
        for line in lines[:-1]:
            self.assertRegex(line, r"^((ok|note|WRONG) +[a-z ]+  |  +-> )\S")
        self.assertRegex(lines[-1], r"^(nothing is wrong|\d+ things? to put right)$")

    def test_three_ranks_measure_what_is_between_them_and_print_once(self):
        found = self.findings("--dir", ".", ranks=3)
        self.assertEqual(list(found), NAMES + ["neighbours", "all to all", "clocks", "folder", "libraries"])
        self.assertIn("3 on 1 node, Open MPI", found["ranks"][0]["finding"])
        self.assertRegex(found["neighbours"][0]["finding"], r"from a rank to the next: \d+ us, [0-9.]+ GB/s")
        for name in ["host name", "memory", "libraries", "all to all"]:
            self.assertEqual(found[name][0]["ranks"], [0, 1, 2], name)

    def test_a_folder_that_cannot_be_written_is_found(self):
        found = self.findings("--dir", "/proc/here", ranks=2, code=70)
        self.assertIn("cannot write /proc/here", self.wrong(found, "folder")[0]["finding"])
        found = self.findings("--dir", "configs/tiny.yaml", code=70)
        self.assertEqual(self.wrong(found, "folder")[0]["finding"], "configs/tiny.yaml is a file")

    def test_limits_of_the_process_are_found(self):
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        for limit, value, part in [(resource.RLIMIT_NOFILE, 64, "ulimit -n"), (resource.RLIMIT_FSIZE, 1 << 30, "ulimit -f"),
                                   (resource.RLIMIT_DATA, memory // 2, "ulimit -d")]:
            soft, hard = resource.getrlimit(limit)
            resource.setrlimit(limit, (value, hard))
            try:
                found = self.findings(code=70)
            finally:
                resource.setrlimit(limit, (soft, hard))
            self.assertTrue(any(part in f["finding"] for f in self.wrong(found, "limits")), found["limits"])

    def test_threads_without_processors_are_found_and_named_by_rank(self):
        with unittest.mock.patch.dict(os.environ, OMP_NUM_THREADS=str(os.cpu_count() + 7)):
            found = self.findings(ranks=2, code=70)
        # One finding where both have the same processors, two where mpirun has bound them to others.
        self.assertEqual(sum((f["ranks"] for f in self.wrong(found, "processors")), []), [0, 1])


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
"""Where no GPU can be used, the program starts, says what is missing, and computes on the host unless it was told otherwise: one that
was built with CUDA like one that was not."""
import ctypes
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import JobTest  # noqa: E402

USAGE = 64
WITH_CUDA = os.environ.get("LONGSIGHT_CUDA") == "ON"


def has_driver():
    try:
        ctypes.CDLL("libcuda.so.1")
        return True
    except OSError:
        return False


if not WITH_CUDA:
    MISSING = "this program was built without CUDA"
elif has_driver():
    MISSING = "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES=)"
else:
    MISSING = "there is no NVIDIA driver (libcuda.so.1)"
STEPS = ["configs/tiny.yaml", "train.steps=2"]


class GpuTest(JobTest):
    seconds = float(os.environ.get("LONGSIGHT_TEST_SECONDS", 60))

    def setUp(self):
        super().setUp()
        os.environ["CUDA_VISIBLE_DEVICES"] = ""

    def done(self, *arguments, ranks=1):
        result = self.run_longsight(*arguments, ranks=ranks)
        self.assertEqual(result.code, 0, result.stderr)
        return result

    def test_it_says_what_it_was_built_for(self):
        built = r"built for CUDA \d+\.\d+" if WITH_CUDA else "built without CUDA"
        self.assertRegex(self.done("--version").stdout, rf"^longsight \d+\.\d+\.\d+, {built}\n$")
        self.assertIn("--version", self.done("--help").stdout)

    def test_doctor_says_what_is_missing(self):
        result = self.run_longsight("doctor", "--json")
        gpu = next(f for f in json.loads(result.stdout)["findings"] if f["name"] == "gpu")
        self.assertIn(MISSING, gpu["finding"])
        self.assertIn("computes on processors", gpu["finding"])
        self.assertEqual(gpu["verdict"], "note" if WITH_CUDA or has_driver() else "ok")

    def test_a_plan_needs_no_gpu(self):
        self.assertIn("2 ranks = ", self.done("plan", "configs/tiny.yaml", "--ranks", "2").stdout)

    def test_auto_and_host_train_on_the_host_and_end_alike(self):
        for run in ["auto", "host"]:
            result = self.done("train", *STEPS, "device=" + run, "output.dir=" + run)
            # Who built for GPUs is told why none is used.
            told = [line for line in result.stderr.splitlines() if "computes on the host" in line]
            self.assertEqual(len(told), 1 if WITH_CUDA and run == "auto" else 0, result.stderr)
            self.assertTrue(all(f"computes on the host: {MISSING}" in line for line in told), told)
        self.assertEqual(self.read("auto/model/model.safetensors"), self.read("host/model/model.safetensors"))

    def test_cuda_is_refused_with_what_is_missing_before_anything_is_written(self):
        for ranks in [1, 2]:
            result = self.run_longsight("train", *STEPS, "device=cuda", "output.dir=refused", ranks=ranks)
            self.assertEqual(result.code, USAGE, result.stderr)
            self.assertEqual(len(result.errors()), 1, result.stderr)
            self.assertIn(f"device: rank 0 cannot use a GPU: {MISSING}", result.errors()[0])
            self.assertIn("; device: auto trains on the host (command line: device=cuda)", result.errors()[0])
        self.assertFalse(os.path.exists(self.path("refused")))


if __name__ == "__main__":
    unittest.main()

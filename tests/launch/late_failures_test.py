#!/usr/bin/python3
"""Nothing that can fail stands between the last step and the weights: calls of the operating system fail one by one, pictures,
folders and disks vanish while a run is under way. Afterwards the model is there, or the save before it is intact; the exit code
and the message say what happened, and no rank is left.

By hand, all of them (scripts/soak.sh late_failures): LONGSIGHT_ALL_FAULTS=1 tests/launch/late_failures_test.py"""
import errno
import json
import os
import re
import resource
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import ROOT, TrainingTest, tensor_bytes, tree  # noqa: E402

ALL = bool(os.environ.get("LONGSIGHT_ALL_FAULTS"))
LIBRARY = os.environ.get("LONGSIGHT_FAILING_IO", os.path.join(ROOT, "build", "host", "tests", "libfailing_io.so"))
CANNOT_WRITE, NON_FINITE, BAD_DATA, MISSING = 73, 76, 65, 66
FAULTS = {"open": [errno.EIO, errno.ENOSPC, errno.EDQUOT], "write": [errno.EIO, errno.ENOSPC, "short"],
          "fsync": [errno.EIO], "rename": [errno.EIO, errno.ENOSPC], "mkdir": [errno.ENOSPC], "unlink": [errno.EIO]}
IN_CI = {"open": 9, "write": 9, "fsync": 6, "rename": 8, "mkdir": 4, "unlink": 4}  # of each operation


class LateFailuresTest(TrainingTest):
    seconds = float(os.environ.get("LONGSIGHT_TEST_SECONDS", 20))

    def setUp(self):
        super().setUp()
        self.set_up_inputs()

    def train(self, *overrides, run="run", ranks=1, fault=None, under=None, command="", counts=None, free=None):
        """A run of four steps with a save after each second one."""
        names = {"LONGSIGHT_FAIL_UNDER": self.path(under or run), "LONGSIGHT_FAIL": fault or "",
                 "LONGSIGHT_FAIL_COMMAND": command, "LONGSIGHT_FAIL_COUNTS": counts or "", "LONGSIGHT_FAIL_FREE": free,
                 "LD_PRELOAD": LIBRARY}
        before = dict(os.environ)
        os.environ.update({name: value for name, value in names.items() if value})
        try:
            return self.run_longsight(
                "train", "configs/tiny.yaml", "model.config=in/model.json", "model.tokenizer=in/tokenizer",
                "data.train=[{messages: in/tiny.jsonl}]", "data.eval=[{messages: in/held/tiny_eval.jsonl, name: held}]",
                "train.steps=4", "train.eval_every=2", "train.tokens_per_step=200", "output.save_every=2",
                "output.keep=1", "output.keep_best=held", "output.dir=" + run, *overrides, ranks=ranks)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def weights(self, folder):
        return tensor_bytes(self.read(folder + "/model.safetensors"))

    def whole_folders(self, run):
        """What looks like a save or a model."""
        saves = self.path(run, "saves")
        names = [f"saves/{name}" for name in os.listdir(saves) if "." not in name] if os.path.isdir(saves) else []
        return [name for name in [*names, "best", "model"] if os.path.isdir(self.path(run, name))]

    def check(self, result, run, reference):
        """Whatever failed: each folder that is there is whole, and there is one."""
        said = f"\n{result.stderr}"
        found = self.whole_folders(run)
        for name in found:
            self.assertEqual(set(os.listdir(self.path(run, name))), set(os.listdir(self.path(reference, "model"))), said)
            # The best is that of the second or the last step, where the other could not be written.
            same = {"best": ["2", "model"], "saves/step-00000002": ["2"], "model": ["model"]}[name]
            self.assertIn(self.weights(f"{run}/{name}"), [self.weights(f"{reference}/{n}") for n in same], name + said)
        self.assertTrue("model" in found or "saves/step-00000002" in found, said)
        for lines in ["metrics.jsonl", "eval.jsonl"]:
            if os.path.exists(self.path(run, lines)):
                for line in self.read(f"{run}/{lines}").splitlines():
                    json.loads(line)
        return found

    def reference(self, ranks=1):
        """An undisturbed run, with its second step beside it, and how often it calls what."""
        result = self.train(run="reference", ranks=ranks, counts=self.path("counts"))
        self.assertEqual(result.code, 0, result.stderr)
        self.copy("reference/saves/step-00000002", "reference/2")
        calls = {}
        for line in self.read("counts").decode().splitlines():
            for name, number in re.findall(r"(\w+) (\d+)", line):
                calls[name] = max(calls.get(name, 0), int(number))
        return calls

    def test_every_call_may_fail_once(self):
        calls = self.reference()
        tried = 0
        for operation, kinds in FAULTS.items():
            number = calls[operation]
            steps = range(1, number + 1)
            if not ALL:
                count = min(IN_CI[operation], number)
                steps = sorted({1 + i * (number - 1) // max(count - 1, 1) for i in range(count)})
            for position, k in enumerate(steps):
                for kind in kinds if ALL else [kinds[position % len(kinds)]]:
                    with self.subTest(operation=operation, k=k, kind=kind):
                        self.one_fault(operation, k, kind)
                        tried += 1
                    if ALL and tried % 4 == 0:
                        with self.subTest(operation=operation, k=k, kind=kind, ranks=2):
                            self.one_fault(operation, k, kind, ranks=2)
                            tried += 1
        print(f"{tried} late failures", file=sys.stderr)

    def one_fault(self, operation, k, kind, ranks=1):
        run = f"{operation}-{k}-{kind}-{ranks}"
        result = self.train(run=run, fault=f"{operation}:{k}:{kind}", ranks=ranks)
        said = f"\n{result.stderr}"
        harmless = operation == "unlink"  # temporary files that cannot be removed are no loss
        self.assertIn(result.code, [CANNOT_WRITE, 0] if harmless else [CANNOT_WRITE], said)
        if result.code:
            why = os.strerror(errno.ENOSPC if kind == "short" else kind)
            self.assertTrue(any(why in error for error in result.errors()), said)
        if not os.path.exists(self.path(run, "metrics.jsonl")):
            self.assertFalse(os.path.exists(self.path(run)), said)  # it did not begin: nothing is left
            return
        self.assertGreaterEqual(len(self.read(run + "/metrics.jsonl").splitlines()), 3, said)  # of four steps
        self.check(result, run, "reference")
        self.assertFalse(os.path.exists(self.path(run, "lock")) and operation != "unlink", said)

    def test_two_ranks_end_alike(self):
        self.reference(ranks=2)
        for operation, k, kind in [("write", 30, errno.ENOSPC), ("rename", 25, errno.EIO), ("open", 3, errno.EIO)]:
            with self.subTest(operation=operation, k=k):
                self.one_fault(operation, k, kind, ranks=2)

    def test_a_disk_that_stays_full_leaves_the_save_before(self):
        self.reference()
        for at, ranks in [("run/model", 1), ("run/saves/step-00000002", 1), ("run/model", 2)]:
            with self.subTest(at=at, ranks=ranks):
                run = f"full-{ranks}-{os.path.basename(at)}"
                result = self.train(run=run, ranks=ranks, under=at.replace("run", run, 1), fault=f"write:1+:{errno.ENOSPC}")
                self.assertEqual(result.code, CANNOT_WRITE, result.stderr)
                self.assertIn("No space left", result.errors()[0])
                if ranks == 1:
                    self.check(result, run, "reference")
                self.assertEqual(os.path.exists(self.path(run, "model")), at != "run/model")

    def test_a_limit_of_file_sizes_is_an_error_like_a_full_disk(self):
        self.reference()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        smallest = os.path.getsize(self.path("reference/model/model.safetensors")) // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (smallest, before[1]))  # jobs have it too
        try:
            result = self.train(run="limited")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        self.assertEqual(result.code, CANNOT_WRITE, result.stderr)
        self.assertIn("File too large (ulimit -f", result.errors()[0])
        self.assertEqual(self.whole_folders("limited"), [])
        left = [name for name in tree(self.path("limited")) if ".tmp" in name or name.endswith("lock")]
        self.assertEqual(left, [])

    END = {  # what happens after the third of four steps: exit code, what is said, whether the model is there
        "rm in/held/png/*": (MISSING, "evaluation on held", True),
        "for f in in/held/png/*; do head -c 60 $f > x; cat x > $f; done": (BAD_DATA, "evaluation on held", True),
        "rm -r in/tokenizer in/model.json in/tiny.jsonl": (0, None, True),
        "echo '{' > in/model.json; echo x > in/tokenizer/tokenizer.json": (0, None, True),
        "rm -r run": (0, None, True),
        "rm -r run; touch run": (CANNOT_WRITE, "something else has its name", False),
        "rm -r run/saves; touch run/saves": (0, None, True),
        "mkdir -p run/model/x": (0, None, True),
        "touch run/eval.jsonl.tmp; rm run/lock": (0, None, True),
        "mv in elsewhere": (MISSING, "evaluation on held", True),
        "rm in/held/tiny_eval.jsonl": (0, None, True),
        "head -c 100 in/held/tiny_eval.jsonl > x; cat x > in/held/tiny_eval.jsonl": (BAD_DATA, "evaluation on held", True),
        "for f in in/held/png/*; do rm $f; mkdir $f; done": (BAD_DATA, "evaluation on held", True),
        "for f in in/held/png/*; do rm $f; ln -s $f $f; done": (MISSING, "evaluation on held", True),
        "rm in/held/png/*; touch in/held/tiny_eval.jsonl": (MISSING, "evaluation on held", True),
        ": > in/tiny.jsonl": (0, None, True),
        "rm -r in/png": (0, None, True),
        "rm run/metrics.jsonl run/*.yaml run/run.json": (0, None, True),
        "rm run/metrics.jsonl; mkdir run/metrics.jsonl": (0, None, True),
        "touch run/model": (0, None, True),
        "ln -s nowhere run/model": (0, None, True),
        "mkdir run/model; ln -s / run/model/link": (0, None, True),
        "rm -r run; ln -s nowhere run": (CANNOT_WRITE, "something else has its name", False),
        "mkdir run/eval.jsonl": (CANNOT_WRITE, "eval.jsonl", True),
        # How long the lines are is looked at before the evaluation: the first failure.
        "mkdir run/eval.jsonl; rm in/held/png/*": (CANNOT_WRITE, "eval.jsonl", True),
    }

    def test_what_is_taken_away_at_the_end_costs_no_weights(self):
        for ranks in [1, 2]:
            self.reference(ranks) if not os.path.exists(self.path("reference")) else None
            for command, (code, says, there) in self.END.items():
                with self.subTest(command=command, ranks=ranks):
                    for folder in ["in", "run"]:
                        os.path.lexists(self.path(folder)) and os.system(f"rm -r '{self.path(folder)}'")
                    self.set_up_inputs()
                    result = self.train("train.eval_every=0", "output.save_every=0", ranks=ranks,
                                        fault="write:4:run", under="run/metrics.jsonl", command=command)
                    self.assertEqual(result.code, code, result.stderr)
                    for text in [says] if says else []:
                        self.assertIn(text, result.errors()[0])
                    self.assertEqual(os.path.exists(self.path("run/model/model.safetensors")), there, result.stderr)
                    if there and ranks == 1:
                        self.assertEqual(self.weights("run/model"), self.weights("reference/model"))

    def set_up_inputs(self):
        for folder in ["in", "in/held"]:
            self.copy("configs/tiny/png", folder + "/png")
        self.copy("configs/tiny/tokenizer", "in/tokenizer")
        for source, name in [("tiny/tiny.jsonl", "tiny.jsonl"), ("tiny/tiny_eval.jsonl", "held/tiny_eval.jsonl"),
                             ("models/tiny.json", "model.json")]:
            self.write("in/" + name, self.read("configs/" + source))

    def test_weights_that_are_not_finite_replace_nothing(self):
        lr = ["train.optimizer.lr=1e39", "train.optimizer.warmup=0", "train.optimizer.schedule=constant", "train.optimizer.clip=1e30", "output.save_every=1"]
        for ranks in [1, 2]:
            with self.subTest(ranks=ranks):
                run = f"nan-{ranks}"
                result = self.train(*lr, "train.steps=1", run=run, ranks=ranks)
                self.assertEqual(result.code, NON_FINITE, result.stderr)
                self.assertIn("not finite", result.errors()[0])
                self.assertEqual(self.whole_folders(run), [])

    def test_a_held_out_loss_that_is_not_finite_replaces_nothing(self):
        """Weights that overflow when they are used, after a save of good ones."""
        result = self.train("train.optimizer.lr=1e25", "train.optimizer.warmup=0", "train.optimizer.schedule=constant",
                             "train.steps=1", run="big")
        self.assertEqual(result.code, NON_FINITE, result.stderr)
        self.assertNotIn("best", self.whole_folders("big"))

    def test_a_disk_without_room_is_refused_before_the_first_step(self):
        size = len(self.read("reference/model/model.safetensors")) if self.reference() else 0
        for free, code in [(9 * size, CANNOT_WRITE), (11 * size, 0)]:  # a save, the best, the model; two checkpoints with moments
            result = self.train(free=str(free))
            self.assertEqual(result.code, code, result.stderr)
            self.assertEqual(os.path.exists(self.path("run")), code == 0)
            if code:
                self.assertIn("MiB are needed for 1 saves, the checkpoints and the final model", result.errors()[0])


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
"""A step that is not finite, or ranks that are not the same any more: the run stops, leaves the step out, or goes back to a checkpoint,
as train.guard says; and what it goes on with is, bit by bit, what it would have had without."""
import json
import os
import signal
import struct
import subprocess
import sys
import time
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import MARK, TrainingTest, change_memory, pack_safetensors, processes_of, tensor_bytes  # noqa: E402

GOLDEN = "goldens/llava-clip-llama"
INTERNAL, NON_FINITE = 70, 76
EXACT = ["step", "epoch", "loss", "grad_norm", "lr", "tokens", "samples_seen", "tokens_seen", "skipped", "spikes"]
CONSTANT = "train.optimizer.groups=[{parameters: '*lm_head*', lr: 0, weight_decay: 0}]"


class GuardsTest(TrainingTest):
    def setUp(self):
        super().setUp()
        self.write("run.yaml", f"model: {{from: {GOLDEN}/model}}\n"
                   "train: {tokens_per_step: 4096, optimizer: {lr: 1.0e-3}}\nparallel: {sequence: 1}\nmemory: {micro_batch_tokens: 47}\n")
        good = tensor_bytes(self.read(GOLDEN + "/batch.safetensors"))
        self.write("good.safetensors", pack_safetensors(good))
        self.write("other.safetensors", self.read(GOLDEN + "/batch2.safetensors"))
        dtype, shape, pixels = good["pixel_values"]
        self.write("bad.safetensors", pack_safetensors({**good, "pixel_values": (dtype, shape, pixels[:-4] + struct.pack("<f", float("inf")))}))

    def arguments(self, run, batches, steps, *overrides):
        names = ", ".join(f"{name}.safetensors" for name in batches)
        return ["train", "run.yaml", f"data.train=[{{tensors: [{names}]}}]", f"train.steps={steps}", f"output.dir={run}", *overrides]

    def train(self, run, batches, steps, *overrides, code=0, ranks=1, says=()):
        result = self.run_longsight(*self.arguments(run, batches, steps, *overrides), ranks=ranks)
        self.assertEqual(result.code, code, result.stderr)
        self.assertEqual(len(result.errors()), 1 if code else 0, result.stderr)
        for text in says:
            self.assertIn(text, result.errors()[0] if code else result.stderr)
        return result

    def lines(self, run):
        return [{key: line[key] for key in EXACT} for line in map(json.loads, self.read(run + "/metrics.jsonl").splitlines())]

    def assert_same_weights(self, run, reference):
        weights, others = (tensor_bytes(self.read(folder + "/model/model.safetensors")) for folder in (run, reference))
        self.assertEqual([name for name in others if weights[name] != others[name]], [])

    def facts(self, run):
        return json.loads(self.read(run + "/run.json"))

    # a step that is not finite

    def test_it_stops_the_run_with_rank_micro_batch_and_sample(self):
        for ranks in [1, 3]:
            with self.subTest(ranks=ranks):
                result = self.train(f"run-{ranks}", ["good", "bad"], 4, code=NON_FINITE, ranks=ranks, says=[
                    "step 2: loss nan and gradient norm nan: rank ", "loss and gradients in micro-batch ",
                    "bad.safetensors: row 1)", "nothing was updated", "train.guard.on_fault=skip"])
                self.assertNotIn("ranks", result.errors()[0])
                self.assertEqual([line["step"] for line in self.lines(f"run-{ranks}")], [1])

    def test_left_out_the_run_is_the_one_that_never_had_it(self):
        for ranks in [1, 3]:
            with self.subTest(ranks=ranks):
                run, reference = f"run-{ranks}", f"reference-{ranks}"
                self.train(run, ["good", "bad", "other"], 3, "train.guard.on_fault=skip", ranks=ranks,
                           says=["step 2: loss nan", "no update, its 3 samples are left out (so far 1 in a row, 1 in all)"])
                self.train(reference, ["good", "other"], 2, ranks=ranks)
                self.assert_same_weights(run, reference)
                lines = self.lines(run)
                self.assertEqual([line["step"] for line in lines], [1, 2, 3])
                self.assertEqual([line["skipped"] for line in lines], [0, 1, 1])
                self.assertEqual([line["samples_seen"] for line in lines], [3, 6, 8])
                self.assertIsNone(lines[1]["loss"])
                self.assertEqual(lines[2]["loss"], self.lines(reference)[1]["loss"])

    def test_what_was_left_out_counts_after_a_restart_too(self):
        skip = ["train.guard.on_fault=skip", "output.checkpoint_every=1"]
        few, many = [*skip, "train.guard.skips=2"], [*skip, "train.guard.skips=9"]
        self.train("reference", ["good", "bad"], 8, *many)
        says = ["step 6: loss nan", "2 such steps were left out before", "train.guard.skips"]
        self.train("run", ["good", "bad"], 8, *few, code=NON_FINITE, says=says)
        result = self.train("run", ["good", "bad"], 8, *few, code=NON_FINITE, says=says)
        self.assertIn("goes on behind step 5", result.stderr)
        # How many there may be is free to change.
        self.train("run", ["good", "bad"], 8, *many, says=["goes on behind step 5", "(so far 1 in a row, 4 in all)"])
        self.assert_same_weights("run", "reference")
        self.assertEqual(self.lines("run"), self.lines("reference"))

    def test_too_many_in_a_row_end_the_run(self):
        self.train("run", ["good", "bad", "bad", "bad"], 8, "train.guard.on_fault=skip", "train.guard.skips_in_a_row=2",
                   code=NON_FINITE, says=["step 4: loss nan", "2 such steps in a row", "train.guard.skips_in_a_row"])
        self.assertEqual([line["step"] for line in self.lines("run")], [1, 2, 3])
        self.train("none", ["good", "bad"], 8, "train.guard.on_fault=skip", "train.guard.skips=0", code=NON_FINITE)

    def test_what_does_not_pass_ends_a_run_that_goes_back(self):
        back = "train.guard.on_fault=rollback"
        for ranks in [1, 2]:
            run = f"run-{ranks}"
            result = self.train(run, ["good", "other", "bad"], 5, back, "output.checkpoint_every=1", code=NON_FINITE, ranks=ranks,
                                says=["step 3: loss nan", "(again, after the run had gone back"])
            self.assertIn("goes on behind step 2", result.stderr)
            self.assertEqual([line["step"] for line in self.lines(run)], [1, 2])
            self.assertEqual([(back["step"], back["to"]) for back in self.facts(run)["rolled_back"]], [(3, 2)])
        self.train("none", ["good", "bad"], 5, back, code=NON_FINITE, says=["no checkpoint of up to step 1 to go back to"])

    # what passes: memory of a rank that changes

    def disturbed(self, run, begin, *overrides, code=0, rank=1):
        """A run of three ranks; in the memory of one, a weight that training leaves as it is begins with other bytes from some step
        on, behind the checkpoint of step 50."""
        _, _, data = tensor_bytes(self.read(GOLDEN + "/model/model.safetensors"))["language_model.lm_head.weight"]
        mark = uuid.uuid4().hex
        job = subprocess.Popen([self.mpirun, "-n", "3", self.binary, *self.arguments(run, ["good", "other"], 200, *overrides)],
                               cwd=self.folder, env={**os.environ, MARK: mark}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        checkpoints, end, changed = self.path(run, "checkpoints"), time.monotonic() + self.seconds, 0
        try:
            while changed == 0:
                self.assertIsNone(job.poll(), "the run ended before a weight was found in memory")
                self.assertLess(time.monotonic(), end, "the weights are not to be found in memory")
                if not os.path.exists(os.path.join(checkpoints, "step-00000050")):
                    time.sleep(0.005)
                    continue
                pid = next(pid for pid in processes_of(mark) if self.is_rank(pid, rank))
                os.kill(pid, signal.SIGSTOP)
                try:  # not in a copy that is being written
                    if not any(".tmp-" in name for name in os.listdir(checkpoints)):
                        changed = change_memory(pid, data[:256], begin(data))
                finally:
                    os.kill(pid, signal.SIGCONT)
            _, stderr = job.communicate(timeout=self.seconds)
        finally:
            if job.poll() is None:
                job.send_signal(signal.SIGTERM)
                job.communicate()
        self.assertEqual(job.returncode, code, stderr)
        return stderr

    def is_rank(self, pid, rank):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environment:
                return (os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(self.binary) and
                        f"OMPI_COMM_WORLD_RANK={rank}".encode() in environment.read().split(b"\0"))
        except OSError:
            return False

    @unittest.skipIf("ASAN_OPTIONS" in os.environ, "a sanitizer maps more memory than can be searched while a rank stands still")
    def test_a_weight_that_changed_on_one_rank_is_as_it_was_after_going_back(self):
        common = [CONSTANT, "train.check_replicas=25", "output.checkpoint_every=50"]
        self.train("reference", ["good", "other"], 200, *common, ranks=3)
        kinds = {"bit": (lambda data: bytes([data[0] ^ 1]), "lm_head.weight is not the same on all ranks of group world: rank 1 of 3 differs"),
                 "nan": (lambda data: struct.pack("<f", float("nan")), "loss nan and gradient norm nan: rank 1 (loss and gradients in micro-batch 1 of")}
        for name, (begin, says) in kinds.items():
            with self.subTest(name=name):
                stderr = self.disturbed(name, begin, *common, "train.guard.on_fault=rollback")
                self.assertIn(says, stderr)
                self.assertIn("the run goes back to a checkpoint", stderr)
                back, = self.facts(name)["rolled_back"]
                self.assertEqual(back["to"] % 50, 0)
                self.assertLessEqual(back["step"] - back["to"], 60)
                self.assert_same_weights(name, "reference")
                self.assertEqual(self.lines(name), self.lines("reference"))
        # One that was written after the bit had flipped, with the flipped bit, is not gone back to.
        stderr = self.disturbed("late", kinds["bit"][0], *common, "train.guard.on_fault=rollback", "train.check_replicas=50", "output.checkpoint_minutes=0.0005",
                                "output.keep=99", rank=2)
        self.assertIn("rank 2 of 3 differs", stderr)
        self.assertTrue(any(".aside-" in name for name in os.listdir(self.path("late/checkpoints"))), stderr)
        self.assert_same_weights("late", "reference")
        self.assertEqual(self.lines("late"), self.lines("reference"))
        stderr = self.disturbed("stops", kinds["bit"][0], *common, code=INTERNAL)
        self.assertIn(kinds["bit"][1], stderr)

    # spikes

    def test_a_spike_is_said_and_counted_and_after_a_restart_too(self):
        tensors = tensor_bytes(self.read(GOLDEN + "/batch.safetensors"))
        dtype, shape, labels = tensors["labels"]
        values = struct.unpack(f"<{len(labels) // 8}q", labels)
        self.write("odd.safetensors", pack_safetensors(
            {**tensors, "labels": (dtype, shape, struct.pack(f"<{len(values)}q", *(v if v < 0 else (v * 7 + 13) % 800 for v in values)))}))
        batches, overrides = ["good"] * 150 + ["odd"], ["output.checkpoint_every=60", "output.keep=9", "train.optimizer.lr=3e-3"]
        result = self.train("run", batches, 153, *overrides)
        said = [line[line.index("step "):] for line in result.stderr.splitlines() if "a spike: " in line]
        self.assertEqual(len([line for line in said if line.startswith("step 151: a spike: loss ")]), 1, result.stderr)
        lines = self.lines("run")
        self.assertEqual(lines[150]["spikes"] - lines[149]["spikes"], 1)
        facts = self.facts("run")
        del facts["finished"]
        self.write("run/run.json", json.dumps(facts))
        again = self.train("run", batches, 153, *overrides, says=["goes on behind step 120"])
        self.assertEqual([line[line.index("step "):] for line in again.stderr.splitlines() if "a spike: " in line],
                         [line for line in said if int(line.split()[1].rstrip(":")) > 120])
        self.assertEqual(self.lines("run"), lines)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
"""A run may be killed, stopped or starved of its disk at any moment: started again with the same command it goes on from its last
checkpoint, and ends with the bits and the lines that an undisturbed run has.

By hand, the long forms (scripts/soak.sh checkpoints): LONGSIGHT_KILLS=50 tests/launch/checkpoint_test.py"""
import concurrent.futures
import errno
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import ROOT, Launch, TrainingTest, processes_of, tensor_bytes  # noqa: E402

LIBRARY = os.environ.get("LONGSIGHT_FAILING_IO", os.path.join(ROOT, "build", "host", "tests", "libfailing_io.so"))
KILLS = int(os.environ.get("LONGSIGHT_KILLS", 2))  # of each layout
STOPS = int(os.environ.get("LONGSIGHT_STOPS", 5))  # by signals, at random moments
SEED = int(os.environ.get("LONGSIGHT_SEED", 0))
ALL_LAYOUTS = bool(os.environ.get("LONGSIGHT_ALL_LAYOUTS"))
ALL_FAULTS = bool(os.environ.get("LONGSIGHT_ALL_FAULTS"))
USAGE, BAD_DATA, MISSING, CANNOT_WRITE, STOPPED, CORRUPT = 64, 65, 66, 73, 75, 77
EXACT = ["step", "epoch", "loss", "grad_norm", "lr", "tokens", "visual_tokens", "supervised_tokens", "samples_seen", "tokens_seen",
         "skipped", "spikes"]
LAYOUTS = {"data 4": ["parallel.sequence=1"], "data 2 x sequence 2": ["parallel.sequence=2"], "sequence 4": ["parallel.sequence=4"]}


class CheckpointTest(TrainingTest):
    def arguments(self, run, *overrides, steps=12):
        return ["configs/tiny.yaml", f"train.steps={steps}", "train.tokens_per_step=200", "train.eval_every=4",
                "output.dir=" + run, *overrides]

    def launch(self, run, *overrides, ranks=1, steps=12, environment=None, command=None):
        return Launch(self, self.arguments(run, *overrides, steps=steps), ranks, environment or {}, command)

    def train(self, run, *overrides, code=0, says=(), **options):
        job = self.launch(run, *overrides, **options)
        got = job.wait()
        self.assertEqual(got, code, job.stderr())
        for text in says:
            self.assertIn(text, job.stderr())
        return job

    def lines(self, run, name="metrics.jsonl", keys=EXACT):
        return [{key: line[key] for key in keys if key in line}
                for line in map(json.loads, self.read(f"{run}/{name}").splitlines())]

    def checkpoints(self, run):
        folder = self.path(run, "checkpoints")
        return sorted(name for name in os.listdir(folder) if "." not in name and name != "latest") if os.path.isdir(folder) else []

    def manifest(self, run, name):
        return json.loads(self.read(f"{run}/checkpoints/{name}/manifest.json"))["manifest"]

    def assert_same(self, run, reference):
        """Weights, losses and held-out losses; of the last checkpoint also moments and steps, where both ended at one step."""
        self.assertEqual(tensor_bytes(self.read(run + "/model/model.safetensors")),
                         tensor_bytes(self.read(reference + "/model/model.safetensors")))
        self.assertEqual(self.lines(run), self.lines(reference))
        held_out = ["step", "name", "loss", "samples", "supervised_tokens"]
        self.assertEqual(self.lines(run, "eval.jsonl", held_out), self.lines(reference, "eval.jsonl", held_out))
        self.assertEqual(self.checkpoints(run)[-1:], self.checkpoints(reference)[-1:])
        for name in self.checkpoints(reference)[-1:]:
            ours, theirs = self.manifest(run, name), self.manifest(reference, name)
            self.assertEqual(ours["files"], theirs["files"])  # with the hashes of values and moments
            self.assertEqual(ours["tensors"], theirs["tensors"])
        if os.path.isdir(self.path(run, "checkpoints")):
            self.assertEqual([n for n in os.listdir(self.path(run, "checkpoints")) if ".tmp" in n or ".removed" in n], [])

    # killed

    def kill_until_done(self, layout, seed):
        """Kills random ranks (or all of them at once) at random times until that has been done often enough; a run that ends before is
        followed by another."""
        chance = random.Random(seed)
        overrides = [*LAYOUTS[layout], "output.checkpoint_every=3", "output.keep_best=tiny_eval"]
        name, steps, ranks, killed, number = layout.replace(" ", "-"), 24, 4, 0, 0
        self.train(name + "-reference", *overrides, ranks=ranks, steps=steps)
        while killed < KILLS:
            run, number = f"{name}-{number}", number + 1
            while True:
                # mpirun alone may hang if a rank is killed while it connects.
                job = self.launch(run, *overrides, ranks=ranks, steps=steps, command="run.sh")
                if killed < KILLS:
                    while job.process.poll() is None and not (len(job.ranks()) == ranks and os.path.exists(self.path(run, "metrics.jsonl"))):
                        time.sleep(0.01)
                    # Half of them while it begins, half while it trains.
                    trains = chance.random() < 0.5
                    while trains and job.process.poll() is None and " training " not in job.stderr():
                        time.sleep(0.01)
                    time.sleep(chance.uniform(0, 0.6))
                    pids = job.ranks()
                    # A rank's node, or the power of all.
                    one = chance.random() < 0.5 and pids
                    job.kill([chance.choice(pids)] if one else processes_of(job.mark))
                    killed += bool(pids)
                code = job.wait()
                if code == 0:
                    break
                self.assertIn(code, [137, -9], job.stderr())
            self.assert_same(run, name + "-reference")
            shutil.rmtree(self.path(run))
        return killed, number

    def test_killed_at_any_time_it_ends_as_if_it_had_not_been(self):
        with concurrent.futures.ThreadPoolExecutor(len(LAYOUTS)) as pool:
            results = list(pool.map(self.kill_until_done, LAYOUTS, range(SEED, SEED + len(LAYOUTS))))
        print(f"{sum(killed for killed, _ in results)} kills of {sum(runs for _, runs in results)} runs", file=sys.stderr)

    def test_a_run_goes_on_behind_every_step(self):
        """Also with adapters, frozen parts, weighted sets, and in the place between two epochs."""
        lora = ["model.lora={rank: 2, targets: ['language_model.*.q_proj']}", "model.freeze=[]"]
        mixed = ["data.train=[{messages: configs/tiny/tiny.jsonl, weight: 2}, {messages: configs/tiny/tiny_eval.jsonl}]",
                 "data.augment.shift=1", "model.train.vision=false"]
        for name, more in {"plain": ["output.save_every=2", "output.keep_best=tiny_eval"], "lora": lora, "mixed": mixed}.items():
            with self.subTest(name=name):
                all_of_them = [*more, "output.checkpoint_every=1", "output.keep=100"]
                self.train(name, *all_of_them)
                for step in [1, 4, 7, 11] if name == "plain" else [6]:
                    run = f"{name}-{step}"
                    shutil.copytree(self.path(name), self.path(run))
                    facts = json.loads(self.read(run + "/run.json"))
                    del facts["finished"]
                    self.write(run + "/run.json", json.dumps(facts))
                    for later in range(step + 1, 12):
                        shutil.rmtree(self.path(run, "checkpoints", f"step-{later:08}"))
                    for gone in ["model", "best", "adapter", *(["saves"] if step < 10 else [])]:
                        shutil.rmtree(self.path(run, gone), ignore_errors=True)
                    self.train(run, *all_of_them, says=[f"goes on behind step {step}:"])
                    self.assert_same(run, name)
                    for folder in ["best", "adapter", "saves/step-00000010"]:
                        self.assertEqual(os.path.isdir(self.path(run, folder)), os.path.isdir(self.path(name, folder)), folder)

    def test_other_ranks_and_layouts_go_on_from_the_same_bits(self):
        """What they read are the bits that were written. The next loss is that of the layout that wrote it, to rounding; to the bit on
        the same one."""
        every = ["output.checkpoint_every=2", "train.eval_every=0", "train.optimizer.schedule=constant"]
        layouts = [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)]
        pairs = [(w, r) for w in layouts for r in layouts] if ALL_LAYOUTS else [*(((1, 1), r) for r in layouts if r != (4, 1)), ((4, 2), (1, 1)), ((4, 2), (4, 2))]
        for (writers, wrote), (ranks, sequence) in pairs:
            source = f"from-{writers}-{wrote}"
            if not os.path.isdir(self.path(source)):
                self.train(source, *every, f"parallel.sequence={wrote}", ranks=writers, steps=3)
                self.train(source + "-end", *every, f"parallel.sequence={wrote}", ranks=writers, steps=2)
            with self.subTest(source=source, ranks=ranks, sequence=sequence):
                run = f"of-{writers}-{wrote}-{ranks}-{sequence}"
                begin = [*every, f"parallel.sequence={sequence}", f"output.resume={source}/checkpoints/step-00000002"]
                self.train(run, *begin, ranks=ranks, steps=3, says=["goes on behind step 2:"])
                (here,), there = self.lines(run), self.lines(source)[2]
                self.assertAlmostEqual(here["loss"], there["loss"], delta=1e-5)
                if (ranks, sequence) == (writers, wrote):
                    self.assertEqual(here, there)
                    self.assertEqual(self.read(run + "/model/model.safetensors"), self.read(source + "/model/model.safetensors"))
                if ALL_LAYOUTS:  # without a step between
                    self.train(run + "-end", *begin, ranks=ranks, steps=2)
                    self.assertEqual(self.read(run + "-end/model/model.safetensors"), self.read(source + "-end/model/model.safetensors"))

    def test_every_zero_stage_ends_with_the_same_bits_and_goes_on_from_any_other(self):
        """With one micro-batch a step and rank, so that sums are made in the same order."""
        lora = ["model.lora={rank: 2, targets: ['language_model.*.q_proj']}"]
        for name, more, stages in [("whole", [], [1, 2, 3]), ("lora", lora, [3])]:
            every = [*more, "memory.micro_batch_tokens=~", "output.checkpoint_every=2", "output.save_every=4", "output.keep=9",
                     "output.keep_best=tiny_eval"]
            self.train(f"{name}-0", *every, "parallel.zero=0", "parallel.sequence=1", ranks=3, steps=8)
            for stage in stages:
                with self.subTest(name=name, stage=stage):
                    run = f"{name}-{stage}"
                    self.train(run, *every, f"parallel.zero={stage}", "parallel.sequence=1", ranks=3, steps=8)
                    self.assert_same(run, f"{name}-0")
                    for file in ["best/model.safetensors" if name == "whole" else "adapter/adapter_model.safetensors",
                                 "saves/step-00000004/" + ("" if name == "whole" else "adapter_") + "model.safetensors"]:
                        self.assertEqual(self.read(f"{run}/{file}"), self.read(f"{name}-0/{file}"))
                    facts = json.loads(self.read(run + "/run.json"))
                    del facts["finished"]
                    self.write(run + "/run.json", json.dumps(facts))
                    for gone in ["checkpoints/step-00000006", "checkpoints/step-00000008", "model", "adapter"]:
                        shutil.rmtree(self.path(run, gone), ignore_errors=True)
                    other = stage % 3 + 1
                    self.train(run, *every, f"parallel.zero={other}", "parallel.sequence=1", ranks=3, steps=8,
                               says=["goes on behind step 4:", f"; zero: {other}"])
                    self.assert_same(run, f"{name}-0")
                    held_out = [self.run_longsight("eval", run, "--json", f"parallel.zero={zero}", ranks=2) for zero in [0, 3]]
                    self.assertEqual([result.code for result in held_out], [0, 0], held_out[1].stderr)
                    self.assertEqual(held_out[0].stdout, held_out[1].stdout)

    def test_in_bf16_it_goes_on_with_the_same_bits_and_either_precision_from_the_others_checkpoint(self):
        every = ["memory.micro_batch_tokens=~", "output.checkpoint_every=2", "output.keep=9", "parallel.sequence=1"]
        half = [*every, "train.precision=bf16"]
        self.train("half", *half, "parallel.zero=0", ranks=3, steps=6)
        self.assertEqual(json.loads(self.read("half/plan.json"))["precision"], "bf16")
        held_out = self.run_longsight("eval", "half", "--json", ranks=2)
        self.assertEqual(held_out.code, 0, held_out.stderr)
        self.assertAlmostEqual(json.loads(held_out.stdout)["loss"], self.lines("half", "eval.jsonl", ["loss"])[-1]["loss"], delta=1e-2)
        for stage, then in [(0, 0), (1, 2), (2, 3), (3, 1)]:
            with self.subTest(stage=stage, then=then):
                run = f"half-{stage}"
                self.train(run, *half, f"parallel.zero={stage}", ranks=3, steps=6)
                self.assert_same(run, "half")
                facts = json.loads(self.read(run + "/run.json"))
                del facts["finished"]
                self.write(run + "/run.json", json.dumps(facts))
                for gone in ["checkpoints/step-00000004", "checkpoints/step-00000006", "model"]:
                    shutil.rmtree(self.path(run, gone), ignore_errors=True)
                self.train(run, *half, f"parallel.zero={then}", ranks=3, steps=6, says=["goes on behind step 2:"])
                self.assert_same(run, "half")
        self.train("whole", *every, ranks=3, steps=6)
        for run, begin, precision in [("to-whole", "half", "f32"), ("to-half", "whole", "bf16")]:
            self.train(run, *every, f"train.precision={precision}", f"output.resume={begin}/checkpoints/step-00000002", ranks=3, steps=6,
                       says=["goes on behind step 2:"])
            # Of the same masters: what differs is the rounding of one pass, of logits to 1/256.
            self.assertAlmostEqual(self.lines(run)[0]["loss"], self.lines(begin)[2]["loss"], delta=0.03)
            self.assertNotEqual(self.lines(run)[0]["loss"], self.lines(begin)[2]["loss"])

    def test_the_same_seed_gives_the_same_bits_twice(self):
        for run in ["one", "two"]:
            self.train(run, "output.checkpoint_every=5", ranks=2)
        self.assert_same("one", "two")

    # which checkpoint

    def unfinished(self, run, *overrides, **options):
        """A run that has lost its end, with its checkpoints."""
        self.train(run, "output.checkpoint_every=2", "output.keep=9", *overrides, **options)
        facts = json.loads(self.read(run + "/run.json"))
        del facts["finished"]
        self.write(run + "/run.json", json.dumps(facts))
        shutil.rmtree(self.path(run, "model"))
        return run

    def again(self, run, *overrides, **options):
        return self.train(run, "output.checkpoint_every=2", "output.keep=9", *overrides, **options)

    def flip(self, name, at):
        data = bytearray(self.read(name))
        data[at] ^= 4
        self.write(name, bytes(data))

    def test_a_damaged_checkpoint_is_refused_and_the_one_before_taken(self):
        self.train("reference", "output.checkpoint_every=2", "output.keep=9", steps=6)
        self.unfinished("run", steps=6)
        share = "rank-00000-of-00001.safetensors"
        self.flip(f"run/checkpoints/step-00000004/{share}", 5000)
        for ranks in [1, 2]:
            shutil.copytree(self.path("run"), self.path(f"run-{ranks}"))
        job = self.again("run-1", steps=6, says=["goes on behind step 2:", "step-00000004 is refused", share, "its hash is"])
        self.assertEqual(self.lines("run-1"), self.lines("reference"))
        self.assertNotIn("step-00000002 is refused", job.stderr())
        self.again("run-2", steps=6, ranks=2, says=["goes on behind step 2:", "step-00000004 is refused"])
        os.truncate(self.path("run/checkpoints/step-00000002/manifest.json"), 700)
        before = self.read(f"run/checkpoints/step-00000002/{share}")
        for ranks in [1, 2]:
            self.again("run", steps=6, ranks=ranks, code=CORRUPT, says=["no whole checkpoint is left (2 refused", "output.resume=none"])
        self.assertEqual(self.read(f"run/checkpoints/step-00000002/{share}"), before)
        self.again("run", "output.resume=none", steps=6, says=["run held a run already: moved to run.1"])
        self.assert_same("run", "reference")

    def test_a_finished_run_and_one_without_checkpoints_make_room(self):
        self.train("run", "output.checkpoint_every=2", steps=4)
        self.train("run", steps=4, says=["run has finished: another run begins", "moved to run.1"])
        facts = json.loads(self.read("run/run.json"))
        del facts["finished"]
        self.write("run/run.json", json.dumps(facts))
        self.train("run", steps=4, says=["run has no checkpoint to go on from", "moved to run.2"])

    def test_another_configuration_model_or_data_are_refused_by_name(self):
        self.write("data.jsonl", self.read("configs/tiny/tiny.jsonl"))
        shutil.copytree(self.path("configs/tiny/png"), self.path("png"))
        shutil.copytree(self.path("configs/tiny/tokenizer"), self.path("tokenizer"))
        frozen = ["data.train=[{messages: data.jsonl}]", "model.tokenizer=tokenizer", "model.train.vision=false", "train.eval_every=0"]
        self.unfinished("run", *frozen, steps=6)
        for override, says, code in [
                ("train.optimizer.lr=1e-3", "train.optimizer.lr is 0.003 there, but 0.001 now", USAGE),
                ("train.seed=2", "train.seed is 1 there, but 2 now", USAGE),
                ("train.steps=7", "train.steps is 6 there, but 7 now", USAGE),
                ("data.augment.shift=1", "data.augment.shift is 0 there, but 1 now", USAGE),
                ("model.train.vision=true", "model.train.vision is false there, but true now", USAGE)]:
            with self.subTest(override=override):
                job = self.again("run", *frozen, override, steps=6, code=code, says=[says, "--force", "output.resume=none"])
                self.assertEqual(len(re.findall("error: ", job.stderr())), 1)
        for name, says in [("data.jsonl", "the content of data.train.0 is 18 samples with hash"), ("tokenizer/tokenizer_config.json", "tokenizer_config.json is")]:
            with self.subTest(name=name):
                kept = self.read(name)
                self.write(name, kept.replace(b"What", b"That") if name.startswith("data") else kept.replace(b"{", b"{ ", 1))
                self.again("run", *frozen, steps=6, code=BAD_DATA, says=[says, "--force"])
                self.write(name, kept)
        self.assertEqual(len(self.lines("run")), 6)  # nothing was touched
        self.again("run", *frozen, "train.optimizer.lr=1e-3", "--force", steps=6,
                   says=["--force: train.optimizer.lr is 0.003 there, but 0.001 now", "goes on behind step 4:"])
        self.assertEqual([line["step"] for line in self.lines("run")], [1, 2, 3, 4, 5, 6])

    def test_where_files_lie_and_what_is_written_when_may_change(self):
        self.train("reference", "output.checkpoint_every=2", "output.keep=9", "train.eval_every=0", steps=6)
        self.unfinished("run", "train.eval_every=0", steps=6)
        self.write("elsewhere/tiny.jsonl", self.read("configs/tiny/tiny.jsonl"))
        shutil.copytree(self.path("configs/tiny/png"), self.path("elsewhere/png"))
        shutil.move(self.path("run"), self.path("moved"))
        self.again("moved", "train.eval_every=0", "data.train=[{messages: elsewhere/tiny.jsonl}]", "output.save_every=3",
                   "train.check_replicas=1", steps=6, says=["goes on behind step 4:"])
        self.assert_same("moved", "reference")

    def test_a_path_is_where_it_begins(self):
        self.unfinished("run", steps=8)
        self.train("other", "output.checkpoint_every=3", "output.resume=run/checkpoints/step-00000004", steps=8,
                   says=["goes on behind step 4:"])
        self.assertEqual(self.lines("other"), self.lines("run")[4:])
        self.assertEqual(json.loads(self.read("other/run.json"))["began_from"], os.path.realpath(self.path("run/checkpoints/step-00000004")))
        # The same command goes on with the run that it began.
        facts = json.loads(self.read("other/run.json"))
        del facts["finished"]
        self.write("other/run.json", json.dumps(facts))
        self.train("other", "output.checkpoint_every=3", "output.resume=run/checkpoints/step-00000004", steps=8,
                   says=["other began from run/checkpoints/step-00000004: it goes on", "goes on behind step 6:"])
        self.assertEqual(self.lines("other"), self.lines("run")[4:])
        # The newest of a run; and back to an earlier one of its own, with what lay behind it set aside.
        self.train("newest", "output.resume=run", steps=8, says=["goes on behind step 6:"])
        whole = self.lines("run")
        self.again("run", "output.resume=run/checkpoints/step-00000002", steps=8, says=["goes on behind step 2:", "step-00000006.aside-1"])
        self.assertEqual(self.lines("run"), whole)
        self.train("none", "output.resume=nowhere", steps=8, code=MISSING, says=["nowhere: no such folder"])
        self.train("none", "output.resume=configs", steps=8, code=MISSING, says=["configs: it has no checkpoint"])

    def test_lines_that_were_changed_cost_a_warning(self):
        reference = self.unfinished("run", steps=6)
        lines = self.read("run/metrics.jsonl").splitlines(keepends=True)
        for name, content in {"gone": None, "torn": b"".join(lines)[:-30], "shorter": b"".join(lines[:3]) + lines[3][:20],
                              "other": b"".join(lines).replace(b"loss", b"Loss", 1)}.items():
            with self.subTest(name=name):
                shutil.copytree(self.path(reference), self.path(name))
                os.remove(self.path(name, "metrics.jsonl"))
                if content is not None:
                    self.write(name + "/metrics.jsonl", content)
                job = self.again(name, steps=6, says=["goes on behind step 4:"])
                self.assertEqual("is not as it was" in job.stderr(), name != "torn", job.stderr())
                steps = {"gone": [5, 6], "shorter": [1, 2, 3, 5, 6]}.get(name, [1, 2, 3, 4, 5, 6])
                self.assertEqual([line["step"] for line in self.lines(name)], steps)

    def test_old_ones_are_removed_and_marked_ones_stay(self):
        self.train("run", "output.checkpoint_every=2", "output.keep=2", "output.keep_every=6", steps=14)
        self.assertEqual([int(name[5:]) for name in self.checkpoints("run")], [6, 10, 12])
        self.assertEqual(self.read("run/checkpoints/latest"), b"step-00000012\n")

    def test_ten_minutes_are_a_number(self):
        self.train("run", "output.checkpoint_minutes=0.0000001", "output.keep=99", steps=8)
        self.assertGreaterEqual(len(self.checkpoints("run")), 6)
        self.train("never", "output.checkpoint_minutes=0", steps=8)
        self.assertEqual(self.checkpoints("never"), [])

    # disks

    def faulty(self, run, fault, rank=None, ranks=1, **more):
        names = {"LD_PRELOAD": LIBRARY, "LONGSIGHT_FAIL": fault, "LONGSIGHT_FAIL_UNDER": self.path(run, "checkpoints"), **more}
        arguments = self.arguments(run, "output.checkpoint_every=2", "output.keep=1", "train.eval_every=0", steps=6)
        return Launch(self, arguments, ranks, names) if rank is None else self.launch_on_one_rank(rank, ranks, names, arguments)

    def launch_on_one_rank(self, rank, ranks, names, arguments):
        """A variable of the environment on one rank alone: its own part of the command line."""
        if ranks == 1:
            return Launch(self, arguments, 1, names)
        preload = ["env", *(f"{key}={value}" for key, value in names.items())]
        parts = [["-n", "1", *(preload if r == rank else []), self.binary, "train", *arguments] for r in range(ranks)]
        command = [self.mpirun, *parts[0], *[word for part in parts[1:] for word in [":", *part]]]
        return Launch(self, None, ranks, {}, command)

    def calls(self, ranks=1, run="reference"):
        """An undisturbed run, and how often a rank calls what, at most."""
        job = self.faulty(run, "", ranks=ranks, LONGSIGHT_FAIL_COUNTS=self.path("counts-" + run))
        self.assertEqual(job.wait(), 0, job.stderr())
        found = {}
        for line in self.read("counts-" + run).decode().splitlines():
            for name, number in re.findall(r"(\w+) (\d+)", line):
                found[name] = max(found.get(name, 0), int(number))
        return found

    def places(self, calls, each):
        """(operation, k): all of them, or `each` of an operation, evenly spread."""
        for operation, number in calls.items():
            if operation == "read":
                continue  # what is written is read again, and nothing hangs on it before its commit
            count = number if ALL_FAULTS else min(each, number)
            for i in range(count):
                yield operation, 1 + (i * (number - 1) // max(count - 1, 1) if not ALL_FAULTS else i)

    def test_killed_within_a_call_of_a_save_it_goes_on(self):
        calls, tried = self.calls(), 0
        for operation, k in self.places(calls, 2):
            with self.subTest(operation=operation, k=k):
                run = f"{operation}-{k}"
                job = self.faulty(run, f"{operation}:{k}:kill")
                self.assertEqual(job.wait(), -9, job.stderr())
                tried += 1
                again = self.faulty(run, "")
                self.assertEqual(again.wait(), 0, again.stderr())
                self.assertNotIn("refused", again.stderr())
                self.assert_same(run, "reference")
        # One of two ranks; the other one calls less.
        every = self.places(self.calls(2, "reference-2"), 2)
        for rank, operation, k in [(r, o, k) for o, k in every for r in [0, 1]] if ALL_FAULTS else [(0, "rename", 4), (1, "fsync", 2), (1, "write", 1)]:
            with self.subTest(rank=rank, operation=operation, k=k):
                run = f"rank-{rank}-{operation}-{k}"
                job = self.faulty(run, f"{operation}:{k}:kill", rank=rank, ranks=2)
                code = job.wait()
                self.assertIn(code, [0, 137] if ALL_FAULTS and rank == 1 else [137], job.stderr())
                if code == 137:
                    again = self.faulty(run, "", ranks=2)
                    self.assertEqual(again.wait(), 0, again.stderr())
                    self.assertNotIn("refused", again.stderr())
                self.assert_same(run, "reference-2")
                tried += code == 137
        print(f"{tried} kills within a save", file=sys.stderr)

    def test_a_save_that_fails_leaves_the_one_before_and_training_goes_on(self):
        calls, tried = self.calls(), 0
        kinds = [errno.EIO, errno.ENOSPC, errno.EDQUOT, "short"]
        for position, (operation, k) in enumerate(self.places(calls, 2)):
            kind = kinds[position % 4] if operation == "write" else kinds[position % 3]
            with self.subTest(operation=operation, k=k, kind=kind):
                run = f"{operation}-{k}"
                job = self.faulty(run, f"{operation}:{k}:{kind}")
                self.assertIn(job.wait(), [0, CANNOT_WRITE] if operation == "unlink" else [CANNOT_WRITE], job.stderr())
                self.assertEqual(self.read(run + "/model/model.safetensors"), self.read("reference/model/model.safetensors"))
                self.assertEqual(self.lines(run), self.lines("reference"))
                self.assertTrue(self.checkpoints(run))
                self.assertEqual([n for n in os.listdir(self.path(run, "checkpoints")) if ".tmp" in n and operation != "unlink"], [])
                tried += 1
        # What a signal interrupts is done again.
        for call in ["write:2", "open:2"]:
            job = self.faulty(call.replace(":", "-interrupted-"), f"{call}:{errno.EINTR}")
            self.assertEqual(job.wait(), 0, job.stderr())
        job = self.faulty("full", "", LONGSIGHT_FAIL_FREE="1000000000")
        self.assertEqual(job.wait(), 0, job.stderr())
        job = self.faulty("on-one", "fsync:1:5", rank=1, ranks=2)
        self.assertEqual(job.wait(), CANNOT_WRITE, job.stderr())
        self.assertIn("a checkpoint failed, the run goes on: cannot write", job.stderr())
        self.assertEqual(self.checkpoints("on-one"), ["step-00000004"])
        print(f"{tried} failed saves", file=sys.stderr)

    def test_a_save_that_fails_stops_the_run_where_that_is_asked_for(self):
        stop = ["output.on_save_failure=stop", "output.checkpoint_every=2", "output.keep=9", "train.eval_every=0"]
        says = "as something could not be written (output.on_save_failure: stop)"
        self.train("reference", *stop, steps=8)
        self.train("reference-2", *stop, steps=8, ranks=2)
        # The second checkpoint, by one rank or by both; a line of the log; a save.
        for name, ranks, rank, under, fault, kept in [
                ("alone", 1, 0, "checkpoints", f"fsync:9:{errno.EIO}", ["step-00000002"]), ("other", 2, 1, "checkpoints", f"write:2:{errno.ENOSPC}", ["step-00000002"]),
                ("lines", 1, 0, "metrics.jsonl", f"write:3:{errno.ENOSPC}", ["step-00000002"]), ("save", 2, 0, "saves", f"rename:2:{errno.EIO}", None)]:
            with self.subTest(name=name):
                overrides = [*stop, *(["output.save_every=4"] if name == "save" else [])]
                names = {"LD_PRELOAD": LIBRARY, "LONGSIGHT_FAIL": fault, "LONGSIGHT_FAIL_UNDER": self.path(name, under)}
                job = self.launch_on_one_rank(rank, ranks, names, self.arguments(name, *overrides, steps=8))
                self.assertEqual(job.wait(), CANNOT_WRITE, job.stderr())
                self.assertIn(says, job.stderr())
                self.assertNotIn("the run goes on", job.stderr())
                self.assertFalse(os.path.exists(self.path(name, "model")))
                self.assertIn(len(self.lines(name)), [2, 3, 4, 5, 6])  # the next checkpoint waits for the one that fails
                self.assertEqual([n for n in os.listdir(self.path(name, "checkpoints")) if ".tmp" in n], [])
                if kept:
                    self.assertEqual(self.checkpoints(name)[:1], kept)
                # The disk is mended: the same command goes on.
                self.train(name, *overrides, steps=8, ranks=ranks, says=["goes on behind step "])
                reference = "reference" if ranks == 1 else "reference-2"
                self.assertEqual(self.read(name + "/model/model.safetensors"), self.read(reference + "/model/model.safetensors"))
                self.assertEqual(self.lines(name), self.lines(reference))

    def test_what_fails_behind_the_last_step_stands_in_no_models_way(self):
        job = self.launch_on_one_rank(0, 1, {"LD_PRELOAD": LIBRARY, "LONGSIGHT_FAIL": f"write:1+:{errno.ENOSPC}",
                                             "LONGSIGHT_FAIL_UNDER": self.path("run/eval.jsonl")},
                                      self.arguments("run", "output.on_save_failure=stop", "train.eval_every=0", steps=2))
        self.assertEqual(job.wait(), CANNOT_WRITE, job.stderr())
        self.assertTrue(os.path.exists(self.path("run/model/model.safetensors")))

    # signals

    HOLD = "touch held; while [ ! -e go ] && [ -d /proc/$PPID ]; do sleep 0.01; done"

    def stop_in_a_call(self, run, call, under, *overrides, ranks=1, kind=signal.SIGUSR1, goes=False, steps=4):
        """A signal to the last rank while a call of a rank waits; `goes`: then the call goes on. The exit code and the seconds to the end."""
        for left in ["held", "go"]:
            if os.path.exists(self.path(left)):
                os.remove(self.path(left))
        names = {"LD_PRELOAD": LIBRARY, "LONGSIGHT_FAIL": call + ":run", "LONGSIGHT_FAIL_UNDER": self.path(under),
                 "LONGSIGHT_FAIL_COMMAND": self.HOLD}
        job = self.launch_on_one_rank(0, ranks, names, self.arguments(run, *overrides, steps=steps))
        while not os.path.exists(self.path("held")):
            self.assertIsNone(job.process.poll(), "it ended before that call\n" + job.stderr())
            time.sleep(0.005)
        pids = job.by_rank() if ranks > 1 else {0: job.ranks()[0]}
        job.kill([pids[max(pids)]], kind)
        start = time.monotonic()
        time.sleep(0.05)
        if goes:
            self.write("go", "")
        return job, job.wait(), time.monotonic() - start

    def inputs(self):
        """Of the test's own, so that their paths are no links: the tiny data, whose held-out pictures are in a folder of theirs, and
        weights to read."""
        shutil.copytree(self.path("configs/tiny"), self.path("in"))
        shutil.copytree(self.path("configs/tiny/png"), self.path("in/held"))
        self.write("in/tiny_eval.jsonl", self.read("in/tiny_eval.jsonl").replace(b"png/", b"held/", 1))
        shutil.copytree(self.path("goldens/llava-clip-llama/model"), self.path("start"))
        return ["data.train=[{messages: in/tiny.jsonl}]", "data.eval=[{messages: in/tiny_eval.jsonl}]"]

    def test_before_the_first_step_a_signal_ends_the_job_at_once(self):
        """However long data or weights take to be read, and though only one of the ranks has been asked."""
        inputs = self.inputs()
        self.unfinished("before", *inputs, steps=8)
        newest = "before/checkpoints/step-00000006"
        for name, run, call, under, overrides, kind in [
                ("picture", "none", "read:1", "in/png", [], signal.SIGUSR1), ("samples", "none", "read:1", "in/tiny.jsonl", [], signal.SIGTERM),
                # The first time, it is looked at what the file holds.
                ("weights", "none", "read:2", "start/model.safetensors", ["model={from: start}"], signal.SIGUSR1),
                ("checkpoint", "before", "read:1", newest + "/rank-", [], signal.SIGUSR1),
                ("values", "before", "read:2", newest + "/rank-", [], signal.SIGUSR1)]:
            for ranks in [1, 2]:
                with self.subTest(name=name, ranks=ranks):
                    before = {n: self.read(newest + "/" + n) for n in os.listdir(self.path(newest))}
                    job, code, seconds = self.stop_in_a_call(run, call, under, *inputs, "output.checkpoint_every=2", "output.keep=9",
                                                             *overrides, ranks=ranks, kind=kind, steps=8)
                    self.assertEqual(code, STOPPED, job.stderr())
                    if ranks == 1:  # of two the first one, which speaks, is ended by the launcher
                        self.assertIn("stopped before the first step by " + kind.name, job.stderr())
                    self.assertLess(seconds, 4)
                    self.assertFalse(os.path.exists(self.path("none")))
                    self.assertEqual({n: self.read(newest + "/" + n) for n in os.listdir(self.path(newest))}, before)

    def test_asked_within_a_save_or_an_evaluation_it_stops_behind_that_step(self):
        inputs = self.inputs()
        lora = ["model.lora={rank: 2, targets: ['language_model.*.q_proj']}", "model.freeze=[]"]
        for kind, more in {"plain": [], "lora": lora}.items():
            common, reference = [*inputs, *more, "output.checkpoint_every=2", "train.eval_every=3"], "reference-" + kind
            job = self.launch_on_one_rank(0, 1, {"LD_PRELOAD": LIBRARY, "LONGSIGHT_FAIL_UNDER": self.path("in/held"),
                                                 "LONGSIGHT_FAIL_COUNTS": self.path("counts-" + kind)}, self.arguments(reference, *common, steps=8))
            self.assertEqual(job.wait(), 0, job.stderr())
            # The held-out picture is read once in each evaluation: behind steps 3 and 6, and at the end.
            reads = max(int(n) for n in re.findall(r"read (\d+)", self.read("counts-" + kind).decode()))
            for name, call, under, steps in [("save", "write:1", f"{kind}-save/checkpoints", [2, 3, 4, 5]), ("evaluation", f"read:{reads - 1}", "in/held", [6]),
                                             ("end", f"read:{reads}", "in/held", [8])]:
                run = f"{kind}-{name}"
                with self.subTest(run=run):
                    job, code, _ = self.stop_in_a_call(run, call, under, *common, goes=True, steps=8)
                    self.assertEqual(code, STOPPED, job.stderr())
                    behind = int(re.search(r"stopped behind step (\d+) of 8, with a checkpoint", job.stderr())[1])
                    self.assertIn(behind, steps)
                    self.assertEqual(self.checkpoints(run)[-1], f"step-{behind:08}")
                    self.train(run, *common, steps=8, says=[f"goes on behind step {behind}:"])
                    self.assertEqual(tensor_bytes(self.read(run + "/model/model.safetensors")),
                                     tensor_bytes(self.read(reference + "/model/model.safetensors")))
                    for lines, keys in [("metrics.jsonl", EXACT), ("eval.jsonl", ["step", "name", "loss", "samples"])]:
                        self.assertEqual(self.lines(run, lines, keys), self.lines(reference, lines, keys))

    def stop(self, run, kind, after, ranks=2, again=False, steps=60, overrides=()):
        """A signal to all ranks, as mpirun forwards it. Returns the exit code."""
        job = self.launch(run, "output.checkpoint_every=7", *overrides, ranks=ranks, steps=steps)
        while job.process.poll() is None and len(job.listening()) < ranks:
            time.sleep(0.005)
        time.sleep(after)
        for _ in range(2 if again else 1):
            job.kill(job.ranks(), kind)
        return job, job.wait()

    def test_asked_to_stop_it_saves_and_ends_with_75(self):
        chance = random.Random(5)
        steps, stops = 60, 0
        self.train("reference", "output.checkpoint_every=7", ranks=2, steps=steps)
        runs = 1
        for number in range(STOPS):
            kind = [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT][number % 3]
            job, code = self.stop("run", kind, chance.uniform(0, 0.35), again=number % 2 == 1)
            self.assertIn(code, [0, STOPPED], job.stderr())
            if code == 0:
                self.assertIn("model written", job.stderr())
                runs += 1  # the next launch begins another one
                continue
            stops += 1
            if "stopped before the first step" not in job.stderr():
                behind = re.search(r"stopped behind step (\d+) of", job.stderr())
                self.assertIsNotNone(behind, job.stderr())
                self.assertEqual(self.checkpoints("run")[-1], f"step-{int(behind[1]):08}")
        self.train("run", "output.checkpoint_every=7", ranks=2, steps=steps)
        self.assertEqual(self.read("run/model/model.safetensors"), self.read("reference/model/model.safetensors"))
        self.assertEqual(self.lines("run"), self.lines("reference"))
        self.assertEqual(self.lines("run", "eval.jsonl", ["step", "loss"]), self.lines("reference", "eval.jsonl", ["step", "loss"]))
        self.assertGreaterEqual(stops, 2)
        print(f"{stops} stops in {runs} runs", file=sys.stderr)

    def test_without_room_for_a_checkpoint_a_run_that_is_stopped_does_not_say_it_has_one(self):
        names = {"LD_PRELOAD": LIBRARY, "LONGSIGHT_FAIL": f"mkdir:1+:{errno.ENOSPC}", "LONGSIGHT_FAIL_UNDER": self.path("run/checkpoints")}
        job = self.launch_on_one_rank(0, 2, names, self.arguments("run", steps=100000))
        while job.process.poll() is None and not os.path.exists(self.path("run/metrics.jsonl")):
            time.sleep(0.01)
        job.kill(job.ranks(), signal.SIGUSR1)
        self.assertEqual(job.wait(), CANNOT_WRITE, job.stderr())
        self.assertIn("No space left on device", job.stderr())
        self.assertNotIn("with a checkpoint", job.stderr())

    def test_one_rank_is_enough_and_no_second_signal_changes_anything(self):
        job = self.launch("run", "output.checkpoint_every=1", ranks=3, steps=100000)
        while job.process.poll() is None and len(self.checkpoints("run")) < 2:
            time.sleep(0.01)
        pids = job.ranks()
        # None may interrupt a thread that computes (stop_request.h): one thread waits for them, and there is no handler.
        waiting = 0
        for path in glob.glob(f"/proc/{pids[1]}/task/*/status"):
            with open(path, encoding="utf-8") as file:
                facts = dict(line.split(":", 1) for line in file)
            for kind in [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT]:
                self.assertFalse(int(facts["SigCgt"], 16) >> (kind - 1) & 1, kind)
                waiting += not int(facts["SigBlk"], 16) >> (kind - 1) & 1
        self.assertEqual(waiting, 3)
        for _ in range(20):
            job.kill(pids[1:2], signal.SIGUSR1)
            time.sleep(0.002)
        self.assertEqual(job.wait(), STOPPED, job.stderr())
        self.assertIn("stopped behind step", job.stderr())

    def test_other_verbs_end_when_they_are_told_to(self):
        process = subprocess.Popen([self.binary, "bench", "gemm"], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(5), -signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()

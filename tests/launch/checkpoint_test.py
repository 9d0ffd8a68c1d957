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
        """Kills random ranks (or all of them at once) at random times until that has been done often enough."""
        chance = random.Random(seed)
        run, overrides = layout.replace(" ", "-"), [*LAYOUTS[layout], "output.checkpoint_every=3", "output.keep_best=tiny_eval"]
        steps, ranks = 24, 4
        self.train(run + "-reference", *overrides, ranks=ranks, steps=steps)
        killed = 0
        while True:
            # mpirun alone may hang if a rank is killed while it connects.
            job = self.launch(run, *overrides, ranks=ranks, steps=steps, command="run.sh")
            if killed < KILLS:
                while job.process.poll() is None and not (len(job.ranks()) == ranks and os.path.exists(self.path(run, "metrics.jsonl"))):
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
        self.assert_same(run, run + "-reference")
        return killed, job

    def test_killed_at_any_time_it_ends_as_if_it_had_not_been(self):
        with concurrent.futures.ThreadPoolExecutor(len(LAYOUTS)) as pool:
            results = list(pool.map(self.kill_until_done, LAYOUTS, range(len(LAYOUTS))))
        print(f"{sum(killed for killed, _ in results)} kills", file=sys.stderr)

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
        """The next loss is that of the layout that wrote it, to rounding; to the bit on the same one."""
        every = ["output.checkpoint_every=2", "train.eval_every=0"]
        for writers, wrote in [(1, 1), (4, 2)]:
            source = f"from-{writers}"
            self.train(source, *every, f"parallel.sequence={wrote}", ranks=writers, steps=3)
            for ranks, sequence in [(1, 1), (2, 1), (2, 2), (4, 2), (4, 4)][::1 if writers == 1 else 3]:
                run = f"of-{writers}-{ranks}-{sequence}"
                self.train(run, *every, f"parallel.sequence={sequence}", f"output.resume={source}/checkpoints/step-00000002",
                           ranks=ranks, steps=3, says=["goes on behind step 2:"])
                (here,), there = self.lines(run), self.lines(source)[2]
                self.assertAlmostEqual(here["loss"], there["loss"], delta=1e-5)
                if (ranks, sequence) == (writers, wrote):
                    self.assertEqual(here, there)
                    self.assertEqual(self.read(run + "/model/model.safetensors"), self.read(source + "/model/model.safetensors"))

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
        if rank is None:
            return Launch(self, arguments, ranks, names)
        # On one rank alone: its own part of the command line.
        preload = ["env", *(f"{key}={value}" for key, value in names.items())]
        parts = [["-n", "1", *(preload if r == rank else []), self.binary, "train", *arguments] for r in range(ranks)]
        command = [self.mpirun, *parts[0], *[word for part in parts[1:] for word in [":", *part]]]
        return Launch(self, None, ranks, {}, command)

    def calls(self, ranks=1):
        """An undisturbed run, and how often a rank calls what."""
        job = self.faulty("reference", "", ranks=ranks, LONGSIGHT_FAIL_COUNTS=self.path("counts"))
        self.assertEqual(job.wait(), 0, job.stderr())
        found = {}
        for line in self.read("counts").decode().splitlines():
            for name, number in re.findall(r"(\w+) (\d+)", line):
                found[name] = max(found.get(name, 0), int(number))
        return found

    def places(self, calls, each):
        """(operation, k): all of them, or `each` of an operation, evenly spread."""
        for operation, number in calls.items():
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
        for rank, fault in [(0, "rename:4:kill"), (1, "fsync:2:kill"), (1, "write:1:kill")]:
            with self.subTest(rank=rank, fault=fault):
                run = f"rank-{rank}-{fault}".replace(":", "-")
                job = self.faulty(run, fault, rank=rank, ranks=2)
                self.assertEqual(job.wait(), 137, job.stderr())
                again = self.faulty(run, "", ranks=2)
                self.assertEqual(again.wait(), 0, again.stderr())
                self.assertNotIn("refused", again.stderr())
                self.assertEqual([line["step"] for line in self.lines(run)], [1, 2, 3, 4, 5, 6])
                tried += 1
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
        job = self.faulty("full", "", LONGSIGHT_FAIL_FREE="1000000000")
        self.assertEqual(job.wait(), 0, job.stderr())
        job = self.faulty("on-one", "fsync:1:5", rank=1, ranks=2)
        self.assertEqual(job.wait(), CANNOT_WRITE, job.stderr())
        self.assertIn("a checkpoint failed, the run goes on: cannot write", job.stderr())
        self.assertEqual(self.checkpoints("on-one"), ["step-00000004"])
        print(f"{tried} failed saves", file=sys.stderr)

    # signals

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
        for number in range(2 * KILLS + 1):
            kind = [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT][number % 3]
            job, code = self.stop("run", kind, chance.uniform(0, 0.35), again=number % 2 == 1)
            self.assertIn(code, [0, STOPPED], job.stderr())
            if code == 0:
                self.assertIn("model written", job.stderr())
                break
            stops += 1
            if "stopped before the first step" not in job.stderr():
                behind = re.search(r"stopped behind step (\d+) of", job.stderr())
                self.assertIsNotNone(behind, job.stderr())
                self.assertEqual(self.checkpoints("run")[-1], f"step-{int(behind[1]):08}")
        else:
            self.train("run", "output.checkpoint_every=7", ranks=2, steps=steps)
        self.assertEqual(self.read("run/model/model.safetensors"), self.read("reference/model/model.safetensors"))
        self.assertEqual(self.lines("run"), self.lines("reference"))
        self.assertEqual(self.lines("run", "eval.jsonl", ["step", "loss"]), self.lines("reference", "eval.jsonl", ["step", "loss"]))
        self.assertGreaterEqual(stops, 2)
        print(f"{stops} stops", file=sys.stderr)

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

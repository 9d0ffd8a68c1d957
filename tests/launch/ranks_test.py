#!/usr/bin/python3
"""Ranks that are not alike are found before the first step, or within train.check_replicas steps, by rank and name."""
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import JobTest, change_memory, run_job, tensor_bytes  # noqa: E402

MODEL = "goldens/llava-clip-llama/model"


class RanksTest(JobTest):
    seconds = float(os.environ.get("LONGSIGHT_TEST_SECONDS", 30))

    def setUp(self):
        super().setUp()
        # Rank 1 of three works in a folder of its own, as on a node with a disk of its own.
        for name in ["here", "there"]:
            os.mkdir(self.path(name))
            shutil.copytree(self.path(MODEL), self.path(name, "model"))
            shutil.copy(self.path("configs/tiny/tiny.jsonl"), self.path(name, "data.jsonl"))
            shutil.copytree(self.path("configs/tiny/png"), self.path(name, "png"))
            self.write(name + "/run.yaml", "model: {from: model}\ndata: {train: [{messages: data.jsonl}]}\n"
                       "train: {tokens_per_step: 4096, steps: 2}\noutput: {dir: %s}\n" % self.path("run"))

    def command(self, *overrides, odd=()):
        train = [self.binary, "train", "run.yaml", *overrides]
        here, there = self.path("here"), self.path("there")
        return [self.mpirun, "-n", "1", "--wdir", here, *train, ":", "-n", "1", "--wdir", there, *train, *odd, ":",
                "-n", "1", "--wdir", here, *train]

    def refused(self, code, *words, **options):
        result = run_job(self.command(**options), self.folder, self.seconds)
        self.assertEqual(result.code, code, result.stderr)
        self.assertEqual(len(result.errors()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.errors()[0])
        self.assertFalse(os.path.exists(self.path("run")), "a folder of a run that did not begin")

    def test_ranks_that_are_alike_train(self):
        result = run_job(self.command(), self.folder, self.seconds)
        self.assertEqual(result.code, 0, result.stderr)

    def test_a_key_of_the_configuration(self):
        self.refused(64, "train.optimizer.lr is 0.001 on ranks 0, 2 but 0.002 on rank 1",
                     odd=["train.optimizer.lr=2e-3"])
        self.refused(64, "model.freeze.0 is not there on ranks 0, 2 but lm_head.* on rank 1",
                     odd=["model.freeze=[lm_head.*]"])

    def test_a_file_of_the_tokenizer(self):
        path = self.path("there/model/tokenizer_config.json")
        settings = json.loads(self.read(path))
        settings["padding_side"] = "left" if settings.get("padding_side") != "left" else "right"
        self.write(path, json.dumps(settings))
        self.refused(65, "tokenizer_config.json", "on ranks 0, 2", "on rank 1")

    def test_a_record_of_the_data(self):
        text = self.read("there/data.jsonl")
        self.write("there/data.jsonl", text.replace(b"is", b"si", 1))
        self.refused(65, "data.train (data.jsonl)", "on ranks 0, 2", "on rank 1")

    def test_a_picture(self):
        pictures = sorted(os.listdir(self.path("there/png")))
        # Another picture of the same size; the last sample that has it is said by all who read it.
        record = next(json.loads(line) for line in self.read("there/data.jsonl").splitlines() if b".png" in line)
        name = json.dumps(record).split("png/")[1].split('"')[0]
        other = next(p for p in pictures if p != name)
        shutil.copy(self.path("there/png", other), self.path("there/png", name))
        self.refused(65, "picture 1 of data.jsonl:", "on ranks 0, 2", "on rank 1", "bytes with hash")
        os.remove(self.path("there/png", name))
        self.refused(65, "data.jsonl:", "on ranks 0, 2", "but not there on rank 1")

    def test_a_text_and_a_picture_in_a_shard(self):
        record = json.dumps({"messages": [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "red"}]})
        png = self.read("here/png/red_square.png")

        def shard(name, text, picture):
            with tarfile.open(self.path(name, "data.tar"), "w") as tar:
                for member, content in [("a.json", text.encode()), ("a.png", picture)]:
                    info = tarfile.TarInfo(member)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
            config = self.read(name + "/run.yaml").replace(b"messages: data.jsonl", b"webdataset: [data.tar]")
            self.write(name + "/run.yaml", config)
        shard("here", record, png)
        shard("there", record.replace("red", "rod"), png)
        self.refused(65, "data.tar:a is a text with hash", "on rank 1")
        shard("there", record, png[:-1] + b"x")
        self.refused(65, "picture 1 of data.tar:a", "on rank 1")

    def test_a_weight(self):
        path = self.path("there/model/model.safetensors")
        content = bytearray(self.read(path))
        content[-3] ^= 1
        self.write(path, bytes(content))
        self.refused(70, "parameter ", "is not the same on all ranks", "rank 1 of 3 differs")

    def test_a_bit_that_flips_while_the_run_goes_on(self):
        weights = tensor_bytes(self.read(MODEL + "/model.safetensors"))
        name, (_, _, data) = next(item for item in weights.items() if "embed_tokens" in item[0])
        job = subprocess.Popen(self.command("train.steps=20000", "train.check_replicas=3", "model.freeze=['*embed_tokens*']"),
                               cwd=self.folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            lines = self.path("run/metrics.jsonl")
            end = time.monotonic() + self.seconds
            while not (os.path.exists(lines) and os.path.getsize(lines) > 0):
                self.assertLess(time.monotonic(), end, "the run does not begin")
                time.sleep(0.02)
            pid = next(int(pid) for pid in os.listdir("/proc") if pid.isdigit() and self.is_rank(pid, "1"))
            while change_memory(pid, data[:256], bytes([data[0] ^ 1])) == 0:  # the process may have moved its memory under the search
                self.assertIsNone(job.poll(), "the run ended before a weight was found in memory")
                self.assertLess(time.monotonic(), end, "the weights are not to be found in memory")
            _, stderr = job.communicate(timeout=self.seconds)
        finally:
            if job.poll() is None:
                job.send_signal(signal.SIGTERM)  # mpirun takes its ranks along
                job.communicate()
        self.assertEqual(job.returncode, 70, stderr)
        errors = [line for line in stderr.splitlines() if "error: " in line]
        self.assertEqual(len(errors), 1, errors)
        self.assertIn(f"parameter {name} is not the same on all ranks", errors[0])
        self.assertIn("rank 1 of 3 differs", errors[0])

    def unpacked_files(self, folder):
        """Of all processes: device and inode of what they have open and was unpacked into the folder."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                for name in os.listdir(f"/proc/{pid}/fd"):
                    link = f"/proc/{pid}/fd/{name}"
                    if os.readlink(link).startswith(folder + "/longsight-"):
                        found.setdefault(pid, set()).add((os.stat(link).st_dev, os.stat(link).st_ino))
            except OSError:
                continue
        return found

    def test_packed_data_are_unpacked_once_for_the_ranks_of_a_node_and_leave_nothing(self):
        os.mkdir(self.path("tmp"))
        packed = gzip.compress(self.read("here/data.jsonl"))
        for name in ["here", "there"]:
            self.write(name + "/data.jsonl.gz", packed)
            self.write(name + "/run.yaml", self.read(name + "/run.yaml").replace(b"data.jsonl", b"data.jsonl.gz"))
        train = [self.mpirun, "-x", f"TMPDIR={self.path('tmp')}", "-n", "3", self.binary, "train", "run.yaml", "train.steps=20000"]
        for ended in [signal.SIGTERM, signal.SIGKILL]:
            with subprocess.Popen(train, cwd=self.path("here"), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
                end = time.monotonic() + self.seconds
                while not os.path.exists(self.path("run/metrics.jsonl")):
                    self.assertLess(time.monotonic(), end, "the run does not begin")
                    time.sleep(0.05)
                found = self.unpacked_files(self.path("tmp"))
                for pid in found if ended == signal.SIGKILL else []:
                    os.kill(int(pid), ended)
                job.send_signal(signal.SIGTERM)
                job.wait(self.seconds)
            self.assertEqual(len(found), 3, found)
            self.assertEqual(len(set().union(*found.values())), 1, found)
            self.assertEqual([name for name in os.listdir(self.path("tmp")) if not name.startswith("ompi")], [])
            shutil.rmtree(self.path("run"))
        # Other content under the same name is found as it is without packing.
        self.write("there/data.jsonl.gz", gzip.compress(self.read("here/data.jsonl").replace(b"is", b"si", 1)))
        self.refused(65, "data.train (data.jsonl.gz)", "on ranks 0, 2", "on rank 1")

    def is_rank(self, pid, rank):
        try:
            if os.path.realpath(f"/proc/{pid}/exe") != os.path.realpath(self.binary):
                return False
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read().split(b"\0")
            return (b"OMPI_COMM_WORLD_RANK=" + rank.encode() in environment and
                    os.path.realpath(f"/proc/{pid}/cwd") == os.path.realpath(self.path("there")))
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()

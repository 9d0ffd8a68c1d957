#!/usr/bin/python3
"""A run owns its folder, and the folder is the model that was trained: every verb takes it, from anywhere, and finds in it what
training ended with."""
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import TrainingTest, pack_safetensors, tensor_bytes, tree  # noqa: E402

USAGE, BAD_DATA, MISSING, CANNOT_WRITE = 64, 65, 66, 73
LORA = ["model.lora={rank: 2, targets: ['language_model.*.q_proj', 'language_model.*.v_proj']}"]
NASTY = "a \"b\": #c '{x}' [y]\n& ü"


class RunFolderTest(TrainingTest):
    def done(self, *arguments, ranks=1):
        result = self.run_longsight(*arguments, ranks=ranks)
        self.assertEqual(result.code, 0, result.stderr)
        return result

    def train(self, run, *overrides, ranks=1):
        return self.done("train", "configs/tiny.yaml", "train.steps=2", "train.tokens_per_step=300", "output.dir=" + run,
                         *overrides, ranks=ranks)

    def refused(self, code, says, *arguments, ranks=1):
        before = tree(self.folder)
        result = self.run_longsight(*arguments, ranks=ranks)
        self.assertEqual(result.code, code, result.stderr)
        for text in says:
            self.assertIn(text, result.errors()[0])
        self.assertEqual(tree(self.folder), before)

    def refused_run(self, code, says, run, *overrides, ranks=1):
        self.refused(code, says, "train", "configs/tiny.yaml", "train.steps=1", "data.eval=[]", "output.dir=" + run, *overrides,
                     ranks=ranks)

    def inside(self, folder):
        """Commands run there from now on."""
        self.addCleanup(setattr, self, "folder", self.folder)
        self.folder = folder

    # whose folder it is

    def test_a_folder_of_others_is_never_touched(self):
        for name in ["config.yaml", "metrics.jsonl", "thesis.tex", ".hidden"]:
            with self.subTest(name=name):
                self.write(f"theirs-{name}/{name}", "mine")
                self.refused_run(CANNOT_WRITE, ["holds something else than a run", "output.dir"], f"theirs-{name}")
        self.write("file", "x")
        self.refused_run(CANNOT_WRITE, ["it is a file"], "file")
        os.makedirs(self.path("empty"))
        self.train("empty", "data.eval=[]")

    def test_status_tells_how_far_the_run_has_come(self):
        self.train("run", "data.eval=[]")
        status = json.loads(self.done("train", "configs/tiny.yaml", "--status", "output.dir=run").stdout)
        self.assertEqual((status["step"], status["steps"], status["finished"]), (2, 2, True))
        self.assertRegex(str(status["checkpoint"]), "^(-1|2)$")

    def test_a_run_that_lives_keeps_its_folder_and_a_dead_one_loses_it(self):
        first = subprocess.Popen([self.binary, "train", "configs/tiny.yaml", "train.steps=20000", "data.eval=[]",
                                  "output.dir=run"], cwd=self.folder, stderr=subprocess.DEVNULL)
        self.addCleanup(first.wait)
        self.addCleanup(first.kill)
        while not os.path.exists(self.path("run/metrics.jsonl")):
            time.sleep(0.05)
            self.assertIsNone(first.poll())
        for ranks in [1, 2]:
            result = self.run_longsight("train", "configs/tiny.yaml", "train.steps=1", "data.eval=[]", "output.dir=run",
                                        ranks=ranks)
            self.assertEqual(result.code, CANNOT_WRITE, result.stderr)
            self.assertIn(f"run/lock: a run writes there (process {first.pid} on {socket.gethostname()}", result.errors()[0])
        self.assertFalse(os.path.exists(self.path("run.1")))
        first.send_signal(signal.SIGKILL)
        first.wait()
        result = self.train("run", "data.eval=[]")
        self.assertIn(f"taken over from process {first.pid}", result.stderr)
        self.assertTrue(os.path.exists(self.path("run.1/metrics.jsonl")))
        self.assertEqual([name for name in ["run/lock", "run.1/lock"] if os.path.exists(self.path(name))], [])

    def test_an_owner_that_has_ended_but_was_not_waited_for_is_dead(self):
        self.train("run", "data.eval=[]")
        owner = subprocess.Popen(["true"])
        self.addCleanup(owner.wait)
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
        with open(f"/proc/{owner.pid}/stat", encoding="utf-8") as file:
            state, *fields = file.read().rpartition(")")[2].split()
        self.assertEqual(state, "Z")
        self.write("run/lock", json.dumps({"host": socket.gethostname(), "pid": owner.pid, "process_start": int(fields[18]),
                                           "started": "then"}))
        self.assertIn(f"taken over from process {owner.pid}", self.train("run", "data.eval=[]").stderr)

    def test_a_file_named_like_the_lock_of_a_run_is_told_from_it(self):
        for number, content in enumerate(["my own notes", '{"host": 5}', '{"host": "a", "pid": "b"}', "[]"]):
            with self.subTest(content=content):
                self.write(f"theirs-{number}/lock", content)
                self.refused_run(CANNOT_WRITE, ["holds something else than a run"], f"theirs-{number}")
        self.write("died/lock", "")  # before it wrote its name
        self.train("died", "data.eval=[]")

    def test_no_run_begins_inside_of_another_ones_folder(self):
        self.train("run", "data.eval=[]")
        os.symlink("run/model", self.path("link"))
        for inside in ["run/next", "run/model/next", "run/saves", "link/next", "link"]:
            with self.subTest(inside=inside):
                self.refused_run(CANNOT_WRITE, ["lies in", "/run, which is the folder of another run"], inside)
        self.train("run-2/x", "data.eval=[]")

    def test_a_run_whose_folder_is_moved_or_removed_writes_into_no_other(self):
        for removed in [False, True]:
            for other in [False, True]:
                with self.subTest(removed=removed, other=other):
                    run = f"run-{removed}-{other}"
                    first = subprocess.Popen([self.binary, "train", "configs/tiny.yaml", "train.steps=400", "output.dir=" + run],
                                             cwd=self.folder, stderr=subprocess.PIPE, text=True)
                    self.addCleanup(first.wait)
                    self.addCleanup(first.kill)
                    while not os.path.exists(self.path(run + "/metrics.jsonl")):
                        time.sleep(0.02)
                        self.assertIsNone(first.poll())
                    first.send_signal(signal.SIGSTOP)
                    if removed:
                        shutil.rmtree(self.path(run))
                    else:
                        os.rename(self.path(run), self.path(run + "-moved"))
                    if other:
                        self.train(run, "data.eval=[]")
                        before = tree(self.path(run))
                    first.send_signal(signal.SIGCONT)
                    stderr = first.communicate(timeout=self.seconds)[1]
                    self.assertEqual(first.returncode, CANNOT_WRITE if removed and other else 0, stderr)
                    if other:
                        self.assertEqual(tree(self.path(run)), before)
                    ended = run + (("" if not other else ".1") if removed else "-moved")
                    self.assertIn("the run goes on", stderr)
                    for name in ["model/model.safetensors", "eval.jsonl"]:
                        self.assertTrue(os.path.exists(self.path(f"{ended}/{name}")), stderr)
                    self.assertFalse(os.path.exists(self.path(ended + "/lock")))

    def test_a_run_on_another_host_is_believed_as_long_as_it_shows_life(self):
        self.train("run", "data.eval=[]")
        self.write("run/lock", json.dumps({"host": "elsewhere", "pid": 7, "process_start": 8, "started": "then"}))
        self.refused_run(CANNOT_WRITE, ["process 7 on elsewhere", "remove this file"], "run")
        os.utime(self.path("run/lock"), (time.time() - 1000,) * 2)
        self.assertIn("taken over from process 7 on elsewhere", self.train("run", "data.eval=[]").stderr)

    def test_links_are_followed(self):
        os.makedirs(self.path("disk"))
        os.makedirs(self.path("runs"))
        os.symlink("../disk/x", self.path("runs/x"))  # leads to nothing yet
        for number in range(2):
            self.train("runs/x", "data.eval=[]")
            self.assertTrue(os.path.islink(self.path("runs/x")))
            self.assertEqual(sorted(os.listdir(self.path("disk"))), ["x", "x.1"][:number + 1])
        self.assertTrue(os.path.exists(self.path("disk/x/model/config.json")))

    def test_what_is_read_does_not_lie_in_the_folder_of_the_run(self):
        self.train("run", "data.eval=[]")
        self.copy("configs/tiny", "run/tiny")
        os.symlink("run", self.path("link"))
        scratch = ["model.config=''", "model.tokenizer=''"]
        for key, overrides in [("model.from", [*scratch, "model.from=run/model"]), ("model.from", [*scratch, "model.from=link/model"]),
                               ("model.tokenizer", ["model.tokenizer=run/tiny/tokenizer"]),
                               ("data.train.0.messages", ["data.train=[{messages: run/tiny/tiny.jsonl}]"]),
                               ("data.train.0.images", ["data.train=[{messages: configs/tiny/tiny.jsonl, images: run/tiny}]"])]:
            with self.subTest(overrides=overrides):
                self.refused_run(USAGE, [key, "lies in output.dir", "choose another"], "run", *overrides)
        self.refused_run(USAGE, ["model.tokenizer"], "configs/tiny", "data.train=[{messages: goldens/llava-clip-llama/samples.jsonl}]")

    def mounted(self, script, *arguments):
        """A shell script in a view of the files of its own, which may mount; skipped where that is not allowed."""
        if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
            self.skipTest("no namespaces here")
        return subprocess.run(["unshare", "-rm", "sh", "-ec", script, "sh", self.binary, *arguments], cwd=self.folder,
                              capture_output=True, text=True, timeout=self.seconds)

    def test_a_run_on_a_mount_point_cannot_be_moved_aside_and_is_refused_before_work(self):
        os.makedirs(self.path("disk"))
        train = '"$1" train configs/tiny.yaml train.steps=1 data.eval=[] output.dir=disk'
        result = self.mounted(f"mount -t tmpfs t disk; {train}; ls disk/model; cp -r disk copy; set +e; {train}; echo code $?; "
                              "diff -r disk copy && echo same; mkdir disk/first; mv disk/[!f]* disk/first; "
                              f"{train}/second; echo code $?; ls disk")
        self.assertIn("code 73\nsame\n", result.stdout, result.stderr)
        self.assertRegex(result.stderr, "error: cannot write disk: it holds a run already and, as a mount point, cannot be renamed: .*"
                                        "output.dir=disk/NAME")
        self.assertNotIn("data checked", result.stderr.split("error: ")[0].split("model written")[-1])
        self.assertTrue(result.stdout.endswith("code 0\nfirst\nsecond\n"), result.stdout + result.stderr)

    def test_a_full_folder_for_temporary_files_is_named(self):
        data = self.read("configs/tiny/tiny.jsonl")
        self.write("big.jsonl.gz", gzip.compress(data * (4_000_000 // len(data))))
        os.makedirs(self.path("small"))
        lint = '"$1" data lint big.jsonl.gz'
        result = self.mounted(f"mount -t tmpfs -o size=1m t small; export TMPDIR=$PWD/small; set +e; {lint}; echo code $?")
        self.assertIn("code 73\n", result.stdout, result.stderr)
        self.assertIn("cannot unpack it into", result.stderr)
        self.assertIn("name another folder in TMPDIR", result.stderr)

    def test_bytes_that_are_no_text_in_paths_neither_end_a_command_nor_break_its_json(self):
        place = os.path.join(self.folder.encode(), b"\xff\xfe x")
        os.makedirs(place)
        for name in ["configs", "goldens"]:
            os.symlink(self.path(name).encode(), os.path.join(place, name.encode()))
        self.inside(os.fsdecode(place))
        self.train("run", "output.save_every=1", *LORA)
        self.train("next", "model.config=~", "model.tokenizer=~", "model.from=run/model", *LORA)
        whole = os.fsdecode(place + b"/next")
        for run in ["next", whole, whole + "/adapter"]:
            self.assertGreater(json.loads(self.done("eval", run, "--json").stdout)["loss"], 0)
            self.assertTrue(json.loads(self.done("inspect", run, "--json").stdout)["tensors"])
            self.done("generate", "--model", run, "--prompt", "x", "--max-tokens", "1")
        odd = os.fsdecode(b"\xff.jsonl")
        shutil.copy(self.path("configs/tiny/tiny.jsonl"), self.path(odd))
        self.copy("configs/tiny/png", "png")
        stats = json.loads(self.done("data", "stats", odd, "--model", "next", "--json").stdout)
        self.assertEqual(stats["samples"], 18)
        self.assertEqual(self.done("data", "lint", odd).stdout, "")
        for line in self.done("generate", "--model", "next", "--data", odd, "--max-tokens", "1").stdout.splitlines():
            json.loads(line)
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.endswith((".json", ".jsonl")) and "run" in folder:
                    text = self.read(os.path.join(folder, name)).decode()
                    for line in text.splitlines() if name.endswith("l") else [text]:
                        json.loads(line)

    # the folder is the model

    def printed(self, stderr):
        """The held-out losses that a run printed at last, by set."""
        found = re.findall(r"held-out loss of (.*?) ([0-9.]+) over", stderr)
        return dict(found)

    def test_eval_gives_the_last_loss_of_training_on_any_ranks_and_from_anywhere(self):
        held = "data.eval=[{messages: configs/tiny/tiny_eval.jsonl}, {messages: configs/tiny/tiny.jsonl, name: seen}]"
        self.train("base", "data.eval=[]", *LORA)
        cases = {"plain": [], "lora": LORA, "on": ["model.adapter=base/adapter"], "small": ["memory.micro_batch_tokens=100"]}
        home = self.folder
        os.makedirs(self.path("elsewhere"))
        for name, overrides in cases.items():
            said = self.printed(self.train(name, held, *overrides, ranks=2).stderr)
            self.assertEqual(sorted(said), ["seen", "tiny_eval"])
            last = [json.loads(line) for line in self.read(name + "/eval.jsonl").splitlines()]
            self.assertEqual([line["name"] for line in last], ["tiny_eval", "seen"])
            for ranks in [1, 2, 3]:
                for folder, run in [(home, name), (self.path("elsewhere"), self.path(name))]:
                    with self.subTest(case=name, ranks=ranks, folder=folder):
                        self.folder = folder
                        self.assertEqual(self.printed(self.done("eval", run, ranks=ranks).stdout), said)
                        self.folder = home

    def test_every_verb_takes_a_run_a_save_adapters_or_a_model(self):
        saves = ["train.steps=3", "output.save_every=1", "train.eval_every=1", "output.keep=5", "output.keep_best=tiny_eval"]
        self.train("full", *saves)
        self.train("lora", *saves, *LORA)
        self.done("export", "full", "model", "--dtype", "f32")
        self.copy("lora/adapter", "peft")
        config = json.loads(self.read("peft/adapter_config.json"))
        self.done("train", "configs/tiny.yaml", "train.steps=0", "data.eval=[]", "output.dir=start")
        self.write("peft/adapter_config.json", json.dumps({**config, "base_model_name_or_path": self.path("start/model")}))
        losses = {}
        for place, data in [("full", []), ("full/", []), ("full/model", []), ("full/best", []), ("full/saves/step-00000001", []),
                            ("lora", []), ("lora/adapter", []), ("lora/best", []), ("lora/saves/step-00000002", []),
                            ("model", ["data.eval=[{messages: configs/tiny/tiny_eval.jsonl}]", "train.tokens_per_step=300"]),
                            ("peft", ["data.eval=[{messages: configs/tiny/tiny_eval.jsonl}]", "train.tokens_per_step=300"])]:
            with self.subTest(place=place):
                losses[place] = json.loads(self.done("eval", place, "--json", *data).stdout)["loss"]
                answer = ["--prompt", "What is this?", "--image", "configs/tiny/png/red_square.png", "--max-tokens", "2"]
                self.done("generate", "--model", place, *answer)
                out = "out-" + place.replace("/", "-")
                self.done("export", place, out, "--dtype", "f32")
                self.assertIn("tokenizer.json", os.listdir(self.path(out)))
                self.assertIn("preprocessor_config.json", os.listdir(self.path(out)))
                shown = json.loads(self.done("inspect", place, "--json").stdout)
                self.assertTrue(shown["tensors"] and shown["what"])
        steps = {run: [json.loads(line)["loss"] for line in self.read(run + "/eval.jsonl").splitlines()] for run in ["full", "lora"]}
        for place, loss in [("full", steps["full"][-1]), ("full/model", steps["full"][-1]), ("full/best", min(steps["full"])),
                            ("full/saves/step-00000001", steps["full"][0]), ("lora", steps["lora"][-1]),
                            ("lora/saves/step-00000002", steps["lora"][1]), ("lora/best", min(steps["lora"])),
                            ("lora/adapter", steps["lora"][-1]), ("peft", steps["lora"][-1]), ("model", steps["full"][-1])]:
            # Merged and unmerged adapters round otherwise.
            self.assertAlmostEqual(losses[place], loss, delta=1e-6 * loss, msg=place)
        merged, model = (tensor_bytes(self.read(name + "/model.safetensors")) for name in ["out-lora-adapter", "lora/model"])
        self.assertEqual(merged, model)
        self.refused(MISSING, ["neither a run"], "eval", "configs")
        os.rename(self.path("full/model"), self.path("gone"))
        for verb in [["eval", "full"], ["generate", "--model", "full", "--prompt", "x"], ["export", "full", "out"], ["inspect", "full"]]:
            self.refused(MISSING, ["no final model yet", "full/saves/step-00000002"], *verb)
        os.rename(self.path("start"), self.path("moved"))
        self.refused(MISSING, ["base_model_name_or_path", "--model"], "generate", "--model", "peft", "--prompt", "x")
        self.done("generate", "--model", "moved", "--adapter", "peft", "--prompt", "x", "--max-tokens", "1")

    # Options that change tokens or pixels, and a model that has them. To extend: a line.
    OPTIONS = {
        "nothing": ("llava-clip-llama", []),
        "lora": ("llava-clip-llama", ["model.lora={rank: 2, targets: ['*.q_proj']}"]),
        "nothing, Qwen2-VL": ("qwen2-vl", []),
        "nothing, InternVL": ("internvl-qwen2", []),
        "chat": ("llava-clip-llama", ["data.chat=vicuna"]),
        "max_pixels": ("qwen2-vl", ["data.images.max_pixels=3136"]),
        "min_pixels": ("qwen2-vl", ["data.images.min_pixels=12544", "data.images.max_pixels=25088"]),
        "max_tiles": ("internvl-qwen2", ["data.images.max_tiles=2"]),
        "image_aspect_ratio": ("llava-clip-llama", ["data.images.image_aspect_ratio=pad"]),
        "alpha, white": ("llava-clip-llama", ["data.images.alpha=white"]),
        "alpha, drop": ("qwen2-vl", ["data.images.alpha=drop"]),
        "pillow": ("llava-clip-llama", ["data.images.pillow=12"]),
        "parts": ("parts", []),
        "added tokens": ("added", []),
        "added tokens, lora": ("added", ["model.lora={rank: 2, targets: ['*.q_proj']}"]),
    }

    def base(self, model):
        """What the configuration says of the model, and samples for it."""
        golden = f"goldens/{model}"
        if model == "parts":
            golden = "goldens/llava-clip-llama"
            config = json.loads(self.read(golden + "/model/config.json"))
            tensors = tensor_bytes(self.read(golden + "/model/model.safetensors"))
            for part, key, prefix in [("tower", "vision_config", "vision_tower."), ("language", "text_config", "language_model.")]:
                self.write(f"parts/{part}/config.json", json.dumps(config[key]))
                self.write(f"parts/{part}/model.safetensors", pack_safetensors(
                    {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}))
            shutil.copy(self.path(golden, "model/preprocessor_config.json"), self.path("parts/tower"))
            for name in ["tokenizer.json", "tokenizer_config.json"]:
                shutil.copy(self.path(golden, "model", name), self.path("parts/language"))
            return "{vision_from: parts/tower, language_from: parts/language, connector: new}", golden + "/samples.jsonl"
        if model == "added":
            golden = "goldens/llava-clip-llama"
            if not os.path.exists(self.path("added")):
                self.copy(golden + "/model", "added")
                config = json.loads(self.read("added/tokenizer_config.json"))
                config["added_tokens_decoder"]["782"] = {"content": "picture", "special": False, "lstrip": True}
                self.write("added/tokenizer_config.json", json.dumps(config))
            return f"{{from: {self.path('added')}}}", golden + "/samples.jsonl"
        return f"{{from: {self.path(golden, 'model')}}}", golden + "/samples.jsonl"

    def fed(self, source, samples):
        """What `batch` feeds of the samples."""
        self.fed_folders = getattr(self, "fed_folders", 0) + 1
        out = f"fed-{self.fed_folders}"
        self.done("batch", "--model", source, "--data", samples, "--out", out)
        return [content for _, content in sorted(tree(self.path(out)).items())]

    def test_the_folder_alone_feeds_what_training_fed(self):
        """Taken out of its run, without a word of the configuration: the same loss to all digits."""
        for number, (option, (model, overrides)) in enumerate(self.OPTIONS.items()):
            with self.subTest(option=option):
                run, served = f"run{number}", f"served{number}"
                base, samples = self.base(model)
                data = f"[{{messages: {samples}, name: held}}]"
                size = "train.tokens_per_step=100000"
                self.write("run.yaml", f"model: {base}\n")
                said = self.printed(self.done("train", "run.yaml", "data.train=" + data.replace(", name: held", ""),
                                              "data.eval=" + data, size, "train.steps=1", "train.optimizer.lr=1e-4",
                                              "output.dir=" + run, *overrides).stderr)
                self.copy(run + "/model", served)
                self.assertEqual(self.printed(self.done("eval", served, "data.eval=" + data, size).stdout), said)
                self.assertEqual(self.printed(self.done("eval", run).stdout), said)
                self.assertEqual(*[self.fed(source, samples) for source in [run, served]])

    def test_adapters_alone_feed_what_training_fed(self):
        """Taken out of their run, on the base that they name: template and pictures are those of training."""
        lora = "model.lora={rank: 2, targets: ['*v_proj']}"
        for number, option in enumerate(["chat", "max_pixels", "max_tiles", "image_aspect_ratio", "alpha, white", "added tokens"]):
            with self.subTest(option=option):
                model, overrides = self.OPTIONS[option]
                run, alone, merged = f"run{number}", f"alone{number}", f"merged{number}"
                base, samples = self.base(model)
                self.write("run.yaml", f"model: {base}\n")
                self.done("train", "run.yaml", f"data.train=[{{messages: {samples}}}]", "train.tokens_per_step=100000",
                          "train.steps=1", "output.dir=" + run, lora, *overrides)
                self.copy(run + "/adapter", alone)
                self.done("export", alone, merged)
                trained, *others = [self.fed(source, samples) for source in [run, alone, merged]]
                for fed in others:
                    self.assertEqual(fed, trained)
                data = f"data.eval=[{{messages: {samples}}}]"
                self.assertEqual(*[self.printed(self.done("eval", source, data).stdout) for source in [alone, run + "/adapter"]])

    def test_training_goes_on_with_what_the_adapters_were_trained_with(self):
        """Template, pictures and tokenizer of the adapters, unless the configuration names others."""
        lora = "model.lora={rank: 2, targets: ['*v_proj']}"
        base, samples = self.base("llava-clip-llama")
        self.write("run.yaml", f"model: {base}\n")
        self.write("own.jinja", "{% for m in messages %}{{ m.role }}: {% for c in m.content %}{% if c.type == 'image' %}<image>"
                                "{% else %}{{ c.text }}{% endif %}{% endfor %}</s>{% endfor %}"
                                "{% if add_generation_prompt %}assistant: {% endif %}")

        def train(run, *overrides):
            return self.done("train", "run.yaml", f"data.train=[{{messages: {samples}}}]", f"data.eval=[{{messages: {samples}}}]",
                             "train.tokens_per_step=100000", "train.steps=1", "output.dir=" + run, *overrides).stderr

        own = ["data.chat=own.jinja", "data.images.image_aspect_ratio=pad"]
        self.assertNotIn("of the adapters", train("first", lora, *own))
        os.remove(self.path("own.jinja"))  # it is in the run's folders
        trained, plain = self.fed("first", samples), self.fed("goldens/llava-clip-llama/model", samples)
        self.assertNotEqual(trained, plain)
        config = json.loads(self.read("first/adapter/tokenizer_config.json"))
        config["added_tokens_decoder"]["782"] = {"content": "picture", "special": False, "lstrip": True}
        self.copy("first/adapter", "grown")
        self.write("grown/tokenizer_config.json", json.dumps(config))
        for run, adapter, said, overrides, fed in [
                ("on", "first/adapter", "chat template, image processor", [], trained),
                ("named", "first/adapter", "image processor", ["data.chat=llava", "data.images.image_aspect_ratio=crop"], plain),
                ("grown-on", "grown", "chat template, image processor, tokenizer", [], None)]:
            with self.subTest(run=run):
                log = train(run, "model.adapter=" + adapter, *overrides)
                self.assertIn(f"of the adapters in {adapter}: {said}, which differ from the model's, are used", log)
                one, *others = [self.fed(source, samples) for source in [run, run + "/model", run + "/adapter"]]
                self.assertEqual(others, [one, one])
                self.assertEqual(one == trained, fed == trained)
                if fed is not None:
                    self.assertEqual(one, fed)
                for source in [run, run + "/adapter"]:  # merged and unmerged adapters round otherwise
                    self.assertAlmostEqual(json.loads(self.done("eval", source, "--json").stdout)["loss"],
                                           float(self.printed(log)["samples"]), delta=1e-5)
        self.assertIn(b"picture", self.read("grown-on/model/tokenizer_config.json"))

    def test_the_adapters_of_a_run_keep_what_they_were_trained_with(self):
        """Whatever becomes of the template and of the files of the model that the run began with."""
        golden = "goldens/qwen2-vl"
        samples = golden + "/samples.jsonl"
        self.copy(golden + "/model", "base")
        program = json.loads(self.read("base/chat_template.json"))["chat_template"]
        self.write("own.jinja", "OWN " + program)
        self.write("run.yaml", "model: {from: base}\n")
        for run, overrides in [("own", ["data.chat=own.jinja"]), ("plain", [])]:
            self.done("train", "run.yaml", f"data.train=[{{messages: {samples}}}]", f"data.eval=[{{messages: {samples}, name: held}}]",
                      "train.tokens_per_step=100000", "train.steps=1", "output.save_every=1", "output.keep_best=held",
                      "model.lora={rank: 2, targets: ['*v_proj']}", "output.dir=" + run, *overrides)
        places = [run + "/" + place for run in ["own", "plain"] for place in ["adapter", "best", "saves/step-00000001"]
                  if os.path.exists(self.path(run, place))]

        def used():
            shown = {}
            for place in places:
                out = f"out-{len(os.listdir(self.folder))}"
                self.done("export", place, out)
                shown[place] = (self.fed(place, samples), self.done("eval", place, "--json").stdout, self.fed(out, samples),
                                self.read(out + "/chat_template.jinja"))
            return shown

        trained = used()
        self.write("own.jinja", "OTHER " + program)
        self.write("base/chat_template.json", json.dumps({"chat_template": "OTHER " + program}))
        pictures = json.loads(self.read("base/preprocessor_config.json"))
        self.write("base/preprocessor_config.json", json.dumps({**pictures, "min_pixels": 784, "max_pixels": 3136}))
        self.assertNotEqual(self.fed("base", samples), trained["plain/adapter"][0])
        self.assertEqual(used(), trained)
        os.remove(self.path("own.jinja"))
        self.assertEqual(used(), trained)

    def test_adapters_on_other_weights_than_their_own_are_refused(self):
        train = ["model.config=~", "model.tokenizer=~", "data.eval=[{messages: configs/tiny/tiny_eval.jsonl}]"]
        self.train("base", "data.eval=[]")
        self.train("run", "model.from=base/model", *train, *LORA)
        self.done("eval", "run/adapter")
        self.train("base", "data.eval=[]", "train.seed=9")  # the other one is base.1 now
        for ranks in [1, 2]:
            self.refused(BAD_DATA, ["run/adapter: these adapters were trained on other weights, then in", self.path("base/model"),
                                    ".weight and ", " more differ", "longsight_base.json"], "eval", "run/adapter", ranks=ranks)
        self.refused(BAD_DATA, ["other weights"], "export", "run/adapter", "out")
        self.refused(BAD_DATA, ["other weights", "base/model"], "train", "configs/tiny.yaml", "output.dir=next", "train.steps=1",
                     "model.from=base/model", "model.adapter=run/adapter", *train)
        self.refused(BAD_DATA, ["other weights"], "generate", "--model", "base", "--adapter", "run/adapter", "--prompt", "x")
        self.refused(BAD_DATA, ["other weights"], "generate", "--model", "run", "--adapter", "run/adapter", "--prompt", "x")  # merged already
        ask = ["--prompt", "x", "--max-tokens", "1"]
        self.assertNotIn("warning", self.done("generate", "--model", "base.1", "--adapter", "run/adapter", *ask).stderr)
        self.done("eval", "run")
        # PEFT's own files only name the model.
        self.copy("run/adapter", "peft")
        os.remove(self.path("peft/longsight_base.json"))
        self.assertNotIn("warning", self.done("generate", "--model", "peft", *ask).stderr)
        self.assertIn(f"belong to {self.path('base/model')} (base_model_name_or_path) and are put on base.1/model",
                      self.done("generate", "--model", "base.1", "--adapter", "peft", *ask).stderr)

    def test_the_configuration_of_a_run_says_that_its_model_is_another_one(self):
        self.train("run")
        place, trained = "run/config.yaml", self.done("eval", "run").stdout
        hint = "is evaluated by longsight eval run"
        begun = self.done("eval", place)
        self.assertNotEqual(begun.stdout, trained)
        self.assertEqual(begun.stderr.count(hint), 1)
        self.assertEqual(self.done("eval", place, ranks=2).stderr.count(hint), 1)
        for target in ["run", "configs/tiny.yaml"]:
            self.assertNotIn("is evaluated by", self.done("eval", target).stderr)

    def test_paths_are_values(self):
        place = self.path(NASTY)
        os.makedirs(place)
        for name in ["configs", "goldens"]:
            os.symlink(self.path(name), os.path.join(place, name))
        self.inside(place)
        self.copy("configs/tiny", NASTY)
        os.rename(self.path(NASTY, "tiny.jsonl"), self.path(NASTY, NASTY + ".jsonl"))
        yaml = {name: json.dumps(NASTY + name, ensure_ascii=False) for name in ["run", "/tokenizer", f"/{NASTY}.jsonl"]}
        self.done("train", "configs/tiny.yaml", "train.steps=2", "output.dir=" + yaml["run"],
                  "model.tokenizer=" + yaml["/tokenizer"], f"data.train=[{{messages: {yaml[f'/{NASTY}.jsonl']}}}]")
        run = self.path(NASTY + "run")
        said = json.loads(self.read(NASTY + "run/eval.jsonl").splitlines()[-1])["loss"]
        for folder in [self.folder, os.path.dirname(self.folder)]:
            self.folder = folder
            self.assertEqual(json.loads(self.done("eval", run, "--json").stdout)["loss"], said)
        self.done("generate", "--model", run, "--prompt", "x", "--max-tokens", "1")
        self.done("export", run, run + "-out")
        self.done("plan", run + "/model/config.json", "--tokens", "64")


if __name__ == "__main__":
    unittest.main()

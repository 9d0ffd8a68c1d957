#!/usr/bin/python3
"""Bad input to the real binary: the exit code, one line that says where and what to do, no process and no file left."""
import gzip
import json
import os
import shutil
import struct
import sys
import tarfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import JobTest, make_safetensors, pack_safetensors, read_safetensors, tensor_bytes, tree  # noqa: E402

USAGE, BAD_DATA, MISSING, CANNOT_WRITE, NON_FINITE = 64, 65, 66, 73, 76
GOLDEN = "goldens/llava-clip-llama"
MODEL = GOLDEN + "/model"
FROM_SCRATCH = ["model.config=''", "model.tokenizer=''"]  # makes room for model.from
NORM = "language_model.model.norm.weight"


class BadInputTest(JobTest):
    def refused(self, code, says, *arguments, ranks=1, leaves=(), **options):
        """The job ends with `code`, its one error has every text of `says`, and it leaves nothing but `leaves`."""
        with self.subTest(arguments=" ".join(arguments), ranks=ranks):
            before = tree(self.folder)
            result = self.run_longsight(*arguments, ranks=ranks, **options)
            said = f"\n{result.stderr}"
            self.assertEqual(result.code, code, said)
            errors = result.errors()
            # Ranks that fail alike may speak before they are ended; one alone says one thing.
            self.assertEqual(len(set(errors)), 1, said)
            self.assertTrue(ranks > 1 or len(errors) == 1, said)
            for text in [says] if isinstance(says, str) else says:
                self.assertIn(text, errors[0])
            self.assertNotIn("terminate called", result.stderr)
            after = tree(self.folder)
            left = {os.path.relpath(path, self.folder) for path in after if path not in before}
            self.assertEqual(left - set(leaves), set())
            for path, content in before.items():
                self.assertEqual(after[path], content, path)
            return result

    def train(self, code, says, *overrides, **options):
        return self.refused(code, says, "train", "configs/tiny.yaml", "output.dir=run", *overrides, **options)

    def lint_agrees(self, code, says, *overrides):
        """`data lint` of the same configuration lists what training says, and ends alike."""
        with self.subTest("lint", overrides=overrides):
            result = self.run_longsight("data", "lint", "configs/tiny.yaml", *overrides)
            self.assertEqual(result.code, code, result.stderr)
            for text in [says] if isinstance(says, str) else says:
                self.assertIn(text, result.stdout)

    # configuration

    def config(self, name, train="{steps: 3}", rest=""):
        return self.write(name, f"""model: {{config: configs/models/tiny.json, tokenizer: configs/tiny/tokenizer}}
data:
  train: [{{messages: configs/tiny/tiny.jsonl}}]
output: {{dir: run}}
train: {train}
{rest}""")

    def test_yaml_mistakes_are_named_with_line_and_column(self):
        name = self.config("key.yaml", "{stepz: 3}")
        self.refused(USAGE, ['unknown key "stepz" in train', "key.yaml:5:9", 'did you mean "steps"?'], "train", name)
        self.refused(USAGE, "key.yaml:5:9", "plan", name)
        name = self.config("twice.yaml", "\n  steps: 3\n  steps: 4")
        self.refused(USAGE, ['duplicate key "steps"', "line 6", "twice.yaml:7:3"], "train", name)
        name = self.config("type.yaml", "{steps: many}")
        self.refused(USAGE, ["train.steps: expected an integer", '"many"', "type.yaml:5:16"], "train", name)
        name = self.config("nested.yaml", rest="memory: 160")
        self.refused(USAGE, ["memory: expected a mapping", "nested.yaml:6:9"], "audit", name)
        name = self.config("endless.yaml", "{}")
        self.refused(USAGE, ["steps: N or epochs: X", "endless.yaml:5:8"], "train", name)
        name = self.write("syntax.yaml", "model: {config: x\ntrain: {steps: 1}\n")
        self.refused(USAGE, "syntax.yaml:", "train", name)
        self.refused(MISSING, "nowhere.yaml", "train", "nowhere.yaml")
        self.refused(MISSING, "configs: neither a run", "eval", "configs")

    def test_overrides_are_checked_like_the_file(self):
        self.train(USAGE, ['unknown key "lrr" in train.optimizer', "command line: ", 'did you mean "lr"?'],
                   "train.optimizer.lrr=1")
        self.train(USAGE, ["key.path=value", "command line: steps"], "steps")
        self.refused(USAGE, 'unknown key "stepz"', "gradients", "--model", MODEL, "--batch",
                     GOLDEN + "/batch.safetensors", "--out", "out.safetensors", "train.stepz=1")

    def test_numbers_out_of_range_are_refused(self):
        for key, value in [("train.steps", "-1"), ("train.tokens_per_step", "-5"), ("train.optimizer.lr", "-1"),
                           ("train.optimizer.lr", ".nan"), ("train.seed", "-1"), ("data.augment.shift", "-1"),
                           ("memory.micro_batch_tokens", "-1"), ("output.keep", "-1"), ("train.eval_every", "-1"),
                           ("output.save_every", "-1"), ("train.optimizer.clip", "-1"), ("parallel.sequence", "-1"),
                           ("train.steps", "99999999999999999999")]:
            self.train(USAGE, [key + ":", f"(command line: {key}={value})"], f"{key}={value}")
        self.refused(USAGE, "--ranks -4", "plan", "configs/tiny.yaml", "--ranks", "-4")
        self.refused(USAGE, "--ranks 1000000: at most 131072", "plan", "configs/tiny.yaml", "--ranks", "1000000")
        self.refused(USAGE, "--tokens 100000000000: at most", "plan", "configs/tiny.yaml", "--tokens", "100000000000")
        self.train(USAGE, ["model.train.vision_layers: vision is not trained"], "model.train={vision: false, vision_layers: 1}")
        self.refused(USAGE, "--batches -1", "audit", "configs/tiny.yaml", "--batches", "-1")
        self.train(USAGE, ["output.keep_best:", '"x" is no held-out set: data.eval has none', "(command line: output.keep_best=x)"],
                   "data.eval=[]", "output.keep_best=x")
        self.refused(USAGE, "--max-tokens -3", "generate", "--model", MODEL, "--prompt", "x", "--max-tokens", "-3")

    def test_a_plan_that_cannot_be_is_refused_with_the_choices(self):
        self.train(USAGE, ["parallel.vision.attention", "ulises", "did you mean ulysses?", "command line: "],
                   "parallel.vision.attention=ulises")
        self.train(USAGE, ["parallel.language.attention", "images is a strategy of vision blocks", "command line: "],
                   "parallel.language.attention=images")
        self.train(USAGE, ['device: unknown value "gpu"', "command line: "], "device=gpu")
        if not os.path.exists("/dev/nvidiactl"):
            self.train(USAGE, ["device:", "rank 0 cannot use a GPU: ", "device: auto trains on the host",
                               "(command line: device=cuda)"], "device=cuda")
        self.train(USAGE, ["parallel.fusion.split", "zikzak is not one of equal, zigzag", "did you mean zigzag?", "command line: "],
                   "parallel.fusion.split=zikzak")
        self.train(USAGE, ["parallel.zero", "4 is not one of 0, 1, 2, 3", "command line: "], "parallel.zero=4")
        self.train(USAGE, ["parallel.rules[1]", '"vison.*" names no block', "vision.0-1, language.0-1",
                           "command line: parallel.rules.1="],
                   "parallel.rules=[{blocks: vision.0, attention: local}]",
                   "parallel.rules.1={blocks: vison.*, attention: local}")
        self.train(USAGE, ["parallel.rules[0]", '"vision.7-9" names no block', "command line: "],
                   "parallel.rules=[{blocks: vision.7-9, attention: local}]")
        name = self.config("degree.yaml", rest="parallel: {sequence: 2}")
        self.refused(USAGE, ["parallel.sequence: 2 does not divide 3 ranks; use one of 1, 3", "degree.yaml:6:22"],
                     "train", name, ranks=3)
        self.refused(USAGE, "2 does not divide 3 ranks", "plan", name, "--ranks", "3")

    def test_a_hardware_profile_that_is_wrong_is_named(self):
        self.train(MISSING, "parallel.hardware: nowhere.yaml", "parallel.hardware=nowhere.yaml")
        profile = self.write("h.yaml", "name: x\norigin: measured\nsource: y\ngemm: [{rate: 1e9}]\ncopy: [{rate: 0}]\n")
        self.refused(USAGE, ["attention: missing", "h.yaml"], "plan", "configs/tiny.yaml", "--hardware", profile)
        self.train(USAGE, ["attention: missing", "h.yaml"], "parallel.hardware=h.yaml")

    def test_a_command_line_that_makes_no_sense_is_refused(self):
        self.refused(USAGE, ["bench: either --calibrate or one of gemm"], "bench")
        self.refused(USAGE, ["bench: either --calibrate or one of gemm"], "bench", "--calibrate", "gemm")
        self.refused(USAGE, 'unknown command "gem"', "bench", "gem")
        self.refused(USAGE, ['unknown command "trian"', 'did you mean "train"?'], "trian", "configs/tiny.yaml")
        self.refused(USAGE, ['unknown command "tokenzer"', 'did you mean "tokenizer"?'], "data", "tokenzer")
        self.refused(USAGE, "--nonsense", "train", "configs/tiny.yaml", "--nonsense")
        self.refused(USAGE, "config is required", "train")
        self.refused(USAGE, "subcommand is required")
        self.refused(USAGE, "--layouts nonsense: plan or all", "audit", "configs/tiny.yaml", "--layouts", "nonsense",
                     ranks=3)
        self.refused(USAGE, ["--dtype", "f16"], "audit", "configs/tiny.yaml", "--dtype", "f16")
        self.refused(USAGE, "--prompt TEXT or --data", "generate", "--model", MODEL)
        self.refused(USAGE, "--prompt: invalid UTF-8 at byte 2", "generate", "--model", MODEL, "--prompt", "hi\udcff")
        self.refused(USAGE, "--limit belongs to --data", "generate", "--model", MODEL, "--prompt", "hi", "--limit", "3")
        self.refused(USAGE, "--force belongs to training", "train", "configs/tiny.yaml", "--status", "--force")
        self.refused(MISSING, "there is no run in nowhere", "train", "configs/tiny.yaml", "--status", "output.dir=nowhere")

    # models

    def model(self, name, weights=None, **config):
        """The golden's model with other weights, or other values in its config.json (part__key=value)."""
        self.copy(MODEL, name)
        if weights is not None:
            self.write(name + "/model.safetensors", weights)
        if config:
            whole = json.loads(self.read(name + "/config.json"))
            for path, value in config.items():
                *parts, key = path.split("__")
                target = whole
                for part in parts:
                    target = target[part]
                target[key] = value
            self.write(name + "/config.json", json.dumps(whole))
        return name

    def refused_model(self, code, says, name, **options):
        self.train(code, says, *FROM_SCRATCH, "model.from=" + name, **options)

    def test_a_model_that_is_not_there_is_named(self):
        self.refused_model(MISSING, ["model.from: nowhere", "command line: model.from=nowhere"], "nowhere")
        self.train(MISSING, ["model.config: nowhere.json", "command line: "], "model.config=nowhere.json")
        self.train(MISSING, ["model.tokenizer: nowhere", "command line: "], "model.tokenizer=nowhere")
        self.train(USAGE, ["model.tokenizer", "longsight data tokenizer"], "model.tokenizer=''")
        for file, says in [("tokenizer.json", "no tokenizer.json"), ("model.safetensors", "model.safetensors"),
                           ("preprocessor_config.json", "no preprocessor_config.json"),
                           ("config.json", "config.json")]:
            name = self.model("without_" + file.split(".")[0])
            os.remove(self.path(name, file))
            self.refused_model(MISSING, [name, says], name)
        for inside in ["adapter/adapter_config.json", "model/config.json", "plan.json", "config.yaml"]:
            self.write("run-before/" + inside, "{}")
        self.refused_model(MISSING, ["run-before: a run, not a model folder: name run-before/model"], "run-before")
        self.train(MISSING, ["run-before: no adapters there", "those of this run are in run-before/adapter"], *FROM_SCRATCH,
                   "model.from=" + MODEL, "model.adapter=run-before")
        self.refused(MISSING, "those of this run are in run-before/adapter", "generate", "--model", MODEL, "--adapter", "run-before",
                     "--prompt", "x")
        self.write("kept/model/config.json", self.read(MODEL + "/config.json"))
        self.refused(USAGE, ["data.eval: name held-out data", "[{messages: FILE.jsonl}]"], "eval", "kept")
        self.refused(MISSING, "nowhere", "export", "nowhere", "out")
        self.refused(MISSING, "nowhere", "inspect", "nowhere", ranks=3)
        self.refused(MISSING, "nowhere", "generate", "--model", "nowhere", "--prompt", "x")
        self.refused(MISSING, "nowhere", "batch", "--model", "nowhere", "--data", "x.jsonl", "--out", "out")

    def test_broken_weights_are_refused_before_a_folder_is_made(self):
        whole = self.read(MODEL + "/model.safetensors")
        header, body = read_safetensors(whole)
        self.refused_model(BAD_DATA, ["header_cut/model.safetensors", "a header of"], self.model("header_cut", whole[:100]),
                           ranks=3)
        self.refused_model(BAD_DATA, ["data_cut/model.safetensors", "data_offsets"], self.model("data_cut", whole[:-100]))
        self.refused_model(BAD_DATA, ["empty/model.safetensors"], self.model("empty", b""))
        lying = json.loads(json.dumps(header))
        lying[NORM]["data_offsets"][1] += 4
        self.refused_model(BAD_DATA, ["lying/model.safetensors", f'tensor "{NORM}"', "data_offsets"],
                           self.model("lying", make_safetensors(lying, body)))
        tensors = tensor_bytes(whole)
        without = {name: value for name, value in tensors.items() if name != NORM}
        self.refused_model(BAD_DATA, ["missing does not fit config.json: missing", NORM],
                           self.model("missing", pack_safetensors(without)))
        surplus = {**tensors, "surplus.weight": tensors[NORM]}
        self.refused_model(BAD_DATA, ["surplus does not fit config.json: unexpected", "surplus.weight"],
                           self.model("surplus", pack_safetensors(surplus)))
        dtype, (width,), data = tensors[NORM]
        shaped = {**tensors, NORM: (dtype, [width // 2, 2], data)}
        self.refused_model(BAD_DATA, ["shape does not fit config.json: wrong shape", NORM, f"[{width // 2}, 2]"],
                           self.model("shape", pack_safetensors(shaped)))
        self.refused(BAD_DATA, "header_cut/model.safetensors", "export", "header_cut", "out")
        self.refused(BAD_DATA, "header_cut/model.safetensors", "inspect", "header_cut")
        self.refused(BAD_DATA, "header_cut/model.safetensors", "gradients", "--model", "header_cut", "--batch",
                     GOLDEN + "/batch.safetensors", "--out", "out.safetensors", ranks=3)

    def test_a_configuration_that_is_not_supported_is_refused_by_key(self):
        for name, says, change in [
                ("family", ["model_type", "chameleon", "available: llava"], {"model_type": "chameleon"}),
                ("rope", ["text_config: rope_scaling", '"longrope" is not supported'],
                 {"text_config__rope_scaling": {"rope_type": "longrope", "factor": 2.0}}),
                ("act", ["text_config: hidden_act", "swish2", "silu"], {"text_config__hidden_act": "swish2"}),
                ("tower", ["vision_config: model_type", "dinov2", "supported: clip_vision_model, siglip_vision_model"],
                 {"vision_config__model_type": "dinov2"}),
                ("heads", ["num_attention_heads 5 is not a multiple"], {"text_config__num_attention_heads": 5}),
                ("type", ["text_config: hidden_size must be an integer"], {"text_config__hidden_size": "wide"}),
                ("negative", ["num_hidden_layers = -2 must be positive"], {"text_config__num_hidden_layers": -2}),
                ("wide", ["text_config: hidden_size = 6597069766656 is larger"],
                 {"text_config__hidden_size": 6 << 40}),
                ("deeper", ["missing", "layers.*"], {"text_config__num_hidden_layers": 40})]:
            self.refused_model(BAD_DATA, [name, *says], self.model(name, **change))
        name = self.model("syntax")
        self.write(name + "/config.json", '{"model_type": "llava",\n "text_config": {')
        self.refused_model(BAD_DATA, "syntax/config.json:2:17: not valid JSON", name)

    # data

    def sample(self, text, *images, **message):
        return json.dumps({"images": images, "messages": [{"role": "user", "content": text},
                                                          {"role": "assistant", "content": "x", **message}]}) + "\n"

    def data(self, name, *lines, at=4):
        """The tiny training set with other lines in the middle, in a folder with its pictures."""
        if not os.path.exists(self.path("data")):
            self.copy("configs/tiny/png", "data/png")
        tiny = self.read("configs/tiny/tiny.jsonl").decode().splitlines(keepends=True)
        self.write("data/" + name, "".join(tiny[:at] + list(lines) + tiny[at:]))
        return f"data.train=[{{messages: data/{name}}}]"

    def test_bad_samples_are_named_by_file_and_line_before_the_run_begins(self):
        for name, code, says, line in [
                ("syntax", BAD_DATA, "not valid JSON", '{"messages": [}\n'),
                ("count", BAD_DATA, "2 <image> in the messages, but 1 images",
                 self.sample("<image><image>?", "png/red_square.png")),
                ("missing", MISSING, "data/png/nowhere.png", self.sample("<image>?", "png/nowhere.png")),
                ("key", BAD_DATA, 'unknown key "imagse"; did you mean "images"?',
                 self.sample("?").replace('"images"', '"imagse"').replace("[]", "[1]")),
                ("part", BAD_DATA, 'message 1, part 1: unknown key "max_pixel"; did you mean "max_pixels"?',
                 self.sample([{"type": "image", "max_pixel": 9}], "png/red_square.png")),
                ("objects", BAD_DATA, '"objects" is not supported', self.sample("?").replace("{", '{"objects": {}, ', 1)),
                ("pixels", BAD_DATA, '"max_pixels" of a picture: ',
                 self.sample([{"type": "image", "max_pixels": 784}], "png/red_square.png")),
                ("url", BAD_DATA, "nothing is fetched: put the image into a file", self.sample("<image>", "https://x.org/" + "a" * 9000)),
                ("base64", BAD_DATA, "image 1: the image in the data is not valid base64",
                 self.sample("<image>", "data:image;base64," + "!" * 9000)),
                ("outside", BAD_DATA, "images: FOLDER", self.sample("<image>", "file:///etc/passwd")),
                ("unlabelled", BAD_DATA, "nothing to learn", self.sample("?", loss=False)),
                ("unanswered", BAD_DATA, "no assistant message",
                 json.dumps({"messages": [{"role": "user", "content": "?"}]}) + "\n"),
                ("long", BAD_DATA, "do not fit into a step of train.tokens_per_step = 768", self.sample("word " * 900))]:
            # The last line: nothing of the first steps comes near it.
            last = len(self.read("configs/tiny/tiny.jsonl").splitlines())
            data = self.data(name + ".jsonl", line, at=last)
            self.train(code, [f"data/{name}.jsonl:{last + 1}", says], data)
            self.lint_agrees(code, [f"data/{name}.jsonl:{last + 1}", says], data)
        self.train(BAD_DATA, "data/three.jsonl:3:15: not valid JSON", self.data("three.jsonl", '{"messages": [}\n', at=2),
                   ranks=3)

    def test_an_overlong_sample_at_the_end_is_found_by_the_rank_that_looks_at_it(self):
        self.train(BAD_DATA, ["data/long.jsonl:2: ", "raise it, or shorten the sample"],
                   self.data("long.jsonl", self.sample("word " * 900), at=1), ranks=3)

    def test_data_sets_that_are_not_there_or_empty_are_named(self):
        self.write("empty.jsonl", "")
        self.train(BAD_DATA, "empty.jsonl: no samples", "data.train=[{messages: empty.jsonl}]")
        self.train(MISSING, ["data.train.0.messages: nowhere.jsonl", "command line: "],
                   "data.train=[{messages: nowhere.jsonl}]")
        self.train(MISSING, ["data.eval.0.messages: nowhere.jsonl", "command line: "],
                   "data.eval=[{messages: nowhere.jsonl}]", ranks=3)
        self.train(USAGE, ["data.train", "{messages: FILE.jsonl}"], "data.train=[]")
        self.train(USAGE, ["data.train.0", "messages: FILE.jsonl"], "data.train=[{}]")
        self.refused(MISSING, "nowhere.jsonl", "generate", "--model", MODEL, "--data", "nowhere.jsonl")
        self.refused(MISSING, "nowhere.png", "generate", "--model", MODEL, "--prompt", "x", "--image", "nowhere.png")
        self.refused(MISSING, "nowhere.jsonl", "batch", "--model", MODEL, "--data", "nowhere.jsonl", "--out", "out")

    def test_a_source_is_of_one_kind_and_says_nothing_that_its_kind_has_not(self):
        for source, key, says in [
                ("{messages: a, llava: b}", "data.train.0", "name one of messages: FILE.jsonl, llava: FILE"),
                ("{weight: 2}", "data.train.0", "webdataset: [SHARD.tar, ...]"),
                ("{messages: a, tags: {user: Q}}", "data.train.0.tags", "only sharegpt has tags"),
                ("{text: a, images: b}", "data.train.0.images", "only messages, llava and sharegpt"),
                ("{tensors: [a], ignore: [b]}", "data.train.0.ignore", "ready batches have no records"),
                ("{text: a, samples: 0}", "data.train.0.samples", "0 must be positive"),
                ("{text: a, weight: 0}", "data.train.0.weight", "0 must be positive"),
                ("{tensors: [a], samples: 3}", "data.train.0.samples", "taken whole")]:
            self.train(USAGE, [key + ": ", says, "command line: "], f"data.train=[{source}]")
        self.train(USAGE, ["data.eval.0.weight: a held-out set is read whole"], "data.eval=[{text: a, weight: 2}]")
        self.train(USAGE, ['unknown key "tag"', 'did you mean "tags"?'], "data.train=[{sharegpt: a, tag: {}}]")
        self.train(USAGE, ["data.overlong", "shrink-images"], "data.overlong=cut")
        self.train(USAGE, ["data.max_tokens: 0"], "data.max_tokens=0")
        for key in ["llava", "sharegpt", "text"]:
            self.train(MISSING, [f"data.train.0.{key}: nowhere.json"], f"data.train=[{{{key}: nowhere.json}}]")
        self.train(MISSING, ["data.train.0.images: nowhere"], "data.train=[{llava: configs/tiny.yaml, images: nowhere}]")
        self.train(MISSING, ["shard-001.tar"], "data.train=[{webdataset: ['shard-{001..002}.tar']}]")
        self.train(MISSING, ["data.train.0.webdataset.0: shard-*.tar: no file matches"], "data.train=[{webdataset: ['shard-*.tar']}]")

    def test_bad_samples_of_every_format_are_named_by_their_place(self):
        self.copy("goldens/data_formats", "formats")
        for name, source, old, new, code, says in [
                ("llava.json", "llava", '"value": "Red."', '"value": "Red.",', BAD_DATA, "formats/llava.json:13:7: not valid JSON"),
                ("llava.json", "llava", "Compare <image> and", "Compare", BAD_DATA,
                 "formats/llava.json:16, element 2: 1 <image> in the messages, but 2 images"),
                ("llava.json", "llava", '"image": "blue.jpg"', '"image": "../llava.json"', BAD_DATA,
                 "formats/llava.json:58, element 4: the image formats/pictures/../llava.json lies outside of formats/pictures, the "
                 "folder of the pictures; name one that holds it: images: FOLDER"),
                ("llava.json", "llava", '"image": "blue.jpg"', '"image": "green.jpg"', MISSING,
                 "formats/llava.json:58, element 4: cannot open the image formats/pictures/green.jpg"),
                ("llava_one_line.json", "llava", '"human"', '"user"', BAD_DATA,
                 'formats/llava_one_line.json:1, element 1: turn 1: "from": "user" is not human'),
                ("llava_one_line.json", "llava", "}]}]", "}]}", BAD_DATA,
                 "formats/llava_one_line.json:1: the file ends before the array does"),
                ("sharegpt.json", "sharegpt", '"images": []', '"images": ["red.png"]', BAD_DATA,
                 "element 3: 0 <image> in the messages, but 1 images"),
                ("messages.jsonl", "messages", '"role": "user"', '"role": "usr"', BAD_DATA,
                 'formats/messages.jsonl:1: message 1: role "usr"')]:
            content = self.read("formats/" + name)
            self.assertIn(old.encode(), content)
            self.write("formats/" + name, content.replace(old.encode(), new.encode()))
            data = f"data.train=[{{{source}: formats/{name}, images: formats/pictures}}]"
            self.train(code, says, data, ranks=3 if name == "sharegpt.json" else 1)
            self.lint_agrees(code, says, data)
            self.write("formats/" + name, content)
        self.write("formats/text.jsonl", '{"text": "t"}\n{"query": "q"}\n')
        self.train(BAD_DATA, 'formats/text.jsonl:2: no "response"', "data.train=[{text: formats/text.jsonl}]")

    @staticmethod
    def tar_member(name, content, **header):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for key, value in header.items():
            setattr(info, key, value)
        block = info.tobuf(tarfile.USTAR_FORMAT)
        return block + content + bytes(-len(content) % 512)

    def test_hostile_shards_are_refused_with_the_place(self):
        good = self.tar_member("a.json", b'{"text": "t"}')
        sparse = self.tar_member("b.json", b"", type=b"S")
        base256 = bytearray(self.tar_member("b.json", b""))
        base256[124:136] = b"\x80" + (1 << 40).to_bytes(11, "big")
        base256[148:156] = b" " * 8
        base256[148:156] = b"%06o\0 " % sum(base256[:512])
        for name, shard, says in [
                ("base256", good + bytes(base256), "member at byte 1024: a size in base 256"),
                ("beyond", good + self.tar_member("b.json", b"")[:124] + b"00000001000\0" + bytes(376), "checksum"),
                ("bomb", good + self.tar_member("x", b"1" * (1 << 20) + b"1", type=b"x"),
                 "member at byte 1024: an extended header of 1048577 bytes"),
                ("sparse", good + sparse, "member at byte 1024: a sparse file"),
                ("control", good + self.tar_member("b\x1b[2J.json", b""), "a name with a control character"),
                ("gzip", gzip.compress(good)[:-20], "gzip.tar: cut off: the packed file ends before its content does"),
                ("joined", good + bytes(1024) + good, "data behind the end of the archive at byte 1024"),
                ("cut", (good + good)[:1300], "member at byte 1024: the archive is cut within a header"),
                ("escape", good + self.tar_member("b.json", b'{"images": ["/etc/passwd"], "messages": []}'),
                 "escape.tar:b: image 1: the image /etc/passwd is not a member of the sample"),
                ("link", self.tar_member("a.json", b"", type=b"2", linkname="/etc/passwd"), "link.tar: the member a.json is a link to /etc/passwd"),
                ("unended", good, "unended.tar: cut off: the empty blocks that end an archive are missing"),
                ("nojson", good + self.tar_member("b.png", b"x"), "nojson.tar:b: no JSON member"),
                ("syntax", self.tar_member("a.json", b'{"text":\n}'), "syntax.tar:a.json:2:1: not valid JSON")]:
            self.write(name + ".tar", shard if name in ["cut", "gzip", "unended"] else shard + bytes(1024))
            self.train(BAD_DATA, [f"{name}.tar", says], f"data.train=[{{webdataset: [{name}.tar]}}]")
        os.makedirs(self.path("energon/.nv-meta"))
        self.write("energon/a.tar", good)
        self.write("energon/.nv-meta/sample_loader.py", "open('made', 'w')")
        self.train(BAD_DATA, "energon/.nv-meta/sample_loader.py: the samples of this data set are to be read by a program",
                   "data.train=[{webdataset: [energon/a.tar]}]")

    def test_what_is_no_file_is_refused_at_once_by_its_kind(self):
        """A pipe would be waited for as long as nobody writes to it."""
        os.mkfifo(self.path("pipe"))
        for name in ["pipe.jsonl", "pipe.json", "pipe.yaml", "pipe.safetensors", "pipe.tar", "pipe.png", "pipe.jinja"]:
            os.mkfifo(self.path(name))
        os.makedirs(self.path("folder.jsonl"))
        os.symlink("/dev/zero", self.path("device.jsonl"))
        pipe = "it is a pipe, not a file"
        for ranks in [1, 2]:
            self.train(MISSING, ["pipe.jsonl", pipe], "data.train=[{messages: pipe.jsonl}]", ranks=ranks)
        self.train(MISSING, ["folder.jsonl", "it is a folder"], "data.train=[{text: folder.jsonl}]")
        self.train(MISSING, ["device.jsonl", "it is a device, not a file"], "data.train=[{text: device.jsonl}]")
        self.train(MISSING, ["pipe.tar", pipe], "data.train=[{webdataset: [pipe.tar]}]")
        self.train(MISSING, ["pipe.safetensors", pipe], "data.train=[{tensors: [pipe.safetensors]}]")
        self.train(MISSING, ["pipe.json", pipe], "model.config=pipe.json")
        self.train(MISSING, ["pipe.jinja", pipe], "data.chat=pipe.jinja")
        self.refused(MISSING, ["pipe.yaml", pipe], "train", "pipe.yaml")
        self.refused(MISSING, ["pipe.safetensors", pipe], "inspect", "pipe.safetensors")
        for verb in [["data", "lint"], ["data", "stats", "--model", MODEL], ["batch", "--model", MODEL, "--out", "o", "--data"]]:
            result = self.run_longsight(*verb, "pipe.jsonl")
            self.assertEqual(result.code, MISSING, result.stderr)
            self.assertIn(pipe, result.stdout + result.stderr)
        self.refused(MISSING, ["pipe.png", pipe], "generate", "--model", MODEL, "--prompt", "x", "--image", "pipe.png")
        self.write("a.jsonl", self.sample("<image>?", "pipe.png"))
        self.train(BAD_DATA, ["a.jsonl:1", "pipe.png", pipe], "data.train=[{messages: a.jsonl}]")
        for name in ["config.json", "tokenizer.json", "model.safetensors"]:
            model = self.copy(MODEL, "model-" + name)
            os.remove(self.path(model, name))
            os.mkfifo(self.path(model, name))
            self.refused(MISSING, [name, pipe], "generate", "--model", model, "--prompt", "x")

    def test_null_is_a_source_that_is_not_given(self):
        self.train(USAGE, "name the model: from: FOLDER", "model.config=~")
        result = self.run_longsight("plan", "configs/tiny.yaml", "model.config=~", "model.tokenizer=~", "model.from=" + MODEL)
        self.assertEqual(result.code, 0, result.stderr)

    def test_data_verbs_refuse_what_they_cannot_read(self):
        self.write("odd.jsonl", '{"odd": 1}\n')
        self.refused(BAD_DATA, "odd.jsonl: its first record does not say what it is", "data", "index", "odd.jsonl")
        self.refused(MISSING, "nowhere.jsonl", "data", "stats", "--model", MODEL, "nowhere.jsonl")
        self.refused(USAGE, "--model DIR", "data", "stats", "configs/tiny/tiny.jsonl")
        self.refused(USAGE, "data files or one configuration", "data", "index", "configs/tiny.yaml", "odd.jsonl")
        self.refused(USAGE, "--kind and --images are for data files", "data", "lint", "configs/tiny.yaml", "--kind", "text")
        self.refused(USAGE, "--samples 0", "data", "preview", "configs/tiny.yaml", "--out", "out", "--samples", "0")
        self.refused(MISSING, "nowhere.ttf: no such font", "data", "preview", "configs/tiny.yaml", "--out", "out", "--font",
                     "nowhere.ttf")
        self.refused(CANNOT_WRITE, "cannot write /proc/out", "data", "preview", "configs/tiny.yaml", "--out", "/proc/out")
        self.write("a.jsonl", self.sample("<image>?", "nowhere.png"))
        self.refused(MISSING, "a.jsonl:1: image 1: cannot open the image", "data", "index", "a.jsonl")
        self.refused(BAD_DATA, "text.jsonl:1: ", "batch", "--model", MODEL, "--out", "out", "--data",
                     self.write("text.jsonl", '{"text": ""}\n'))

    def corrupt_images(self):
        """Name and content of pictures that cannot be decoded to the end."""
        png = self.read("configs/tiny/png/red_square.png")
        jpeg = self.read(GOLDEN + "/images/photo.jpg")
        self.data("tiny.jsonl")
        return {"cut.png": png[:len(png) // 2], "cut.jpg": jpeg[:len(jpeg) // 2],
                "flipped.png": png[:60] + b"\0\0\0\0" + png[64:], "text.png": b"no picture"}

    def test_a_corrupt_image_ends_the_run_wherever_it_is_decoded(self):
        for name, content in self.corrupt_images().items():
            self.write("data/png/" + name, content)
            data = self.data(name + ".jsonl", self.sample("<image>?", "png/" + name))
            self.train(BAD_DATA, [f"data/{name}.jsonl:5: data/png/{name}: "], data)
        for name, degree in [("cut.png", 1), ("cut.jpg", 3)]:
            self.train(BAD_DATA, [f"data/{name}.jsonl:5: data/png/{name}: corrupt "], f"parallel.sequence={degree}",
                       f"data.train=[{{messages: data/{name}.jsonl}}]", ranks=3)
        name = "cut.jpg"
        self.refused(BAD_DATA, f"data/png/{name}: corrupt JPEG", "eval", "configs/tiny.yaml",
                     f"data.eval=[{{messages: data/{name}.jsonl}}]", ranks=3)
        self.refused(BAD_DATA, f"data/png/{name}: corrupt JPEG", "batch", "--model", MODEL, "--data",
                     f"data/{name}.jsonl", "--out", "out")
        self.refused(BAD_DATA, f"data/png/{name}: corrupt JPEG", "generate", "--model", MODEL, "--data",
                     f"data/{name}.jsonl", "--max-tokens", "1", ranks=3)

    def test_a_corrupt_image_in_the_middle_of_training_keeps_what_was_measured(self):
        name = "cut.png"
        self.write("data/png/" + name, self.corrupt_images()[name])
        result = self.refused(BAD_DATA, f"data/png/{name}: corrupt PNG", "train", "configs/tiny.yaml", "output.dir=run",
                              "train.tokens_per_step=130", "data.eval=[]", "data.decode_first=false", "parallel.sequence=3", "train.steps=200",
                              self.data("late.jsonl", self.sample("<image>?", "png/" + name), at=18), ranks=3,
                              leaves={"run", *("run/" + f for f in ("run.json", "config.yaml", "plan.txt", "plan.json",
                                                                    "metrics.jsonl", "lock", "heartbeats"))})
        self.assertGreaterEqual(len(self.read("run/metrics.jsonl").splitlines()), 1, result.stderr)

    # ready batches

    def batch(self, name, change):
        tensors = tensor_bytes(self.read(GOLDEN + "/batch.safetensors"))
        change(tensors)
        return self.write(name + ".safetensors", pack_safetensors(tensors))

    @staticmethod
    def set_number(tensor, index, value):
        def change(tensors):
            dtype, shape, data = tensors[tensor]
            numbers = list(struct.unpack(f"<{len(data) // 8}q", data))
            numbers[index] = value
            tensors[tensor] = dtype, shape, struct.pack(f"<{len(numbers)}q", *numbers)
        return change

    def test_batches_that_do_not_fit_the_model_are_refused(self):
        config = json.loads(self.read(MODEL + "/config.json"))
        token = config.get("image_token_index", config.get("image_token_id"))
        ids = tensor_bytes(self.read(GOLDEN + "/batch.safetensors"))["input_ids"][2]
        place = struct.unpack(f"<{len(ids) // 8}q", ids).index(token)

        def without_labels(tensors):
            dtype, shape, data = tensors["labels"]
            tensors["labels"] = dtype, shape, struct.pack("<q", -100) * (len(data) // 8)

        def without_an_image(tensors):
            dtype, shape, data = tensors["pixel_values"]
            tensors["pixel_values"] = dtype, [shape[0] - 1, *shape[1:]], data[:-len(data) // shape[0]]

        cases = [("placeholder", ["row 0", "15 image placeholder tokens are 1 too few for 1 images"],
                  self.set_number("input_ids", place, 5)),
                 ("id", ["row 0", "token id 999999 is outside the vocabulary"], self.set_number("input_ids", 0, 999999)),
                 ("negative", ["row 0", "token id -1"], self.set_number("input_ids", 0, -1)),
                 ("label", ["row 0", "label 999999"], self.set_number("labels", 0, 999999)),
                 ("mask", ["row 0", "attention_mask is not ones followed by zeros"],
                  self.set_number("attention_mask", 1, 0)),
                 ("unlabelled", ["no supervised token"], without_labels),
                 ("missing", ["tensor labels is missing"], lambda t: t.pop("labels")),
                 ("surplus", ["tensor image_grid_thw"], lambda t: t.update(image_grid_thw=t["labels"])),
                 ("images", ["placeholders for more images"], without_an_image)]
        for name, says, change in cases:
            file = self.batch(name, change)
            self.refused(BAD_DATA, [file, *says], "gradients", "--model", MODEL, "--batch", file, "--out",
                         "out.safetensors")
        # The second file of a run is looked at before its first step, by whichever rank.
        for name, says, _ in cases[:1] + cases[5:6]:
            overrides = [*FROM_SCRATCH, "model.from=" + MODEL, "data.eval=[]",
                         f"data.train=[{{tensors: [{GOLDEN}/batch.safetensors, {name}.safetensors]}}]"]
            self.train(BAD_DATA, [name + ".safetensors", *says], *overrides, ranks=3)
            self.lint_agrees(BAD_DATA, [name + ".safetensors", *says], *overrides)

    # output

    def test_places_that_cannot_be_written_are_found_before_the_work(self):
        file = self.write("file", "in the way")
        for target in [file, file + "/run", "/proc/longsight-test"]:
            self.refused(CANNOT_WRITE, "cannot write " + target, "train", "configs/tiny.yaml", "output.dir=" + target,
                         ranks=3 if target == file else 1)
        batch = ["gradients", "--model", MODEL, "--batch", GOLDEN + "/batch.safetensors", "--out"]
        for target in [file + "/out", "nowhere/out", "/proc/out"]:
            self.refused(CANNOT_WRITE, "cannot write " + target, *batch, target)
        self.refused(CANNOT_WRITE, "configs", *batch, "configs")
        self.refused(CANNOT_WRITE, "file/out", "export", MODEL, "file/out")
        self.refused(CANNOT_WRITE, "file exists already", "export", MODEL, "file")
        self.refused(CANNOT_WRITE, "file/out", "batch", "--model", MODEL, "--data", GOLDEN + "/samples.jsonl", "--out",
                     "file/out")

    def test_results_that_cannot_be_written_are_not_lost_in_silence(self):
        with open("/dev/full", "w") as full:
            for command in [["audit", "configs/tiny.yaml", "train.tokens_per_step=130", "--json"],
                            ["plan", "configs/tiny.yaml"], ["inspect", MODEL, "--json"],
                            ["eval", "configs/tiny.yaml"]]:
                self.refused(CANNOT_WRITE, "cannot write to stdout", *command, stdout=full)

    def test_a_non_finite_loss_stops_before_the_update(self):
        for ranks in [1, 3]:
            shutil.rmtree(self.path("run"), ignore_errors=True)
            self.train(NON_FINITE, ["step 2: loss nan", "train.optimizer.lr"], "train.optimizer.lr=1e30",
                       "train.optimizer.warmup=0", "train.steps=5", ranks=ranks,
                       leaves={"run", *("run/" + f for f in ("run.json", "config.yaml", "plan.txt", "plan.json",
                                                             "metrics.jsonl"))})
            lines = [json.loads(line) for line in self.read("run/metrics.jsonl").splitlines()]
            self.assertEqual([line["step"] for line in lines], [1])


if __name__ == "__main__":
    unittest.main()

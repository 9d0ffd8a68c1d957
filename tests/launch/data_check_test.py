#!/usr/bin/python3
"""What is looked at before the first step: `data lint` and training refuse the same, and as much is trained as was asked."""
import json
import os
import re
import struct
import sys
import unittest
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import JobTest  # noqa: E402

USAGE, BAD_DATA, MISSING = 64, 65, 66
LLAVA = "goldens/llava-clip-llama"
QWEN = "goldens/qwen2-vl"


def record(question, *pictures, answer="x", **keys):
    return json.dumps({"images": pictures, "messages": [{"role": "user", "content": question},
                                                        {"role": "assistant", "content": answer}], **keys}) + "\n"


class DataCheckTest(JobTest):
    def setUp(self):
        super().setUp()
        self.write("data/ok.jpg", self.read(LLAVA + "/images/photo.jpg"))
        self.write("data/cut.jpg", self.read(LLAVA + "/images/photo.jpg")[:-300])
        self.write("data/ok.png", self.read("configs/tiny/png/red_square.png"))
        self.write("data/cut.png", self.read("configs/tiny/png/red_square.png")[:74])

    def config(self, name, *lines, model=LLAVA, held_out=None, **train):
        """A configuration that trains the lines, or the files of data.train given as `sources`."""
        sources = train.pop("sources", None)
        data = train.pop("data", {})
        if sources is None:
            self.write(f"data/{name}.jsonl", "".join(lines))
            sources = [{"messages": f"data/{name}.jsonl"}]
        if held_out is not None:
            self.write(f"data/{name}-eval.jsonl", "".join(held_out))
            data["eval"] = [{"messages": f"data/{name}-eval.jsonl"}]
        train = {"tokens_per_step": 256, "epochs": 1, "optimizer": {"lr": 1e-4}, **train}
        return self.write(name + ".yaml", json.dumps({"model": {"from": model + "/model"},
                                                      "data": {"train": sources, **data}, "train": train,
                                                      "output": {"dir": "run-" + name}}))

    def train(self, config, *overrides, ranks=1):
        return self.run_longsight("train", config, *overrides, ranks=ranks)

    def trained(self, config, *overrides, ranks=1, run=None):
        """What it said, and its metrics."""
        run = run or "run-" + config.removesuffix(".yaml") + str(ranks)
        result = self.train(config, "output.dir=" + run, *overrides, ranks=ranks)
        self.assertEqual((result.code, result.errors()), (0, []), result.stderr)
        return result.stderr, [json.loads(line) for line in self.read(run + "/metrics.jsonl").splitlines()]

    # lint = train

    def refusals(self):
        """Configurations of which something is refused: name, lines, what else, and the lines that are wrong."""
        fine = [record(f"<image>What {i}?", "ok.png", answer=f"A {i}.") for i in range(6)]
        text = [record(f"What {i}?") for i in range(6)]
        return [
            ("cut_jpeg", [*fine, record("<image>?", "cut.jpg")], {}, [7]),
            ("cut_png", [record("<image>?", "cut.png"), *fine], {}, [1]),
            ("missing", [*fine, record("<image>?", "nowhere.png")], {}, [7]),
            ("several", [record("<image>?", "cut.png"), *fine, record("<image>?", "nowhere.png"), "{\n",
                         record("<image><image>?", "ok.png")], {}, [1, 8, 9, 10]),
            ("pad_in_text", [*text, record("The token is <|image_pad|> ok")], {"model": QWEN}, [7]),
            ("overlong", [*text, record("word " * 900), record("word " * 800)], {"model": QWEN}, [7, 8]),
            ("pictures", [*text, record("<image>" * 40, *["photo.jpg"] * 40)], {"model": QWEN}, [7]),
            ("wide", [*text, record("<image>?", "ribbon.png")], {"model": QWEN}, [7]),
            ("video", [*text, json.dumps({"videos": [["ok.png"]], "messages": [
                {"role": "user", "content": "<video>?"}, {"role": "assistant", "content": "x"}]}) + "\n"], {}, [7]),
            ("nothing", [*text, json.dumps({"messages": [{"role": "user", "content": "?"}, {
                "role": "assistant", "content": "x", "loss": False}]}) + "\n"], {}, [7]),
            ("held_out", fine, {"held_out": [record("<image>?", "ok.png"), record("<image>?", "cut.png")]}, [2]),
            ("held_out_long", text, {"held_out": [record("word " * 900)]}, [1]),
        ]

    def ribbon(self):
        """A valid PNG of 2276 x 10 pixels: the longer side is more than 200 times the shorter one."""
        def chunk(kind, body):
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        self.write("data/ribbon.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2276, 10, 8, 0, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * 2276) * 10)) + chunk(b"IEND", b""))

    def test_lint_of_a_configuration_lists_what_training_refuses(self):
        self.ribbon()
        self.write("data/photo.jpg", self.read(QWEN + "/images/photo.jpg"))
        for name, lines, options, wrong in self.refusals():
            with self.subTest(name):
                config = self.config(name, *lines, **options)
                lint = self.run_longsight("data", "lint", config)
                self.assertEqual(lint.code, MISSING if name == "missing" else BAD_DATA, lint.stderr)
                listed = lint.stdout.splitlines()
                file = f"data/{name}{'-eval' if 'held_out' in options else ''}.jsonl"
                self.assertEqual([re.match(re.escape(file) + r":(\d+)", line).group(1) for line in listed],
                                 [str(line) for line in wrong], lint.stdout)
                self.assertIn(f"{len(wrong)} problems", lint.stderr)
                for ranks in [1, 3]:
                    refused = self.train(config, ranks=ranks)
                    self.assertEqual(refused.code, lint.code, refused.stderr)
                    self.assertFalse(os.path.exists(self.path("run-" + name)))
                    if len(wrong) == 1:
                        self.assertEqual(set(refused.errors()), set(listed), refused.stderr)
                    else:
                        said = [re.sub(r"^\[rank 0\] ", "", line) for line in refused.stderr.splitlines()]
                        self.assertEqual([line for line in said if line in listed], listed, refused.stderr)
                        self.assertIn(f"{listed[0]}; and {len(wrong) - 1} more of ", refused.errors()[0])

    def test_verbs_on_a_configuration_leave_out_what_training_leaves_out(self):
        config = self.config("skip", *[record(f"<image>What {i}?", "ok.png", answer=f"A {i}.") for i in range(3)],
                             record("<image>?", "nowhere.png"), '{"messages": 5}\n', record("The last?"))
        verbs = {"lint": [], "stats": ["--json"], "index": ["--out", "index"], "preview": ["--out", "shown", "--samples", "4"]}
        for verb, options in verbs.items():
            with self.subTest(verb):
                self.assertEqual(self.run_longsight("data", verb, config, *options).code, MISSING)
                done = self.run_longsight("data", verb, config, "data.bad=skip", *options)
                self.assertEqual((done.code, done.errors()), (0, []), done.stderr)
                said = done.stdout + done.stderr
                self.assertIn("data/skip.jsonl:4: ", said)
                self.assertIn("data/skip.jsonl:5: ", said)
                if verb == "lint":
                    self.assertIn("6 samples, 2 problems; data.bad: skip leaves out those that cannot be read", said)
                elif verb != "preview":  # which looks at the first samples only
                    self.assertIn("2 of 6 samples cannot be read and are left out", said)
                if verb == "stats":
                    facts = json.loads(done.stdout)
                    self.assertEqual([facts[key] for key in ["samples", "left_out", "images"]], [4, 2, 3])
                    self.assertEqual(sum(bucket["samples"] for bucket in facts["token_histogram"]), 4)
        shown = self.read("shown/preview.txt").decode()
        self.assertEqual(re.findall(r"skip\.jsonl:(\d+): ", shown), ["1", "2", "3", "6"])
        # A picture is decoded by those that look at it.
        cut = self.config("cut", record("<image>?", "cut.png"), *[record(f"What {i}?") for i in range(3)])
        for options in [["lint"], ["preview", "--out", "shown"]]:
            self.assertEqual(self.run_longsight("data", options[0], cut, *options[1:]).code, BAD_DATA)
            self.assertEqual(self.run_longsight("data", options[0], cut, "data.bad=skip", *options[1:]).code, 0)
        # As training refuses it: all of them, or a hundred in a row.
        for name, lines in {"all": ["{}\n"] * 3, "row": [record("?")] + ["{}\n"] * 100 + [record("?")]}.items():
            config = self.config(name, *lines)
            for verb, options in verbs.items():
                with self.subTest(verb, name=name):
                    refused = self.run_longsight("data", verb, config, "data.bad=skip", *options)
                    self.assertEqual(refused.code, BAD_DATA, refused.stderr)
                    self.assertIn("samples in a row cannot be read, more than data.bad: skip leaves out",
                                  refused.stdout + refused.stderr)

    def test_what_lint_passes_is_trained(self):
        config = self.config("fine", *[record(f"<image>What {i}?", "ok.png") for i in range(9)],
                             held_out=[record("<image>?", "ok.jpg")])
        lint = self.run_longsight("data", "lint", config)
        self.assertEqual((lint.code, lint.stdout), (0, ""), lint.stderr)
        self.assertIn("10 samples, 0 problems", lint.stderr)
        said, metrics = self.trained(config, ranks=3)
        self.assertIn("data: 9 samples", said)
        self.assertIn("held-out data: 1 samples", said)

    def test_lint_of_files_says_what_it_does_not_check(self):
        self.write("data/a.jsonl", record("<image>?", "cut.jpg"))
        result = self.run_longsight("data", "lint", "data/a.jsonl")
        self.assertEqual(result.code, 0)
        self.assertIn("1 samples, 0 problems; not checked, for want of a configuration: tokens, lengths", result.stderr)
        self.assertIn("not further than their headers (--decode)", result.stderr)
        self.assertEqual(self.run_longsight("data", "lint", "--decode", "data/a.jsonl").code, BAD_DATA)

    def test_lint_checks_ready_batches_and_files_that_cannot_be_opened(self):
        self.write("bad.safetensors", b"\0" * 30)
        config = self.config("ready", sources=[{"tensors": [LLAVA + "/batch.safetensors", "bad.safetensors"]}],
                             data={"eval": [{"messages": "data/empty.jsonl"}]})
        self.write("data/empty.jsonl", "")
        lint = self.run_longsight("data", "lint", config)
        self.assertEqual(lint.code, BAD_DATA, lint.stderr)
        self.assertEqual(len(lint.stdout.splitlines()), 2, lint.stdout)
        self.assertIn("data/empty.jsonl: no samples", lint.stdout)
        self.assertIn("bad.safetensors", lint.stdout)

    def test_ten_problems_are_shown_and_all_counted(self):
        config = self.config("many", *[record("<image>?", "nowhere.png" if i % 3 else "ok.png") for i in range(60)])
        for ranks in [1, 3]:
            refused = self.train(config, ranks=ranks)
            self.assertEqual(refused.code, MISSING, refused.stderr)
            lines = re.findall(r"^(?:\[rank 0\] )?data/many\.jsonl:(\d+): ", refused.stderr, re.M)
            self.assertEqual(lines, ["2", "3", "5", "6", "8", "9", "11", "12", "14", "15"])
            self.assertIn("; and 39 more of 60 samples cannot be trained (the first ones named above)",
                          refused.errors()[0])

    # data.bad: skip

    def test_bad_samples_are_left_out_alike_on_any_number_of_ranks(self):
        lines = [record(f"<image>What {i}?", "cut.jpg" if i in (4, 30) else "ok.png", answer=f"A {i}.")
                 for i in range(40)]
        lines[17] = "{]\n"
        config = self.config("skip", *lines, data={"bad": "skip"},
                             held_out=[record("<image>?", "cut.png"), record("<image>?", "ok.png")])
        seen = []
        for ranks in [1, 3]:
            said, metrics = self.trained(config, ranks=ranks)
            for line in [5, 18, 31]:
                self.assertIn(f"left out: data/skip.jsonl:{line}:", said)
            self.assertIn("left out: data/skip-eval.jsonl:1: ", said)
            self.assertIn("data: 40 samples, 3 of them bad and left out", said)
            self.assertIn("held-out data: 2 samples, 1 of them bad and left out", said)
            self.assertRegex(said, r"37 samples: 1\.00 epochs of 37 samples")
            seen.append([(line["tokens"], line["supervised_tokens"]) for line in metrics])
        self.assertEqual(seen[0], seen[1])
        listed = self.run_longsight("data", "lint", config)
        self.assertEqual(listed.code, 0, listed.stderr)  # as training, which leaves them out
        self.assertIn("42 samples, 4 problems; data.bad: skip leaves out", listed.stderr)
        self.assertEqual([re.match(r"data/(skip[^:]*:\d+):", line).group(1) for line in listed.stdout.splitlines()],
                         ["skip.jsonl:5", "skip.jsonl:18", "skip.jsonl:31", "skip-eval.jsonl:1"])
        evaluated = self.run_longsight("eval", config, "--json", ranks=3)
        self.assertEqual(json.loads(evaluated.stdout)["samples"], 1, evaluated.stderr)

    def test_ready_batches_that_cannot_be_read_are_left_out(self):
        good = [LLAVA + "/batch.safetensors", LLAVA + "/batch2.safetensors"]
        self.write("bad.safetensors", b"\0" * 30)
        without = self.trained(self.config("without", sources=[{"tensors": good}], epochs=1.5))[1]
        self.assertEqual(len(without), 3)
        config = self.config("ready", sources=[{"tensors": [good[0], "bad.safetensors", good[1]]}],
                             data={"bad": "skip"}, epochs=1.5)
        for ranks in [1, 3]:
            metrics = self.trained(config, ranks=ranks)[1]
            self.assertEqual([line["supervised_tokens"] for line in metrics],
                             [line["supervised_tokens"] for line in without])
        refused = self.train(config, "data.bad=error", ranks=3)
        self.assertEqual(refused.code, BAD_DATA)
        self.assertIn("bad.safetensors", refused.errors()[0])

    def test_data_that_are_bad_as_a_whole_are_not_left_out(self):
        row = [record("<image>?", "nowhere.png")] * 100
        fine = [record("?")] * 50
        for name, lines, says in [("row", [*fine, *row, *fine], "data/row.jsonl:51: 100 samples in a row cannot be read"),
                                  ("all", row[:3], "data/all.jsonl:1: 3 samples in a row cannot be read")]:
            config = self.config(name, *lines, data={"bad": "skip"})
            for ranks in [1, 3]:
                refused = self.train(config, ranks=ranks)
                self.assertEqual(refused.code, BAD_DATA, refused.stderr)
                self.assertIn(says, refused.errors()[0])
            lint = self.run_longsight("data", "lint", config)
            self.assertEqual((lint.code, lint.stdout.splitlines()[-1]), (BAD_DATA, refused.errors()[0]))
        config = self.config("almost", *fine, *row[1:], *fine, data={"bad": "skip"})
        self.assertIn("1.00 epochs of 100 samples", self.trained(config)[0])

    def test_overlong_samples_are_not_bad_ones(self):
        config = self.config("long", record("?"), record("word " * 900), data={"bad": "skip"})
        refused = self.train(config)
        self.assertEqual(refused.code, BAD_DATA)
        self.assertIn("data/long.jsonl:2: ", refused.errors()[0])
        self.assertIn("data.overlong: drop", refused.errors()[0])
        self.assertIn("1.00 epochs of 1 samples", self.trained(config, "data.overlong=drop")[0])

    def test_pictures_that_are_not_decoded_first_end_the_run_with_the_reason(self):
        lines = [record(f"<image>What {i}?", "cut.jpg" if i == 30 else "ok.png") for i in range(40)]
        config = self.config("late", *lines, data={"bad": "skip", "decode_first": False})
        for ranks in [1, 3]:
            refused = self.train(config, f"output.dir=late{ranks}", ranks=ranks)
            self.assertEqual(refused.code, BAD_DATA, refused.stderr)
            self.assertIn("data/late.jsonl:31: data/cut.jpg: ", refused.errors()[0])
            self.assertIn("data.decode_first: false", refused.errors()[0])
            self.assertIn("data.bad: skip cannot leave this sample out", refused.errors()[0])

    def test_the_index_remembers_which_pictures_were_decoded(self):
        os.mkdir(self.path("index"))
        config = self.config("known", *[record("<image>?", "ok.png" if i else "ok.jpg") for i in range(8)],
                             data={"index": "index"})
        self.trained(config, run="first")
        self.assertEqual([name for name in os.listdir(self.path("index")) if name.endswith(".pictures")],
                         os.listdir(self.path("index")))
        # Broken with the size and the time as before: it has changed all the same.
        state = os.stat(self.path("data/ok.png"))
        content = self.read("data/ok.png")
        self.write("data/ok.png", content[:60] + b"\0" * 4 + content[64:])
        os.utime(self.path("data/ok.png"), ns=(state.st_atime_ns, state.st_mtime_ns))
        broken = self.train(config)
        self.assertEqual(broken.code, BAD_DATA, broken.stderr)
        self.assertIn("data/known.jsonl:2: data/ok.png", broken.stderr)
        self.assertEqual(self.run_longsight("data", "lint", config).code, BAD_DATA)
        self.write("data/ok.png", content)
        self.trained(config, run="second", ranks=3)

    def test_held_out_data_of_which_nothing_is_learned_are_refused_by_training_and_lint(self):
        silent = json.dumps({"messages": [{"role": "user", "content": "?"},
                                          {"role": "assistant", "content": "x", "loss": False}]}) + "\n"
        config = self.config("silent", record("?"), held_out=[silent])
        for command in [["train", config], ["data", "lint", config]]:
            refused = self.run_longsight(*command)
            self.assertEqual(refused.code, BAD_DATA, refused.stderr)
        files = self.run_longsight("data", "lint", self.write("data/gone.jsonl", record("<image>?", "nowhere.png")))
        self.assertEqual(files.code, MISSING, files.stderr)

    # as much as was asked

    def test_epochs_that_take_minutes_to_count_are_refused_at_once(self):
        config = self.epoch_config("endless", [1] * 20)
        for epochs, says in [("1e9", "train.epochs: 1000000000 is more than 100000000"), ("9e7", "give train.steps")]:
            for command in [["train", config], ["data", "lint", config]]:
                refused = self.run_longsight(*command, "train.epochs=" + epochs)
                self.assertEqual(refused.code, USAGE, refused.stderr)
                self.assertIn(says, refused.errors()[0])

    def epoch_config(self, name, lengths, **train):
        return self.config(name, *[record("Say it.", answer=f"word {i} " * n) for i, n in enumerate(lengths)], **train)

    def test_an_epoch_is_every_sample_once_whatever_their_lengths(self):
        # Six giants among sixty: the first step says nothing about the others.
        lengths = [1] * 30 + [40] * 6 + [1] * 30
        tokens = set()
        for seed in [1, 2, 3]:
            config = self.epoch_config(f"giants{seed}", lengths, tokens_per_step=400, seed=seed)
            said, metrics = self.trained(config)
            self.assertIn(f"{len(metrics)} steps, 66 samples: 1.00 epochs of 66 samples", said)
            tokens.add(sum(line["tokens"] for line in metrics))
            twice = self.trained(config, "train.epochs=2.5", ranks=3)[1]
            self.assertGreater(sum(line["tokens"] for line in twice), 2 * max(tokens))
        self.assertEqual(len(tokens), 1)

    def test_sets_without_weights_are_one_and_with_weights_the_log_says_how_often_each_is_passed(self):
        for name, samples in [("big", 100), ("small", 10)]:
            self.write(f"data/{name}.jsonl", "".join(record("Say it.", answer=f"{name} {i}") for i in range(samples)))
        sources = [{"messages": "data/big.jsonl"}, {"messages": "data/small.jsonl"}]
        said, _ = self.trained(self.config("one", sources=sources))
        self.assertIn("110 samples: 1.00 epochs of 110 samples", said)
        self.assertIn("data/big.jsonl: 1.00 passes over 100 samples", said)
        self.assertIn("data/small.jsonl: 1.00 passes over 10 samples", said)
        said, _ = self.trained(self.config("weighted", sources=[{**s, "weight": 1} for s in sources]))
        self.assertIn("110 samples: 1.00 epochs of 110 samples", said)
        self.assertIn("data/big.jsonl: 0.55 passes over 100 samples", said)
        self.assertIn("data/small.jsonl: 5.50 passes over 10 samples", said)

    def test_a_warm_up_that_outlasts_the_run_is_refused_by_training_and_lint(self):
        config = self.epoch_config("warm", [1] * 20, tokens_per_step=400, optimizer={"lr": 1e-3, "warmup": 50})
        for command in [["train", config], ["data", "lint", config]]:
            refused = self.run_longsight(*command)
            self.assertEqual(refused.code, USAGE, refused.stderr)
            self.assertRegex(refused.errors()[0], r"train\.optimizer\.warmup: 50 steps .* the \d+ steps of the run")
        self.assertFalse(os.path.exists(self.path("run-warm")))


if __name__ == "__main__":
    unittest.main()

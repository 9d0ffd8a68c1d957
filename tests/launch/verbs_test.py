#!/usr/bin/python3
"""The verbs as a user runs them, on committed models and data: they end well, and what they write is as documented."""
import json
import os
import re
import struct
import sys
import unittest
import unittest.mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import JobTest, pack_safetensors, tensor_bytes  # noqa: E402

GOLDEN = "goldens/llava-clip-llama"
MODEL = GOLDEN + "/model"
METRICS = {"step", "epoch", "time", "loss", "grad_norm", "lr", "group_lr", "tokens", "visual_tokens",
           "supervised_tokens", "samples_seen", "tokens_seen", "skipped", "spikes", "seconds",
           "tokens_per_second", "gflops", "data_seconds", "comm_seconds", "memory_mib", "predicted_seconds",
           "predicted_memory_mib"}


class VerbsTest(JobTest):
    seconds = float(os.environ.get("LONGSIGHT_TEST_SECONDS", 60))

    def done(self, *arguments, ranks=1):
        result = self.run_longsight(*arguments, ranks=ranks)
        self.assertEqual(result.code, 0, result.stderr)
        self.assertEqual(result.errors(), [])
        return result

    def json_line(self, *arguments, ranks=1):
        """The only line on stdout."""
        lines = self.done(*arguments, ranks=ranks).stdout.splitlines()
        self.assertEqual(len(lines), 1, lines)
        return json.loads(lines[0])

    def train(self, run, *overrides, ranks=1):
        self.done("train", "configs/tiny.yaml", "train.steps=3", "output.dir=" + run, *overrides, ranks=ranks)
        return [json.loads(line) for line in self.read(run + "/metrics.jsonl").splitlines()]

    def weights(self, folder):
        return tensor_bytes(self.read(folder + "/model.safetensors"))

    def test_training_writes_the_documented_run_and_goes_alike_on_two_ranks(self):
        alone, together = self.train("alone"), self.train("together", ranks=2)
        for run, lines in [("alone", alone), ("together", together)]:
            self.assertEqual([line["step"] for line in lines], [1, 2, 3])
            for line in lines:
                self.assertEqual(set(line), METRICS)
                self.assertGreater(line["supervised_tokens"], 0)
                self.assertGreater(line["predicted_seconds"], 0)
                self.assertLessEqual(line["tokens"], 768)
            self.assertLess(lines[-1]["loss"], lines[0]["loss"])
            for name in ["config.yaml", "plan.txt", "plan.json", "model/config.json", "model/tokenizer.json",
                         "model/preprocessor_config.json"]:
                self.assertTrue(os.path.exists(self.path(run, name)), name)
            self.assertEqual([name for name in os.listdir(self.path(run)) if ".tmp" in name], [])
        for a, b in zip(alone, together):
            for key in ["tokens", "visual_tokens", "supervised_tokens", "lr"]:
                self.assertEqual(a[key], b[key])
            # f32: sums of a few hundred terms in another order, through three steps.
            self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-4 * a["loss"])

        # The run is what the other verbs take.
        held_out = self.json_line("eval", "alone", "--json")
        written = json.loads(self.read("alone/eval.jsonl").splitlines()[-1])
        self.assertEqual(held_out["samples"], 5)
        self.assertAlmostEqual(held_out["loss"], written["loss"], delta=1e-5 * written["loss"])
        again = self.json_line("eval", "configs/tiny.yaml", "model.from=alone/model", "model.config=''",
                               "model.tokenizer=''", "--json", ranks=2)
        self.assertAlmostEqual(again["loss"], held_out["loss"], delta=1e-5 * held_out["loss"])
        answers = self.done("generate", "--model", "alone", "--data", "configs/tiny/tiny_eval.jsonl", "--max-tokens", "3")
        lines = [json.loads(line) for line in answers.stdout.splitlines()]
        self.assertEqual(len(lines), 5)
        for line in lines:
            self.assertEqual(list(line), ["id", "turn", "generated", "reference", "exact"])
            self.assertEqual(line["exact"], line["generated"].strip() == line["reference"].strip())
        self.assertRegex(answers.stderr, r"exact: [0-9.]+ % \([0-9] of 5\)")
        self.assertEqual(set(self.json_line("inspect", "alone", "--json")), {"path", "what", "tensors", "modules", "parameters"})
        self.done("export", "alone", "exported", "--dtype", "f32")
        self.assertEqual(self.weights("exported"), self.weights("alone/model"))

    def test_weights_that_are_not_finite_end_every_verb_that_computes_with_them(self):
        weights = self.weights(MODEL)
        name = "language_model.model.norm.weight"
        dtype, shape, data = weights[name]
        weights[name] = (dtype, shape, struct.pack("<f", float("nan")) + data[4:])
        self.copy(MODEL, "model")
        self.write("model/model.safetensors", pack_safetensors(weights))
        for ranks in [1, 2]:
            result = self.run_longsight("eval", "configs/tiny.yaml", "model.from=model", "model.config=''",
                                        "model.tokenizer=''", ranks=ranks)
            self.assertEqual(result.code, 76, result.stderr)
            self.assertEqual(len(result.errors()), 1, result.stderr)
            self.assertIn("the held-out loss of tiny_eval is nan", result.errors()[0])
        for verb in [("export", "model", "out"), ("generate", "--model", "model", "--prompt", "?"),
                     ("gradients", "--model", "model", "--batch", GOLDEN + "/batch.safetensors", "--out", "out")]:
            result = self.run_longsight(*verb)
            self.assertEqual(result.code, 76, result.stderr)
            self.assertEqual(len(result.errors()), 1, result.stderr)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_numbers_of_threads_that_are_none_are_refused(self):
        for threads in ["abc", "0", "-3"]:
            with unittest.mock.patch.dict(os.environ, OMP_NUM_THREADS=threads):
                result = self.run_longsight("inspect", MODEL)
            self.assertEqual(result.code, 64, result.stderr)
            self.assertIn(f"OMP_NUM_THREADS={threads}: not a number of threads", result.errors()[0])

    def test_a_second_run_moves_the_first_aside(self):
        first = self.train("run", "train.steps=1", "data.eval=[]")
        self.train("run", "train.steps=1", "data.eval=[]", "train.seed=2")
        self.assertEqual(json.loads(self.read("run.1/metrics.jsonl"))["loss"], first[0]["loss"])
        self.assertNotEqual(json.loads(self.read("run/metrics.jsonl"))["loss"], first[0]["loss"])

    def test_the_audit_of_every_layout_on_three_ranks_passes(self):
        line = self.json_line("audit", "configs/tiny.yaml", "--layouts", "all", "--json", ranks=3)
        self.assertEqual(list(line), ["ranks", "layouts", "loss_relative_error", "parameters", "worst_parameter",
                                      "worst_relative_error"])
        self.assertEqual(line["ranks"], 3)
        # One for sequence 1; vision x language x exchange for 3; ZeRO stages 1 to 3 of each degree.
        # With a zigzag of the two language strategies whose three ranks work on some of the rows.
        self.assertEqual(line["layouts"], 1 + 5 * (5 + 2) * 2 + 2 * 3)
        self.assertEqual(line["parameters"], sum(map(self.has_gradient, self.untrained())))
        self.assertLessEqual(line["worst_relative_error"], 1e-9)
        self.assertLessEqual(line["loss_relative_error"], 1e-9)

    @staticmethod
    def has_gradient(name):
        """The features come from in front of the last of three vision blocks: nothing behind it is reached."""
        return not name.startswith(("vision_tower.vision_model.encoder.layers.2.",
                                    "vision_tower.vision_model.post_layernorm."))

    def untrained(self):
        """The tensors that training on configs/tiny.yaml begins with."""
        self.done("train", "configs/tiny.yaml", "train.steps=0", "data.eval=[]", "output.dir=untrained")
        return self.weights("untrained/model")

    def test_frozen_parts_keep_their_bits_and_pass_the_audit(self):
        before = self.untrained()
        self.train("frozen", "model.train.vision=false", "model.train.connector=false", "data.eval=[]", ranks=2)
        after = self.weights("frozen/model")
        self.assertEqual(set(after), set(before))
        for name, value in before.items():
            if name.startswith("language_model."):
                self.assertNotEqual(after[name], value, name)
            else:
                self.assertEqual(after[name], value, name)
        for part, prefix in [("vision", "vision_tower."), ("language", "language_model."),
                             ("connector", "multi_modal_projector.")]:
            line = self.json_line("audit", "configs/tiny.yaml", f"model.train.{part}=false", "train.tokens_per_step=200",
                                  "--json", ranks=2)
            self.assertEqual(line["parameters"],
                             sum(self.has_gradient(name) and not name.startswith(prefix) for name in before))
            self.assertLessEqual(line["worst_relative_error"], 1e-9)

    def test_a_plan_has_the_documented_keys_and_needs_no_ranks(self):
        plan = self.json_line("plan", "configs/tiny.yaml", "--ranks", "6", "--json", "parallel.sequence=3")
        for key in ["mesh", "blocks", "split", "memory", "exchange_bytes", "predicted_seconds", "rejected"]:
            self.assertIn(key, plan)
        kinds = {block["kind"] for block in plan["blocks"]}
        self.assertLessEqual({"vision_attention", "language_attention", "projection"}, kinds)
        for block in plan["blocks"]:
            self.assertLessEqual({"name", "kind", "heads", "kv_heads", "strategy", "recompute", "reason"}, set(block))
        for other in plan["rejected"]:
            self.assertTrue(other)
        self.assertIn("language_attention", self.done("plan", "configs/tiny.yaml").stdout)

    def test_precision_is_a_choice_of_two_that_plans_and_benchmarks_say(self):
        single, half = (self.json_line("plan", "configs/tiny.yaml", "--ranks", "2", "--json", f"train.precision={precision}",
                                       "parallel.sequence=2", "parallel.zero=0") for precision in ["f32", "bf16"])
        self.assertEqual([plan["precision"] for plan in (single, half)], ["f32", "bf16"])
        self.assertEqual(half["memory"]["parameters"], single["memory"]["parameters"] * 3 // 2)  # masters, and half of it for the weights
        for part in ["gradients", "optimizer", "checkpoint"]:
            self.assertEqual(half["memory"][part], single["memory"][part])
        self.assertLess(half["memory"]["activations"], single["memory"]["activations"])
        self.assertEqual(half["memory"]["inputs"] * 2, single["memory"]["inputs"])
        self.assertEqual(half["exchange"]["gradients"], single["exchange"]["gradients"])
        self.assertEqual(half["exchange"]["fusion"] * 2, single["exchange"]["fusion"])
        self.assertIn("precision bf16: activations", self.done("plan", "configs/tiny.yaml", "train.precision=bf16").stdout)
        step = ["bench", "step", "--model", "configs/models/tiny.json", "--tokens", "96", "--images", "2", "--steps", "1", "--json"]
        line = self.json_line(*step, "train.precision=bf16", "parallel.sequence=2", ranks=2)
        self.assertEqual(line["precision"], "bf16")
        self.assertEqual(line["activation_mib"], line["predicted_activation_mib"])
        for verb in [["plan"], ["train"], ["eval"]]:
            refused = self.run_longsight(*verb, "configs/tiny.yaml", "train.precision=half", "output.dir=run")
            self.assertEqual(refused.code, 64)
            self.assertIn("train.precision", refused.errors()[0])
            self.assertIn("bf16", refused.errors()[0])

    def test_a_model_alone_is_planned_with_the_lengths_that_are_given(self):
        config = "configs/models/tiny.json"
        h100 = ["--hardware", "configs/hardware/h100.yaml", "--ranks", "16"]
        nothing = self.run_longsight("plan", config, *h100)
        self.assertEqual(nothing.code, 64, nothing.stderr)
        self.assertIn("nothing is known about the length of samples", nothing.errors()[0])
        plan = self.json_line("plan", config, *h100, "--tokens", "4096", "--images", "16", "--samples", "3", "--json")
        self.assertEqual([plan["batch"][key] for key in ["samples", "tokens", "images"]], [3, 3 * 4096, 3 * 16])
        self.assertEqual(plan["mesh"]["world"], 16)
        self.assertEqual(plan["memory_budget"], 72_000_000_000)  # nine tenths of 80 GB
        self.assertLess(plan["memory"]["total"], plan["memory_budget"])
        self.assertGreater(plan["network_seconds"], 0)  # two nodes
        self.assertIn("published, not measured here", self.done("plan", config, *h100, "--tokens", "4096").stdout)

        budget = ["memory.budget=40MiB", "--images", "16"]
        longest = self.json_line("plan", config, *h100, "--max-tokens", *budget, "--json")
        self.assertEqual(longest["plan"]["batch"]["images"], 16)
        self.assertLess(longest["plan"]["memory"]["total"], 40 * 2**20)
        self.assertEqual([level["recompute"] for level in longest["by_recompute"]], ["none", "mlp", "attention", "block"])
        self.assertEqual(longest["max_tokens"], longest["by_recompute"][-1]["max_tokens"])
        # As a plan of its own it fits; of a tenth more tokens it is printed, and refused.
        self.done("plan", config, *h100, *budget, "--tokens", str(longest["max_tokens"]))
        longer = self.run_longsight("plan", config, *h100, *budget, "--tokens", str(longest["max_tokens"] * 11 // 10))
        self.assertEqual(longer.code, 64)
        self.assertIn("memory of the fullest rank", longer.stdout)
        self.assertIn("What would fit: ", longer.errors()[0])
        self.assertIn("32 ranks of as much memory", longer.errors()[0])

        for says, options in [("--tokens 20: 16 images of", ["--tokens", "20", "--images", "16"]),
                              ("--max-tokens looks for", ["--tokens", "4096", "--max-tokens"]),
                              ("--tokens 0", ["--tokens", "0"]), ("of --tokens N", ["--images", "3"]),
                              ("depends on memory.budget", ["--max-tokens", "memory.budget=none"])]:
            result = self.run_longsight("plan", config, *h100, *options)
            self.assertEqual(result.code, 64, result.stderr)
            self.assertIn(says, result.errors()[0])

    def test_a_calibrated_profile_is_what_plans_and_runs_predict_with(self):
        self.done("bench", "--calibrate", "--out", "here.yaml", ranks=2)
        plan = self.json_line("plan", "configs/tiny.yaml", "--ranks", "2", "--hardware", "here.yaml", "--json")
        profile = plan["hardware"]
        self.assertEqual(profile["origin"], "measured")
        self.assertIn("2 ranks", profile["source"])
        for kind in ["gemm", "attention", "copy"]:
            rates = profile[kind]
            self.assertEqual(rates, sorted(rates, key=lambda rate: rate["size"]))
            # From a hundred million to a hundred thousand million a second: any processor of these years.
            self.assertTrue(all(1e7 < rate["rate"] < 1e13 for rate in rates), rates)
        self.assertTrue(1e-8 < profile["link"]["latency"] < 1e-2, profile)
        self.assertTrue(1e7 < profile["link"]["bandwidth"] < 1e12, profile)
        self.assertIsNone(profile["network"])

        lines = self.train("run", "parallel.hardware=here.yaml", "data.eval=[]", ranks=2)
        planned = json.loads(self.read("run/plan.json"))
        self.assertEqual(planned["hardware"], profile)
        # The first step is the one that was planned: what it computes is known to the last FLOP.
        first = lines[0]
        self.assertAlmostEqual(first["gflops"] * first["seconds"] * 1e9 / planned["flops"], 1, delta=1e-9)
        self.assertAlmostEqual(first["predicted_seconds"] / planned["predicted_seconds"], 1, delta=1e-9)
        self.assertGreater(first["predicted_memory_mib"], planned["memory"]["total"] / 2**20)
        prediction = json.loads(self.read("run/run.json"))["prediction"]
        self.assertEqual(prediction["steps"], 2)
        errors = [line["predicted_seconds"] / line["seconds"] - 1 for line in lines[1:]]
        self.assertAlmostEqual(prediction["median_error"], sum(errors) / 2, delta=1e-9)
        self.assertAlmostEqual(prediction["worst_error"], max(errors, key=abs), delta=1e-9)

        alone = re.sub(r"link:\n( .*\n)+", "", self.read("here.yaml").decode())  # as one rank measures it
        self.write("alone.yaml", alone)
        self.done("plan", "configs/tiny.yaml", "--hardware", "alone.yaml")
        result = self.run_longsight("plan", "configs/tiny.yaml", "--ranks", "2", "--hardware", "alone.yaml")
        self.assertEqual(result.code, 64)
        self.assertIn("no link between ranks", result.errors()[0])

    def test_a_benchmark_of_all_layouts_prints_predicted_beside_measured(self):
        step = ["bench", "step", "--model", "configs/models/tiny.json", "--tokens", "96", "--images", "2", "--steps", "2"]
        line = self.json_line(*step, "--layouts", "all", "--json", ranks=2)
        self.assertEqual(len(line["layouts"]), 1 + 5 * (5 + 2) * 2 + 2 * 3)  # with each stage of ZeRO for each degree
        for layout in line["layouts"]:
            for key in ["seconds", "exchange_mib", "activation_mib"]:
                self.assertGreater(layout["predicted_" + key], 0)
                self.assertGreater(layout[key], 0)
            self.assertEqual(layout["activation_mib"], layout["predicted_activation_mib"], layout["plan"])
            self.assertAlmostEqual(layout["time_error"], layout["predicted_seconds"] / layout["seconds"] - 1)
        plan = self.json_line(*step, "--json", "memory.recompute=block", ranks=2)
        self.assertIn("recompute: block", plan["plan"])
        self.assertGreater(plan["predicted_memory_mib"], 0)

    def test_a_budget_that_is_too_small_is_refused_before_a_step_and_auto_is_what_the_node_has(self):
        budget = "memory.budget=1MiB"
        result = self.run_longsight("train", "configs/tiny.yaml", "output.dir=run", budget, ranks=2)
        self.assertEqual(result.code, 64, result.stderr)
        self.assertIn("more than the memory budget of 1.00 MiB", result.errors()[0])
        self.assertFalse(os.path.exists(self.path("run")))
        self.train("auto", "train.steps=1", "data.eval=[]", ranks=2)
        planned = json.loads(self.read("auto/plan.json"))
        with open("/proc/meminfo") as file:
            total = int(re.search(r"MemTotal: +(\d+)", file.read()).group(1)) * 1024
        self.assertLess(0, planned["memory_budget"])
        self.assertLessEqual(planned["memory_budget"], 0.45 * total)
        self.assertEqual(json.loads(self.read("auto/plan.json"))["refusal"], "")

    def test_an_export_of_an_export_has_the_same_bits(self):
        self.done("export", MODEL, "once", "--dtype", "f32")
        self.done("export", "once", "twice", "--dtype", "f32")
        self.assertEqual(self.weights("once"), self.weights(MODEL))
        self.assertEqual(self.read("twice/model.safetensors"), self.read("once/model.safetensors"))

    def test_samples_as_training_would_feed_them_are_those_of_the_reference(self):
        self.done("batch", "--model", MODEL, "--data", GOLDEN + "/samples.jsonl", "--out", "samples")
        expected = [name for name in os.listdir(self.path(GOLDEN, "expected_samples")) if name[0].isdigit()]
        self.assertEqual(sorted(os.listdir(self.path("samples"))), sorted(expected))
        for name in expected:
            made, reference = (tensor_bytes(self.read(f"{folder}/{name}"))
                               for folder in ["samples", GOLDEN + "/expected_samples"])
            self.assertEqual(set(made), set(reference))
            for tensor in ["input_ids", "labels"]:
                self.assertEqual(made[tensor][2], reference[tensor][2], f"{name}: {tensor}")

    def test_inspect_lists_what_the_file_holds(self):
        line = self.json_line("inspect", MODEL, "--json")
        self.assertEqual({t["name"] for t in line["tensors"]}, set(self.weights(MODEL)))
        self.assertEqual(line["parameters"]["total"], sum(line["parameters"][part] for part in
                                                          ["vision", "connector", "language"]))

    def test_gradients_on_two_ranks_are_those_of_one(self):
        batch = ["--model", MODEL, "--batch", GOLDEN + "/batch.safetensors"]
        self.done("gradients", *batch, "--out", "one.safetensors")
        self.done("gradients", *batch, "--out", "two.safetensors", ranks=2)
        one, two = (tensor_bytes(self.read(name)) for name in ["one.safetensors", "two.safetensors"])
        self.assertEqual(set(one), set(two))
        self.assertEqual(one["supervised_tokens"], two["supervised_tokens"])
        self.assertTrue(any(name.startswith("grad.vision_tower.") for name in one))


    FORMATS = "goldens/data_formats/"

    def test_an_index_counts_and_lies_where_it_was_asked_for(self):
        self.copy(self.FORMATS, "data")
        self.write("run.yaml", """model: {config: configs/models/tiny.json, tokenizer: configs/tiny/tokenizer}
data:
  train: [{llava: data/llava.json, images: data/pictures}, {webdataset: ['data/shards/train-*.tar'], weight: 2}]
  eval: [{text: data/text.jsonl}]
  index: cache
output: {dir: run}
train: {steps: 2}
""")
        lines = self.done("data", "index", "run.yaml", "--out", "cache").stdout.splitlines()
        self.assertEqual([line.split("; ")[0] for line in lines],
                         ["data/llava.json: 4 samples, 4 images, 0 videos, 5 answers to learn",
                          "data/shards/train-*.tar: 4 samples, 4 images, 0 videos, 5 answers to learn",
                          "data/text.jsonl: 2 samples, 0 images, 0 videos, 3 answers to learn"])
        self.assertEqual(len(os.listdir(self.path("cache"))), 4)
        self.done("train", "run.yaml", ranks=2)
        self.assertEqual(len(self.read("run/metrics.jsonl").splitlines()), 2)
        self.done("data", "index", "data/alpaca.json", "data/messages.jsonl", "--images", "data/pictures")
        self.assertTrue(os.path.exists(self.path("data/alpaca.json.index")))

    def test_lint_lists_all_that_is_wrong_and_counts_it(self):
        self.copy("configs/tiny/png", "png")
        good = '{"messages": [{"role": "user", "content": "<image>"}, {"role": "assistant", "content": "a"}], "images": ["%s"]}\n'
        png = self.read("configs/tiny/png/red_square.png")
        self.write("cut.png", png[:len(png) // 2])
        self.write("a.jsonl", good % "png/red_square.png" + good % "nowhere.png" + "{]\n" + good % "cut.png" +
                   good.replace("<image>", "") % "png/red_square.png")
        self.write("b.json", "[{}, 5]")
        self.write("c.jsonl", '{"text": "fine"}\n')
        result = self.run_longsight("data", "lint", "a.jsonl", "b.json", "c.jsonl")
        self.assertEqual(result.code, 66)  # of the first: a picture that is not there
        self.assertEqual([line.split(": ")[0] for line in result.stdout.splitlines()],
                         ["a.jsonl:2", "a.jsonl:3:2", "a.jsonl:5", "b.json:1"])
        self.assertEqual(result.errors(), [])
        self.assertIn("6 samples, 4 problems", result.stderr)
        result = self.run_longsight("data", "lint", "--decode", "a.jsonl")
        self.assertEqual(result.code, 66)
        self.assertIn("a.jsonl:4: ./cut.png: corrupt PNG", result.stdout)
        self.assertIn("0 problems", self.done("data", "lint", "configs/tiny.yaml", "--decode").stderr)

    def test_statistics_count_what_the_model_is_fed(self):
        self.done("batch", "--model", MODEL, "--data", GOLDEN + "/samples.jsonl", "--out", "samples")
        token = json.loads(self.read(MODEL + "/config.json"))["image_token_index"]
        tokens = visual = supervised = images = 0
        lengths = []
        for name in sorted(os.listdir(self.path("samples"))):
            tensors = tensor_bytes(self.read("samples/" + name))
            ids, labels = (struct.unpack(f"<{len(tensors[t][2]) // 8}q", tensors[t][2]) for t in ["input_ids", "labels"])
            tokens += len(ids)
            lengths.append(len(ids))
            visual += ids.count(token)
            supervised += sum(label != -100 for label in labels[1:])
            images += tensors["pixel_values"][1][0] if "pixel_values" in tensors else 0
        stats = self.json_line("data", "stats", GOLDEN + "/samples.jsonl", "--model", MODEL, "--json")
        for value, key in [(7, "samples"), (tokens, "tokens"), (visual, "visual_tokens"), (images, "images"),
                           (supervised, "supervised_tokens"), (0, "videos"), (sorted(lengths)[3], "median_tokens")]:
            self.assertEqual(stats[key], value, key)
        where = f"{GOLDEN}/samples.jsonl:{lengths.index(max(lengths)) + 1}"
        self.assertEqual(stats["longest"], {"tokens": max(lengths), "where": where})
        for histogram, values in [("token_histogram", lengths), ("image_histogram", None)]:
            self.assertEqual(sum(bucket["samples"] for bucket in stats[histogram]), 7)
            if values:
                for bucket in stats[histogram]:
                    self.assertEqual(bucket["samples"], sum(bucket["from"] <= v <= bucket["to"] for v in values))
        self.assertEqual(stats["sources"][0]["tokens"], tokens)
        both = self.json_line("data", "stats", "configs/tiny.yaml", "--json")
        self.assertEqual([source["samples"] for source in both["sources"]], [18, 5])
        self.assertEqual(both["tokens"], sum(source["tokens"] for source in both["sources"]))
        self.assertIn("samples by tokens", self.done("data", "stats", "configs/tiny.yaml").stdout)

    def test_a_preview_shows_pictures_and_tokens_with_loss(self):
        self.done("data", "preview", "configs/tiny.yaml", "--out", "shown", "--samples", "3")
        png = self.read("shown/preview.png")
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", png[16:24])
        self.assertEqual(width, 1200)
        self.assertGreater(height, 6 * 60)
        text = self.read("shown/preview.txt").decode()
        self.assertIn("1. configs/tiny/tiny.jsonl:1: one-red_square, ", text)
        self.assertIn("6. configs/tiny/tiny_eval.jsonl:3: ", text)
        learned = re.findall(r"\[([^]]*)\]", text.split("\n\n", 1)[1])
        self.assertEqual(learned[0].replace("|", ""), " a red square</s>")


if __name__ == "__main__":
    unittest.main()

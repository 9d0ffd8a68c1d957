#!/usr/bin/python3
"""Every family from its Hugging Face folder through training, adapters, audit, generation and export."""
import json
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import JobTest, tensor_bytes  # noqa: E402

# With chat samples; "repeats": what another of the list goes through as well.
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "families.json"), encoding="utf-8") as listed:
    SAMPLES = {case["name"]: case["samples"].removeprefix("tests/") for case in json.load(listed)["goldens"]
               if "samples" in case and not case.get("repeats")}
FAMILIES = list(SAMPLES)


class FamiliesTest(JobTest):
    seconds = float(os.environ.get("LONGSIGHT_TEST_SECONDS", 60))

    def done(self, *arguments, ranks=1):
        result = self.run_longsight(*arguments, ranks=ranks)
        self.assertEqual(result.code, 0, result.stderr)
        self.assertEqual(result.errors(), [])
        return result

    def weights(self, folder):
        return tensor_bytes(self.read(folder + "/model.safetensors"))

    def config(self, case, extra=""):
        """Trains on the case's chat samples, which have several images, one, and none."""
        folder = f"goldens/{case}"
        return self.write(f"{case}.yaml", f"""
model: {{from: {folder}/model{extra}}}
data: {{train: [{{messages: {SAMPLES[case]}}}]}}
train: {{tokens_per_step: 512, steps: 2, optimizer: {{lr: 1e-3}}}}
output: {{dir: run}}
""")

    def test_a_checkpoint_is_trained_on_two_ranks_and_written_back(self):
        for case in FAMILIES:
            with self.subTest(case):
                shutil.rmtree(self.path("run"), ignore_errors=True)
                shutil.rmtree(self.path("exported"), ignore_errors=True)
                self.done("train", self.config(case), "parallel.sequence=2", ranks=2)
                lines = [json.loads(line) for line in self.read("run/metrics.jsonl").splitlines()]
                self.assertEqual([line["step"] for line in lines], [1, 2])
                self.assertEqual(lines[0]["visual_tokens"] > 0, os.path.exists(self.path(f"goldens/{case}/model/preprocessor_config.json")))
                before, after = self.weights(f"goldens/{case}/model"), self.weights("run/model")
                self.assertEqual(set(after), set(before))
                self.assertTrue(any(after[name] != before[name] for name in before))
                answers = self.done("generate", "--model", "run", "--data", SAMPLES[case], "--max-tokens",
                                    "2", "--limit", "3")
                self.assertEqual(len(answers.stdout.splitlines()), 3)
                self.done("export", "run", "exported", "--dtype", "f32")
                self.assertEqual(self.weights("exported"), after)

    def test_the_audit_passes_for_whole_models_frozen_parts_and_adapters(self):
        for case in FAMILIES:
            towers = os.path.exists(self.path(f"goldens/{case}/model/preprocessor_config.json"))
            for extra in ["", *[", train: {vision: false}"] * towers, ", lora: {rank: 2, targets: ['*']}"]:
                with self.subTest(case + extra):
                    result = self.done("audit", self.config(case, extra), "--json", ranks=3)
                    line = json.loads(result.stdout.splitlines()[-1])
                    self.assertLessEqual(line["worst_relative_error"], 1e-9)
                    self.assertGreater(line["parameters"], 0)

    def test_adapters_are_written_read_and_merged(self):
        case, model = "qwen2-vl", "goldens/qwen2-vl/model"
        config = self.config(case, ", lora: {rank: 3, alpha: 6, targets: ['model.*_proj', 'visual.*.attn.qkv']}")
        self.done("train", config, "train.optimizer.lr=0.1", ranks=2)
        adapter = tensor_bytes(self.read("run/adapter/adapter_model.safetensors"))
        settings = json.loads(self.read("run/adapter/adapter_config.json"))
        self.assertEqual((settings["r"], settings["lora_alpha"]), (3, 6.0))
        self.assertEqual(len(adapter), 2 * len(settings["target_modules"]))
        self.assertIn("base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight", adapter)
        self.assertIn("base_model.model.model.visual.blocks.0.attn.qkv.lora_B.weight", adapter)
        # What no adapter was put on is as it was.
        before, merged = self.weights(model), self.weights("run/model")
        targets = {name for name in before if name.endswith("_proj.weight") and name.startswith("model.")}
        targets |= {name for name in before if name.endswith("attn.qkv.weight")}
        for name in before:
            (self.assertNotEqual if name in targets else self.assertEqual)(merged[name], before[name], name)
        # Base and adapter make the merged model, here and in an export.
        exported = self.done("export", model, "exported", "--adapter", "run/adapter", "--dtype", "f32")
        self.assertEqual(self.weights("exported"), merged)
        self.assertIn(f"{len(merged)} tensors of ", exported.stderr)
        ask = ["--data", "goldens/qwen2-vl/samples.jsonl", "--max-tokens", "8", "--limit", "2"]
        self.assertEqual(self.done("generate", "--model", model, "--adapter", "run/adapter", *ask).stdout,
                         self.done("generate", "--model", "run", *ask).stdout)
        # Training goes on from the files.
        again = self.write("again.yaml", self.read("qwen2-vl.yaml").decode().replace(
            "lora: {rank: 3, alpha: 6, targets: ['model.*_proj', 'visual.*.attn.qkv']}", "adapter: run/adapter"))
        self.done("train", again, "train.steps=0", "output.dir=again")
        self.assertEqual(self.read("again/adapter/adapter_model.safetensors"), self.read("run/adapter/adapter_model.safetensors"))

    def test_base_and_adapter_are_the_merged_model_whatever_was_trained_beside_the_adapters(self):
        # A tied head, an untied one, and a connector.
        train = "train: ['*norm.weight', '*embed_tokens.weight', 'multi_modal_projector.*', 'visual.merger.*']"
        for case, globs in [("internvl-qwen2", train.replace(", 'visual.merger.*'", "")),
                            ("qwen2-vl", train.replace(", 'multi_modal_projector.*'", ""))]:
            with self.subTest(case):
                for folder in ["run", "again", "exported"]:
                    shutil.rmtree(self.path(folder), ignore_errors=True)
                model = f"goldens/{case}/model"
                lora = ("lora: {rank: 2, targets: ['*q_proj', '*down_proj'], rslora: true, rank_pattern: {'*.layers.1.*q_proj': 3}, "
                        + globs + "}")
                config = self.config(case, ", " + lora)
                self.done("train", config, "train.optimizer.lr=0.02", "output.save_every=1")
                self.assertEqual(len([name for name, (_, _, value) in self.weights("run/model").items()
                                      if "norm.weight" in name and value != self.weights(model)[name][2]]) > 0, True)
                self.done("export", model, "exported", "--adapter", "run/adapter", "--dtype", "f32")
                self.assertEqual(self.weights("exported"), self.weights("run/model"))
                # Also after training went on from them, and for what it left alone.
                again = self.write("again.yaml", self.read(f"{case}.yaml").decode().replace(lora, "adapter: run/saves/step-00000001"))
                self.done("train", again, "output.dir=again", "model.freeze=['*norm.weight']", "train.optimizer.lr=0.02")
                shutil.rmtree(self.path("exported"))
                self.done("export", model, "exported", "--adapter", "again/adapter", "--dtype", "f32")
                self.assertEqual(self.weights("exported"), self.weights("again/model"))
        refused = self.run_longsight("train", self.config("qwen2-vl", ", lora: {rank: 2, targets: ['*q_proj'], "
                                                          "train: ['*q_proj.weight']}"), "output.dir=never")
        self.assertEqual(refused.code, 64, refused.stderr)
        self.assertIn("is trained beside adapters", refused.errors()[0])
        self.assertFalse(os.path.exists(self.path("never")))

    def test_a_folder_with_vocab_json_and_merges_alone_trains_as_one_with_tokenizer_json(self):
        for case in ["internvl-remote", "qwen2-vl"]:
            with self.subTest(case):
                for folder in ["run", "slow", "a", "b"]:
                    shutil.rmtree(self.path(folder), ignore_errors=True)
                shutil.copytree(self.path(f"goldens/{case}/model"), self.path("slow"))
                tokenizer = json.loads(self.read("slow/tokenizer.json"))
                os.remove(self.path("slow/tokenizer.json"))
                self.write("slow/vocab.json", json.dumps(tokenizer["model"]["vocab"]))
                self.write("slow/merges.txt", "#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in tokenizer["model"]["merges"]))
                settings = {**json.loads(self.read("slow/tokenizer_config.json")), "tokenizer_class": "Qwen2Tokenizer"}
                settings["added_tokens_decoder"] = {str(token.pop("id")): token for token in tokenizer["added_tokens"]}
                self.write("slow/tokenizer_config.json", json.dumps(settings))
                samples = SAMPLES.get(case, SAMPLES["internvl-qwen2"])
                config = self.write("slow.yaml", f"model: {{from: slow}}\ndata: {{train: [{{messages: {samples}}}]}}\n"
                                    "train: {tokens_per_step: 512, steps: 1}\noutput: {dir: run}\n")
                self.done("train", config)
                for model, out in [(f"goldens/{case}/model", "a"), ("run", "b")]:
                    self.done("batch", "--model", model, "--data", samples, "--out", out)
                names = sorted(os.listdir(self.path("a")))
                self.assertEqual(sorted(os.listdir(self.path("b"))), names)
                for name in names:
                    self.assertEqual(self.read("b/" + name), self.read("a/" + name), name)

    def test_the_walk_through_of_fine_tuning_goes_from_a_folder_and_llava_json_to_an_export(self):
        os.symlink(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."), self.path("tests"))
        config = "configs/finetune.yaml"
        lint = self.done("data", "lint", config)
        self.assertIn("4 samples, 0 problems", lint.stdout + lint.stderr)
        self.assertIn("221", self.done("data", "stats", config).stdout)
        self.done("data", "preview", config, "--out", "shown")
        self.assertTrue(self.read("shown/preview.png").startswith(b"\x89PNG"))
        self.assertIn("[R|ed|.", self.read("shown/preview.txt").decode())
        self.assertIn("visual.blocks", self.done("plan", config, "--ranks", "2").stdout)
        line = json.loads(self.done("audit", config, "--json", ranks=2).stdout.splitlines()[-1])
        self.assertLessEqual(line["worst_relative_error"], 1e-9)
        self.done("train", config, ranks=2)
        lines = [json.loads(line) for line in self.read("runs/finetune/metrics.jsonl").splitlines()]
        self.assertLess(lines[-1]["loss"], lines[0]["loss"])
        self.done("generate", "--model", "runs/finetune", "--image", "tests/goldens/data_formats/pictures/red.png", "--prompt",
                  "What colour is this?", "--max-tokens", "3")
        self.done("export", "runs/finetune", "finetuned", "--dtype", "bf16")
        self.assertEqual({dtype for dtype, _, _ in self.weights("finetuned").values()}, {"BF16"})
        for name in ["tokenizer.json", "chat_template.json", "generation_config.json"]:
            self.assertEqual(self.read("finetuned/" + name), self.read("goldens/qwen2-vl/model/" + name), name)
        # As data.images of the configuration says, not as in the folder that it began with.
        self.assertEqual(json.loads(self.read("finetuned/preprocessor_config.json"))["max_pixels"], 50176)

    def test_adapter_files_that_do_not_fit_are_refused_by_name(self):
        model = "goldens/qwen2-vl/model"
        self.done("train", self.config("qwen2-vl", ", lora: {rank: 2, targets: ['model.*.q_proj']}"), "train.steps=0")
        good = json.loads(self.read("run/adapter/adapter_config.json"))
        for change, said in [({"use_dora": True}, "use_dora = true"), ({"r": 3}, "says 3 for it"),
                             ({"peft_type": "IA3"}, "IA3")]:
            shutil.rmtree(self.path("other"), ignore_errors=True)
            shutil.copytree(self.path("run/adapter"), self.path("other"))
            self.write("other/adapter_config.json", json.dumps({**good, **change}))
            result = self.run_longsight("export", model, "exported", "--adapter", "other")
            self.assertEqual(result.code, 65, result.stderr)
            self.assertIn(said, result.errors()[0])
            self.assertFalse(os.path.exists(self.path("exported")))
        # Of another family.
        result = self.run_longsight("export", "goldens/smolvlm/model", "exported", "--adapter", "run/adapter")
        self.assertEqual(result.code, 64 if "matches no linear layer" in result.stderr else 65, result.stderr)

    def test_groups_have_learning_rates_of_their_own(self):
        self.done("train", self.config("internvl-qwen2"), "train.steps=1",
                  "train.optimizer.groups=[{parameters: vision, lr: 0}, {parameters: '*.norm.weight', lr: 0, weight_decay: 0}]")
        before, after = self.weights("goldens/internvl-qwen2/model"), self.weights("run/model")
        for name in before:
            same = name.startswith("vision_tower.") or name.endswith(".norm.weight")
            (self.assertEqual if same else self.assertNotEqual)(after[name], before[name], name)

    def test_the_last_layers_alone_are_trained(self):
        self.done("train", self.config("internvl-qwen2", ", train: {vision: false, connector: false, language_layers: 1}"),
                  "train.steps=1")
        before, after = self.weights("goldens/internvl-qwen2/model"), self.weights("run/model")
        for name in before:
            last = name.startswith(("language_model.model.layers.2.", "language_model.model.norm."))
            (self.assertNotEqual if last else self.assertEqual)(after[name], before[name], name)


if __name__ == "__main__":
    unittest.main()

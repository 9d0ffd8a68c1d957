#!/usr/bin/python3
"""Chat templates through whole runs: what was trained is what the run's folder says, to every verb."""
import json
import os
import shutil
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from jobs import JobTest, make_safetensors, tensor_bytes  # noqa: E402

OWN = ("{% for m in messages %}{{ '[' + m.role + '] ' }}{% for c in m.content %}{% if c.type == 'image' %}{{ MARK }}"
       "{% else %}{{ c.text }}{% endif %}{% endfor %}{{ END }}{% endfor %}"
       "{% if add_generation_prompt %}[assistant]{% endif %}")
TALK = [{"role": "user", "content": "<image>\nWhat is it?"}, {"role": "assistant", "content": "Stripes."},
        {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Yes."}]


class ChatTest(JobTest):
    seconds = float(os.environ.get("LONGSIGHT_TEST_SECONDS", 60))

    def done(self, *arguments):
        result = self.run_longsight(*arguments)
        self.assertEqual(result.code, 0, result.stderr)
        return result

    def base_model(self, without=("model.safetensors",)):
        """A language model without chat template; its weights are random."""
        shutil.copytree(self.path("goldens/chat/qwen2-base"), self.path("base"), ignore=shutil.ignore_patterns(*without))
        self.write("base/model.safetensors", make_safetensors({}, b""))
        return "base"

    def hub_model(self):
        """A LLaVA with the template of llava-hf/llava-1.5-7b-hf, which ends no answer."""
        self.copy("goldens/llava-clip-llama/model", "hub")
        header = open(os.path.join(os.path.dirname(__file__), "..", "..", "runtime/data/chat/builtin_programs.h"),
                      encoding="utf-8").read()
        body = header.split("kLlavaHubTemplate =", 1)[1].split(";\n", 1)[0]
        program = "".join(json.loads(line.strip()) for line in body.strip().splitlines())
        self.write("hub/chat_template.json", json.dumps({"chat_template": program}))
        return "hub"

    def samples(self, messages, name="a.jsonl", images=1, **record):
        shutil.copy(self.path("goldens/data_formats/pictures/red.png"), self.path("a.png"))
        self.write(name, json.dumps({"images": ["a.png"] * images, "messages": messages, **record}) + "\n")
        return name

    def train(self, model, data, *overrides, kind="messages", run="run"):
        return self.done("train", self.config(), f"model.from={model}",
                         f"data.train=[{{{kind}: {data}}}]", f"output.dir={run}", *overrides)

    def config(self):
        self.write("run.yaml", "train: {tokens_per_step: 512, steps: 1, optimizer: {lr: 1.0e-3}}\n")
        return "run.yaml"

    def fed(self, model, data, *options):
        """Ids and labels of every sample."""
        self.fed_folders = getattr(self, "fed_folders", 0) + 1
        out = f"fed{self.fed_folders}"
        self.done("batch", "--model", model, "--data", data, "--out", out, *options)
        fed = []
        for name in sorted(os.listdir(self.path(out))):
            tensors = tensor_bytes(self.read(f"{out}/{name}"))
            fed.append((tensors["input_ids"], tensors["labels"]))
        return fed

    def integers(self, tensor):
        _, _, data = tensor
        return list(struct.unpack(f"<{len(data) // 8}q", data))

    def labels(self, fed):
        return self.integers(fed[1])

    def json(self, name):
        return json.loads(self.read(name))

    def check_run_folder(self, model, data, chat=None, *more):
        """`batch` on the run's folder feeds what training fed."""
        options = [f"data.chat={chat}"] if chat else []
        self.train(model, data, *options, *more, run="run-of")
        trained = self.fed(model, data, *(["--chat", chat] if chat else []))
        if chat and chat.endswith(".jinja"):
            os.rename(self.path(chat), self.path("gone"))  # the run does not need it any more
        self.assertEqual(self.fed("run-of", data), trained)
        self.done("export", "run-of", "exported")
        self.assertEqual(self.fed("exported", data), trained)
        if chat and chat.endswith(".jinja"):
            os.rename(self.path("gone"), self.path(chat))
        for made in ["exported", "run-of"]:
            shutil.rmtree(self.path(made))
        return trained

    def test_a_run_folder_says_what_it_was_trained_with(self):
        data = self.samples(TALK)
        program = lambda mark, end: OWN.replace("MARK", repr(mark)).replace("END", repr(end))  # noqa: E731
        self.write("llava.jinja", program("<image>", "<pad>"))
        self.write("qwen.jinja", program("<|vision_start|><|image_pad|><|vision_end|>", "<|im_end|>\n"))
        self.write("internvl.jinja", program("<IMG_CONTEXT>", "<|im_end|>\n"))
        self.write("endless.jinja", program("<image>", " "))
        seen = set()
        for model, chats in [("llava-clip-llama", [None, "vicuna", "llava.jinja", "endless.jinja"]),
                             ("qwen2-vl", [None, "qwen.jinja"]), ("smolvlm", [None]),
                             ("internvl-remote", [None, "internvl", "internvl.jinja"])]:
            for chat in chats:
                with self.subTest(model=model, chat=chat):
                    more = ["train.tokens_per_step=4096"]
                    seen.add(str(self.check_run_folder(f"goldens/{model}/model", data, chat, *more)))
        self.assertEqual(len(seen), 10)  # every one feeds something of its own

    def test_paligemma_takes_prefix_and_suffix_or_a_template(self):
        data = self.samples(TALK[:2])
        model = "goldens/paligemma/model"
        self.write("own.jinja", OWN.replace("MARK", "'<image>'").replace("END", "'<eos>'"))
        self.assertNotEqual(self.check_run_folder(model, data), self.check_run_folder(model, data, "own.jinja"))
        refused = self.run_longsight("batch", "--model", "goldens/qwen2-vl/model", "--data", data, "--out", "o",
                                     "--chat", "paligemma")
        self.assertEqual(refused.code, 64)

    def test_image_in_a_text_is_words_with_every_model(self):
        shutil.copy(self.path("goldens/data_formats/pictures/red.png"), self.path("a.png"))
        said = "<image> is HTML's <img>."
        self.write("llava.json", json.dumps([{"image": "a.png", "conversations": [
            {"from": "human", "value": "<image>\nIs \\<image> a tag?"}, {"from": "gpt", "value": said}]}]))
        self.write("messages.jsonl", json.dumps({"images": ["a.png"], "messages": [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "\nIs \\<image> a tag?"}]},
            {"role": "assistant", "content": said}]}) + "\n")
        self.write("shown.jsonl", json.dumps({"images": ["a.png"], "messages": [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "\nIs IMAGE a tag?"}]},
            {"role": "assistant", "content": said.replace("<image>", "IMAGE")}]}) + "\n")
        for model in ["llava-clip-llama", "smolvlm", "paligemma", "internvl-remote", "qwen2-vl"]:
            with self.subTest(model=model):
                folder = f"goldens/{model}/model"
                config = self.json(f"{folder}/config.json")
                token = config.get("image_token_id", config.get("image_token_index"))
                if token is None:
                    token = next(t["id"] for t in self.json(f"{folder}/tokenizer.json")["added_tokens"]
                                 if t["content"] == "<IMG_CONTEXT>")
                counts = {}
                for data in ["messages.jsonl", "shown.jsonl", "llava.json"]:
                    (ids, labels), = self.fed(folder, data)
                    counts[data] = self.integers(ids).count(token)
                    self.assertNotIn(token, self.integers(labels))
                self.assertGreater(counts["shown.jsonl"], 0)
                self.assertEqual(counts["messages.jsonl"], counts["shown.jsonl"])
                self.assertEqual(counts["llava.json"], counts["shown.jsonl"])

    def test_where_a_template_ends_no_answer_eos_is_learned(self):
        model, data = self.hub_model(), self.samples(TALK)
        result = self.train(model, data)
        self.assertEqual(result.stderr.count("ends no answer: the tokenizer's eos </s> is added behind each"), 1)
        (fed,) = self.fed(model, data)
        self.assertEqual(self.labels(fed).count(2), 2)
        self.assertEqual(self.labels(fed)[-1], 2)
        self.assertEqual(self.fed("run", data), [fed])
        self.done("generate", "--model", "run", "--data", data, "--max-tokens", "2")

    def test_a_base_model_learns_to_end_its_turn_and_says_so(self):
        model = self.base_model()
        data = self.samples([{**m, "content": m["content"].replace("<image>\n", "")} for m in TALK], images=0)
        allow = "model.allow_missing=[\"*\"]"
        self.train(model, data, "data.chat=qwen2", allow)
        tokens = {t["content"]: t["id"] for t in self.json("base/tokenizer.json")["added_tokens"]}
        own, trained = tokens["<|endoftext|>"], tokens["<|im_end|>"]
        self.assertEqual(self.json("run/model/config.json")["eos_token_id"], [own, trained])
        self.assertEqual(self.json("run/model/generation_config.json")["eos_token_id"], [own, trained])
        self.assertEqual(self.json("run/model/tokenizer_config.json")["eos_token"], "<|endoftext|>")
        program = self.read("run/model/chat_template.jinja").decode()
        self.assertIn("<|im_start|>", program)
        self.assertEqual(self.json("run/model/tokenizer_config.json")["chat_template"], program)
        self.assertFalse(os.path.exists(self.path("run/model/chat_template.json")))  # of processors
        (fed,) = self.fed("run", data)
        self.assertEqual(self.labels(fed).count(trained), 2)
        self.assertEqual(self.labels(fed).count(own), 0)

        # A plain text ends with the tokenizer's own end, with a template, and without one.
        self.write("text.jsonl", '{"text": "Stripes are lines."}\n')
        for folder in ["run", model]:
            (fed,) = self.fed(folder, "text.jsonl")
            self.assertEqual(self.labels(fed)[-1], own)
            self.assertNotIn(trained, self.labels(fed))
        self.train(model, "text.jsonl", allow, kind="text", run="texts")
        refused = self.run_longsight("batch", "--model", model, "--data", data, "--out", "o")
        self.assertEqual(refused.code, 65)
        self.assertIn("a.jsonl:1: a conversation, but base has no chat template", refused.stderr)
        self.assertIn("data.chat", refused.stderr)

    def test_adapters_bring_tokenizer_and_template(self):
        data = self.samples(TALK)
        self.train("goldens/llava-clip-llama/model", data, "data.chat=llava-hub", "model.lora={rank: 2, targets: [\"*q_proj\"]}")
        program = self.read("run/model/chat_template.jinja")
        self.assertEqual(self.read("run/adapter/chat_template.jinja"), program)
        self.assertTrue(os.path.exists(self.path("run/adapter/tokenizer.json")))
        self.done("generate", "--model", "goldens/llava-clip-llama/model", "--adapter", "run/adapter", "--data", data,
                  "--max-tokens", "2")

    def test_errors_name_the_template_and_what_it_said(self):
        data = self.samples([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], images=0)
        model = "goldens/llava-clip-llama/model"
        for program, words in [("a\n{% frobnicate %}", "bad.jinja:2: "),
                               ("{{ raise_exception('only haikus') }}", "a.jsonl:1: bad.jinja refuses the conversation: only haikus"),
                               ("{% for m in messages %}{{ m.role.nothing.more }}{% endfor %}", "bad.jinja:1: ")]:
            self.write("bad.jinja", program)
            for verb in [["batch", "--model", model, "--data", data, "--out", "o", "--chat", "bad.jinja"],
                         ["train", self.config(), f"model.from={model}", f"data.train=[{{messages: {data}}}]",
                          "output.dir=run", "data.chat=bad.jinja"]]:
                result = self.run_longsight(*verb)
                self.assertEqual(result.code, 65, result.stderr)
                self.assertEqual(len(result.errors()), 1, result.stderr)
                self.assertIn(words, result.errors()[0])
        self.assertEqual(self.run_longsight("batch", "--model", model, "--data", data, "--out", "o",
                                            "--chat", "none.jinja").code, 66)
        self.assertEqual(self.run_longsight("batch", "--model", model, "--data", data, "--out", "o",
                                            "--chat", "lava").code, 64)


if __name__ == "__main__":
    unittest.main()

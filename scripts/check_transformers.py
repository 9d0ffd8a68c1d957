#!/usr/bin/env python3
"""Loads model folders written by Longsight with Hugging Face transformers, and compares what the two generate.

  .venv/bin/python scripts/check_transformers.py MODEL_DIR [--data FILE.jsonl --generated LINES.jsonl]
  .venv/bin/python scripts/check_transformers.py --goldens tests/goldens --binary build/host/longsight

Checks that a folder loads without a missing, unexpected or misshapen tensor. With --goldens, exports the model of every
case under both names (original and v5), loads what came out, and checks that both hold the weights of the case (in its
original form InternVLChatModel is code of its own, so that one is loaded as v5 only). With --data, generates the last assistant
turn of each sample greedily through the folder's own processor and chat template; with --generated (the JSON lines of
`longsight generate --model MODEL_DIR --data FILE.jsonl`) compares each caption. Exit code 0: all well, 70: something
differs, 66: a missing input. Needs .venv (scripts/setup.sh --with-peers).
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

from peer_check import stop

EXPECTED_FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json",
                  "special_tokens_map.json", "generation_config.json"]


def read_lines(path):
    try:
        with open(path, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]
    except OSError as error:
        stop(f"cannot read {path}: {error.strerror}", 66)
    except ValueError as error:
        stop(f"{path}: {error}", 65)


def read_config(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        return json.load(file)


def expected_files(config):
    # Language models alone have no images; LLaVA and SmolVLM say how a chat and a processor look in files of their own.
    if "vision_config" not in config:
        return [name for name in EXPECTED_FILES if name != "preprocessor_config.json"]
    return EXPECTED_FILES + (["processor_config.json"] if config["model_type"] == "llava" else [])


def load(folder):
    """The model in f32, and the problems found on the way."""
    import torch
    import transformers
    config = read_config(folder)
    problems = [f"no {name} in the folder" for name in expected_files(config)
                if not os.path.exists(os.path.join(folder, name))]
    if config["model_type"] == "llava" and not any(
            os.path.exists(os.path.join(folder, name)) for name in ("chat_template.json", "chat_template.jinja")):
        problems.append("neither chat_template.json nor chat_template.jinja in the folder")
    architecture = (config.get("architectures") or ["LlavaForConditionalGeneration"])[0]
    model, info = getattr(transformers, architecture).from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32, attn_implementation="eager", local_files_only=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        found = sorted(map(str, info.get(kind) or []))
        print(f"{kind}: {len(found)}")
        problems += [f"{kind}: {entry}" for entry in found]
    print(f"{architecture}: {sum(p.numel() for p in model.parameters()):,} parameters in {len(model.state_dict())} tensors")
    return model.eval(), problems


def prompt_of(sample, folder):
    """The messages before the last assistant turn, their pictures, and that turn's text."""
    from PIL import Image, ImageOps
    messages = sample["messages"]
    last = max(n for n, m in enumerate(messages) if m["role"] == "assistant")
    pictures, prompt = [], []
    for message in messages[:last]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            if part["type"] == "image":
                picture = Image.open(os.path.join(folder, part["image"]))
                pictures.append(ImageOps.exif_transpose(picture).convert("RGB"))
        prompt.append({"role": message["role"], "content": [
            {"type": "image"} if part["type"] == "image" else part for part in parts]})
    answer = messages[last]["content"]
    reference = answer if isinstance(answer, str) else "".join(p.get("text", "") for p in answer)
    return prompt, pictures, reference


def encode(processor, prompt, pictures):
    text = processor.apply_chat_template(prompt, add_generation_prompt=True)
    return processor(images=pictures or None, text=text, return_tensors="pt")


def caption(model, processor, inputs, max_tokens):
    import torch
    with torch.no_grad():
        ids = model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False, num_beams=1)
    return processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)


def export(binary, source, out, *options):
    done = subprocess.run([binary, "export", source, out, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        stop(f"{binary} export {source}: {done.stderr.strip()}", 70)
    return out


def different(a, b):
    """Names of tensors that two models do not have alike."""
    import torch
    x, y = a.state_dict(), b.state_dict()
    return sorted(set(x) ^ set(y)) + [name for name in x if name in y and not torch.equal(x[name], y[name])]


def check_goldens(root, binary):
    """Problems of both forms of every case."""
    cases = sorted(name for name in os.listdir(root) if os.path.exists(os.path.join(root, name, "model", "config.json")))
    if not cases:
        stop(f"no NAME/model in {root}", 66)
    problems = []
    for case in cases:
        source = os.path.join(root, case, "model")
        native = "auto_map" not in read_config(source)
        with tempfile.TemporaryDirectory() as folder:
            print(f"-- {case}, v5")
            v5, found = load(export(binary, source, os.path.join(folder, "v5"), "--hf-names", "v5"))
            if native:
                print(f"-- {case}, original names")
                original, more = load(export(binary, source, os.path.join(folder, "original")))
                found += more
                expected, _ = load(source)
                found += [f"original: {name} differs" for name in different(original, expected)]
                found += [f"v5: {name} differs" for name in different(v5, expected)]
            problems += [f"{case}: {problem}" for problem in found]
    print(f"{len(cases)} cases")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="folder in the layout of Hugging Face")
    parser.add_argument("--goldens", help="folder of cases, each with a model/")
    parser.add_argument("--binary", default="build/host/longsight", help="with --goldens (default: %(default)s)")
    parser.add_argument("--data", help="chat samples (JSONL)")
    parser.add_argument("--generated", help="what longsight generate --data wrote for them")
    parser.add_argument("--max-tokens", type=int, default=48, help="as given to longsight generate (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=0, help="only the first N samples (default: all)")
    parser.add_argument("--at-least", type=float, default=1.0, help="share of captions that must agree; two that differ by "
                        "rounding can part where two tokens are equally likely (default: %(default)s)")
    a = parser.parse_args()
    if a.generated and not a.data:
        parser.error("--generated needs --data")
    if (a.model is None) == (a.goldens is None):
        parser.error("name either a model folder or --goldens")
    try:
        import transformers
    except ImportError:
        stop("no transformers here: scripts/setup.sh --with-peers, and run this with .venv/bin/python", 66)
    if a.model and not os.path.exists(os.path.join(a.model, "config.json")):
        stop(f"no config.json in {a.model}", 66)

    model, problems = load(a.model) if a.model else (None, check_goldens(a.goldens, a.binary))
    if a.data:
        processor = transformers.AutoProcessor.from_pretrained(a.model, local_files_only=True, backend="pil")
        samples = read_lines(a.data)
        generated = read_lines(a.generated) if a.generated else [None] * len(samples)
        if len(generated) != len(samples):
            stop(f"{a.generated} has {len(generated)} lines, {a.data} {len(samples)}", 65)
        if a.limit:
            samples, generated = samples[:a.limit], generated[:a.limit]
        folder = os.path.dirname(os.path.abspath(a.data))
        agree = exact = 0
        for number, (sample, line) in enumerate(zip(samples, generated), 1):
            prompt, pictures, reference = prompt_of(sample, folder)
            text = caption(model, processor, encode(processor, prompt, pictures), a.max_tokens).strip()
            exact += text == reference.strip()
            if line is None:
                if number <= 5:
                    print(f"  {text!r}")
            elif text == line["generated"].strip():
                agree += 1
            else:
                print(f"  sample {number}: longsight {line['generated'].strip()!r}, transformers {text!r}")
        print(f"transformers: {exact} of {len(samples)} exactly the reference")
        if a.generated:
            print(f"longsight and transformers agree on {agree} of {len(samples)} captions")
            if agree < a.at_least * len(samples):
                problems.append(f"{len(samples) - agree} captions differ")

    for problem in problems:
        print(f"PROBLEM {problem}")
    if problems:
        sys.exit(70)
    print("all well")


if __name__ == "__main__":
    main()

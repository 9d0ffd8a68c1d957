#!/usr/bin/env python3
"""Makes reference cases of model families under tests/goldens from transformers, of any family, also of language models alone.

  .venv/bin/python scripts/make_family_golden.py [NAME ...]      # those of tests/families.json with "make"; none: all

Each becomes a folder: model/ (random weights, tokenizer and processor files), batch.safetensors and batch2.safetensors in the form
that the model of transformers takes, expected.{safetensors,json} (loss, logits, image features and every gradient, computed in
float64 and stored as f32), curve.json (twelve AdamW steps in f32), chat samples for a model without pictures; and
tests/goldens/v5/NAME.json. "make" says: "config", as transformers takes it; "tokenizer", the case whose tokenizer and processor
files it has; "original": true, for InternVL, to write the model in the files of its remote code. Seeds are those of the names: a case
that is made again is the same. Needs .venv (scripts/setup.sh --with-peers).
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import zlib

import family_models as fm
import internvl_original
import torch
import transformers
from safetensors.torch import load_file, save_file

GOLDENS = os.path.join(fm.ROOT, "tests", "goldens")
TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt",
             "chat_template.json", "generation_config.json"]
PROCESSOR = ["preprocessor_config.json", "processor_config.json"]
STEPS = 12


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def copy_files(case, names, folder):
    for name in names:
        source = os.path.join(GOLDENS, case, "model", name)
        if os.path.exists(source):
            shutil.copyfile(source, os.path.join(folder, name))


def image_features(model, batch):
    """[image tokens of the batch, width], in the order in which they replace the placeholders."""
    keys = {k: v for k, v in batch.items() if k in ("pixel_values", "image_grid_thw", "pixel_attention_mask")}
    with torch.no_grad(), fm.float64():
        out = model.get_image_features(**fm.in_double(keys))
    features = getattr(out, "pooler_output", out)
    features = torch.cat(list(features)) if isinstance(features, (list, tuple)) else features
    return features.reshape(-1, features.shape[-1])


def to_f32(tensors):
    return {key: value.float().contiguous() for key, value in tensors.items()}


def expected(model, batch, folder, names, to_file):
    loss, logits, gradients = fm.run(model, batch)
    by_file = {names[key]: grad for key, grad in gradients.items() if key in names}
    largest = max(float(g.norm()) for g in by_file.values() if g is not None)
    zero = [key for key, g in by_file.items() if g is not None and float(g.norm()) < 1e-9 * largest]
    without = [key for key, g in by_file.items() if g is None]
    stored = to_file({key: g for key, g in by_file.items() if g is not None})
    values = {"loss": loss.reshape(()), "logits": logits, **{f"grad.{key}": g for key, g in stored.items()}}
    if "pixel_values" in batch:
        values["image_features"] = image_features(model, batch)
    save_file(to_f32(values), f"{folder}/expected.safetensors")
    # Names of the file: of joined tensors, those that are wholly without.
    write_json(f"{folder}/expected.json", {
        "loss": float(loss), "n_supervised_tokens": int((batch["labels"][:, 1:] != -100).sum()),
        "grad_norm": float(torch.stack([g.norm() for g in by_file.values() if g is not None]).norm()),
        "parameters_without_gradient": sorted(set(to_file({k: torch.zeros(1) for k in without}, names_only=True)) - set(stored)),
        "parameters_with_zero_gradient": sorted(k for k in to_file({k: torch.zeros(1) for k in zero}, names_only=True)
                                                if float(stored[k].norm()) < 1e-9 * largest),
        "shapes": {key: list(value.shape) for key, value in values.items() if not key.startswith("grad.")},
        "transformers": transformers.__version__, "torch": torch.__version__,
        "dtype": "computed in float64 (eager attention; what the modelling code casts to float32 by name stays in float64), "
                 "stored as float32"})


def train(model, batches, folder):
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
    losses, norms = [], []
    for step in range(STEPS):
        loss, _, _ = fm.run(model, batches[step % 2])
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        optimizer.step()
        losses.append(float(loss))
    write_json(f"{folder}/curve.json", {
        "optimizer": {"name": "torch.optim.AdamW", "lr": 1e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1,
                      "weight_decay_applies_to": "parameters with 2 or more dimensions", "clip_grad_norm": 1.0},
        "steps": STEPS, "batch_of_step": [["batch", "batch2"][step % 2] for step in range(STEPS)], "dtype": "float32",
        "loss": losses, "grad_norm_before_clipping": norms})


def write_samples(case, folder):
    """The chat samples of another case without their pictures."""
    with open(os.path.join(GOLDENS, case, "samples.jsonl"), encoding="utf-8") as lines, \
            open(f"{folder}/samples.jsonl", "w", encoding="utf-8") as out:
        for line in lines:
            messages = json.loads(line)["messages"]
            for message in messages:
                if not isinstance(message["content"], str):
                    message["content"] = "".join(part["text"] for part in message["content"] if part["type"] == "text")
            if all(message["content"] for message in messages):
                out.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


def make(case):
    name, options = case["name"], case["make"]
    folder, seed = os.path.join(GOLDENS, name), zlib.crc32(case["name"].encode())
    shutil.rmtree(folder, ignore_errors=True)
    config = fm.transformers_config(options["config"])
    model = fm.build(config, seed)
    batches = [fm.batch_of(config, seed + 1), fm.batch_of(config, seed + 2)]
    model.save_pretrained(f"{folder}/model")
    if os.path.exists(f"{folder}/model/generation_config.json"):
        os.remove(f"{folder}/model/generation_config.json")
    names = fm.file_names(model, load_file(f"{folder}/model/model.safetensors"))
    subprocess.run([sys.executable, os.path.join(GOLDENS, "v5", "make.py"), f"{name}={folder}/model"], check=True)
    if options.get("original"):
        internvl_original.convert(f"{folder}/model")
    copy_files(options["tokenizer"], TOKENIZER + (PROCESSOR if "vision_config" in options["config"] else []), f"{folder}/model")
    for batch, file in zip(batches, ["batch", "batch2"]):
        save_file({k: v.contiguous() for k, v in batch.items()}, f"{folder}/{file}.safetensors")
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    to_file = internvl_original.tensors if options.get("original") else lambda tensors, names_only=False: tensors
    expected(model.double(), batches[0], folder, names, to_file)
    model = model.float()
    model.load_state_dict(weights)
    train(model, batches, folder)
    if "vision_config" not in options["config"]:
        write_samples(options["tokenizer"], folder)
    print(f"made {folder}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    wanted = parser.parse_args().names
    cases = [case for case in fm.families("goldens") if "make" in case and (not wanted or case["name"] in wanted)]
    if len(cases) < len(wanted) or not cases:
        print("make_family_golden: tests/families.json has no such case with \"make\"", file=sys.stderr)
        sys.exit(64)
    torch.set_num_threads(1)
    for case in cases:
        make(case)


if __name__ == "__main__":
    main()

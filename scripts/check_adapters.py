#!/usr/bin/env python3
"""LoRA adapters between Longsight and Hugging Face's PEFT, in both directions.

  .venv/bin/python scripts/check_adapters.py [--binary build/host/longsight] [--only qwen2-vl]

For a tiny model of each family: adapters that longsight trained (rank-stabilised, with ranks by pattern, norms and the
embedding beside them) are loaded by PEFT without a missing or unexpected tensor,
and merged by PEFT they give the weights of the merged model that longsight wrote; adapters that PEFT made (likewise,
with a head of its own), merged by `longsight export --adapter`, give the weights that PEFT merges (layers that the model does not compute have adapters too,
which stay zero as nothing trains them). Exit code 0: all well, 70: something differs, 66: a missing
input. Needs .venv (scripts/setup.sh --with-peers).
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings

# A merged weight is W + s B A in f32; the product's terms are summed in another order. Each is at most a few units in the
# last place of a weight of size one.
BOUND = 4 * 2.0 ** -23
# What else is trained, and ranks of their own.
FORM = "rslora: true, rank_pattern: {'*q_proj': 2}, train: ['*norm*.weight', '*embed_tokens.weight']"


def stop(message, code):
    print(f"check_adapters: {message}", file=sys.stderr)
    sys.exit(code)


try:
    import family_models
    import peft
    import torch
    import transformers
except ImportError as missing:
    stop(f"no {missing.name} here: scripts/setup.sh --with-peers, and run this with .venv/bin/python", 66)


# Name and samples of those that transformers has a class for.
CASES = {case["name"]: case["samples"] for case in family_models.families("goldens")
         if "samples" in case and not case.get("make", {}).get("original")}


def longsight(binary, *arguments):
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=False,
                          env=dict(os.environ, OMP_NUM_THREADS="2"))
    if done.returncode != 0:
        stop(f"{binary} {' '.join(arguments)}: {done.stderr.strip()}", 70)


def load(folder):
    architecture = getattr(transformers, transformers.AutoConfig.from_pretrained(folder).architectures[0])
    return architecture.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def furthest(a, b):
    """The largest difference between two models' weights, and where it is."""
    x, y = a.state_dict(), b.state_dict()
    if set(x) != set(y):
        return float("inf"), sorted(set(x) ^ set(y))[0]
    return max((float((x[name] - y[name]).abs().max() / max(1.0, float(y[name].abs().max()))), name) for name in x)


def from_longsight(case, binary, folder):
    """What PEFT says of adapters that longsight trained."""
    model, run = f"tests/goldens/{case}/model", f"{folder}/run"
    config = f"{folder}/train.yaml"
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"model: {{from: {model}, lora: {{rank: 3, alpha: 6, targets: ['*'], {FORM}}}}}\n"
                   f"data: {{train: [{{messages: {CASES[case]}}}]}}\n"
                   f"train: {{tokens_per_step: 1024, steps: 2, optimizer: {{lr: 0.02}}}}\noutput: {{dir: {run}}}\n")
    longsight(binary, "train", config)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        adapted = peft.PeftModel.from_pretrained(load(model), f"{run}/adapter")
    problems = [f"PEFT says: {w.message}" for w in said if "key" in str(w.message).lower()]
    factors = [value for name, value in adapted.named_parameters() if "lora_" in name]
    problems += [] if factors and all(float(v.detach().abs().sum()) > 0 for v in factors) else ["a factor is zero"]
    difference, name = furthest(adapted.merge_and_unload(), load(f"{run}/model"))
    if not difference <= BOUND:
        problems.append(f"merged by PEFT, {name} differs by {difference:.2g} from the merged model")
    with open(f"{run}/adapter/adapter_config.json", encoding="utf-8") as file:
        computed = json.load(file)["target_modules"]
    return computed, difference, problems


def from_peft(case, computed, binary, folder):
    """What longsight makes of adapters that PEFT wrote. `computed`: the layers that can have learned something."""
    model, adapter, out = f"tests/goldens/{case}/model", f"{folder}/peft", f"{folder}/merged"
    base = load(model)
    linear = [name for name, module in base.named_modules()
              if isinstance(module, torch.nn.Linear) and not name.endswith("lm_head")]
    torch.manual_seed(1)
    adapted = peft.get_peft_model(base, peft.LoraConfig(
        r=4, lora_alpha=10, target_modules=linear, use_rslora=True, rank_pattern={"q_proj": 2, r"layers\.0\..*down_proj": 5},
        alpha_pattern={"v_proj": 3}, modules_to_save=["lm_head"]))
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "modules_to_save" in name:
                value.add_(torch.randn_like(value) * 0.05)
            if "lora_B" in name and any(f".{layer}.lora_B" in name for layer in computed):
                value.normal_(std=0.05)
    adapted.save_pretrained(adapter)
    longsight(binary, "export", model, out, "--adapter", adapter, "--dtype", "f32")
    difference, name = furthest(load(out), adapted.merge_and_unload())
    return linear, difference, [] if difference <= BOUND else [
        f"merged by longsight, {name} differs by {difference:.2g} from PEFT's"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/host/longsight")
    parser.add_argument("--only", help="one case")
    options = parser.parse_args()
    cases = [case for case in CASES if options.only in (None, case)]
    if not cases:
        stop(f"--only {options.only}: none of {', '.join(CASES)}", 64)
    if not os.path.exists(options.binary):
        stop(f"no {options.binary}; build it (scripts/test.sh), or name it with --binary", 66)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    bad = 0
    for case in cases:
        computed = []
        for title in ["longsight -> PEFT", "PEFT -> longsight"]:
            with tempfile.TemporaryDirectory() as folder:
                if not computed:
                    layers, difference, problems = from_longsight(case, options.binary, folder)
                    computed = layers
                else:
                    layers, difference, problems = from_peft(case, computed, options.binary, folder)
            print(f"{case:18} {title}: {len(layers)} layers, merged weights differ by {difference:.1e}", flush=True)
            for problem in problems:
                print(f"PROBLEM {case}, {title}: {problem}")
            bad += len(problems)
    sys.exit(70 if bad else 0)


if __name__ == "__main__":
    main()

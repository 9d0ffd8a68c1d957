#!/usr/bin/env python3
"""LoRA adapters between Longsight and Hugging Face's PEFT, in both directions.

  .venv/bin/python scripts/check_adapters.py [--binary build/host/longsight] [--only qwen2-vl]

For a tiny model of each family: adapters that longsight trained (rank-stabilised, with ranks by pattern, norms, the
embedding and, where there are any, biases of adapted layers beside them) are loaded by PEFT without a missing or unexpected tensor,
and merged by PEFT they give the weights of the merged model that longsight wrote; adapters that PEFT made (likewise,
with all biases and a head of its own), merged by `longsight export --adapter`, give the weights that PEFT merges (layers that the model does not compute have adapters too,
which stay zero as nothing trains them). Exit code 0: all well, 70: something differs, 66: a missing
input. Needs .venv (scripts/setup.sh --with-peers).
"""
import json
import warnings

from peer_check import ROOT, main, run, stop_without

# A merged weight is W + s B A in f32; the product's terms are summed in another order. Each is at most a few units in the
# last place of a weight of size one.
BOUND = 4 * 2.0 ** -23
# What else is trained, and ranks of their own.
FORM = "rslora: true, rank_pattern: {'*q_proj': 2}"
TRAINED = ["*norm*.weight", "*embed_tokens.weight"]


try:
    import family_models
    import peft
    import torch
    import transformers
except ImportError as missing:
    stop_without(missing)


# Name and samples of those that transformers has a class for.
SAMPLES = {case["name"]: case["samples"] for case in family_models.families("goldens")
           if "samples" in case and not case.get("make", {}).get("original")}


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
    model, trained = ROOT / f"tests/goldens/{case}/model", f"{folder}/run"
    config = f"{folder}/train.yaml"
    base = load(model)
    trained_too = TRAINED + (["*.bias"] if any(name.endswith(".bias") for name, _ in base.named_parameters()) else [])
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"model: {{from: {model}, lora: {{rank: 3, alpha: 6, targets: ['*'], {FORM}, train: {trained_too}}}}}\n"
                   f"data: {{train: [{{messages: {ROOT / SAMPLES[case]}}}]}}\n"
                   f"train: {{tokens_per_step: 1024, steps: 2, optimizer: {{lr: 0.02}}}}\noutput: {{dir: {trained}}}\n")
    run(binary, "train", config)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        adapted = peft.PeftModel.from_pretrained(base, f"{trained}/adapter")
    problems = [f"PEFT says: {w.message}" for w in said if "key" in str(w.message).lower()]
    factors = [value for name, value in adapted.named_parameters() if "lora_" in name]
    problems += [] if factors and all(float(v.detach().abs().sum()) > 0 for v in factors) else ["a factor is zero"]
    difference, name = furthest(adapted.merge_and_unload(), load(f"{trained}/model"))
    if not difference <= BOUND:
        problems.append(f"merged by PEFT, {name} differs by {difference:.2g} from the merged model")
    with open(f"{trained}/adapter/adapter_config.json", encoding="utf-8") as file:
        computed = json.load(file)["target_modules"]
    return computed, difference, problems


def from_peft(case, computed, binary, folder):
    """What longsight makes of adapters that PEFT wrote. `computed`: the layers that can have learned something."""
    model, adapter, out = ROOT / f"tests/goldens/{case}/model", f"{folder}/peft", f"{folder}/merged"
    base = load(model)
    linear = [name for name, module in base.named_modules()
              if isinstance(module, torch.nn.Linear) and not name.endswith("lm_head")]
    torch.manual_seed(1)
    adapted = peft.get_peft_model(base, peft.LoraConfig(
        r=4, lora_alpha=10, target_modules=linear, use_rslora=True, rank_pattern={"q_proj": 2, r"layers\.0\..*down_proj": 5},
        alpha_pattern={"v_proj": 3}, modules_to_save=["lm_head"], bias="all"))
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "modules_to_save" in name:
                value.add_(torch.randn_like(value) * 0.05)
            if name.endswith(".base_layer.bias") and any(f".{layer}.base_layer.bias" in name for layer in computed):
                value.add_(torch.randn_like(value) * 0.05)
            if "lora_B" in name and any(f".{layer}.lora_B" in name for layer in computed):
                value.normal_(std=0.05)
    adapted.save_pretrained(adapter)
    run(binary, "export", model, out, "--adapter", adapter, "--dtype", "f32")
    difference, name = furthest(load(out), adapted.merge_and_unload())
    return linear, difference, [] if difference <= BOUND else [
        f"merged by longsight, {name} differs by {difference:.2g} from PEFT's"]


def both_ways(case):
    def check(binary, folder):
        computed = []
        for title, ask in [("longsight -> PEFT", from_longsight), ("PEFT -> longsight", from_peft)]:
            arguments = [computed] if computed else []
            computed, difference, problems = ask(case, *arguments, binary, folder)
            yield title, f"{len(computed)} layers, merged weights differ by {difference:.1e}", problems
    return check


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    main(__doc__, {case: both_ways(case) for case in SAMPLES})

#!/usr/bin/env python3
"""Writes tests/goldens/adapters/NAME/: adapters that PEFT made and trained weights of, on a golden model, in several forms.

  .venv/bin/python scripts/make_adapter_goldens.py [NAME ...]

Each folder holds PEFT's adapter_config.json and adapter_model.safetensors, and merged.safetensors: the tensors of the
merged model that differ from the base, by their names in the base folder's file.
"""
import json
import pathlib
import shutil
import sys

import peft
import safetensors.torch
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/goldens/adapters"
LAYERS = r"model\.language_model\.layers\.[01]\.(self_attn\.[qv]_proj|mlp\.down_proj)|model\.visual\.blocks\.0\.attn\.qkv"
FORMS = {
    "patterns": ("qwen2-vl", {"r": 2, "lora_alpha": 5, "target_modules": LAYERS,
                              "rank_pattern": {"q_proj": 3, r"layers\.1\.mlp\.down_proj": 1}, "alpha_pattern": {"v_proj": 7.5}}),
    "rslora": ("qwen2-vl", {"r": 3, "lora_alpha": 4, "use_rslora": True, "target_modules": ["q_proj"],
                            "layers_to_transform": [1], "layers_pattern": "layers", "alpha_pattern": {".*visual.*": 3}}),
    "modules": ("qwen2-vl", {"r": 2, "lora_alpha": 2, "target_modules": LAYERS, "bias": "lora_only",
                             "modules_to_save": ["language_model.norm", "merger.ln_q"]}),
    "embedding": ("qwen2-vl", {"r": 2, "lora_alpha": 3, "target_modules": ["embed_tokens", "k_proj"]}),
    "tied": ("internvl-qwen2", {"r": 1, "lora_alpha": 2, "target_modules": ["gate_proj"], "modules_to_save": ["lm_head"]}),
}


def load(folder):
    architecture = getattr(transformers, transformers.AutoConfig.from_pretrained(folder).architectures[0])
    return architecture.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def by_file_name(model, folder):
    """The state of the model, by the names of the file that it came from."""
    names = set(safetensors.torch.load_file(folder / "model.safetensors"))
    model.save_pretrained(OUT / "whole")
    state = safetensors.torch.load_file(OUT / "whole/model.safetensors")
    shutil.rmtree(OUT / "whole")
    missing = names - set(state)
    if missing:
        raise SystemExit(f"other names than in the file: {sorted(missing)[:3]}, {sorted(set(state) - names)[:3]}")
    return state


def main():
    for name, (case, options) in FORMS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        folder, out = ROOT / "tests/goldens" / case / "model", OUT / name
        base = by_file_name(load(folder), folder)
        torch.manual_seed(7)
        adapted = peft.get_peft_model(load(folder), peft.LoraConfig(task_type="CAUSAL_LM", **options))
        with torch.no_grad():
            for value in adapted.parameters():
                if value.requires_grad:
                    value.add_(torch.randn_like(value) * 0.05)
        adapted.save_pretrained(out)
        (out / "README.md").unlink(missing_ok=True)
        config = json.loads((out / "adapter_config.json").read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = f"tests/goldens/{case}/model"
        config["target_modules"] = sorted(config["target_modules"]) if isinstance(config["target_modules"], list) else config["target_modules"]
        (out / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        merged = adapted.merge_and_unload()
        merged.config.tie_word_embeddings = False
        state = by_file_name(merged, folder)
        changed = {key: value.contiguous() for key, value in state.items() if key not in base or not torch.equal(value, base[key])}
        safetensors.torch.save_file(changed, out / "merged.safetensors", {"format": "pt"})
        print(name, len(changed), "tensors", sum(v.numel() for v in changed.values()))


if __name__ == "__main__":
    main()

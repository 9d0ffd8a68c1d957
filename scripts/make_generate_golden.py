#!/usr/bin/env python3
"""Makes tests/goldens/generate/llava-clip-llama.json: what transformers generates greedily, in f64, for the last assistant
turn of each golden sample.

  .venv/bin/python scripts/make_generate_golden.py

Needs .venv (scripts/setup.sh --with-peers).
"""
import json
import os

import torch
import transformers
from check_transformers import prompt_of, read_lines

CASE = "tests/goldens/llava-clip-llama"
OUT = "tests/goldens/generate/llava-clip-llama.json"
TOKENS = 24


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    model = transformers.LlavaForConditionalGeneration.from_pretrained(
        f"{CASE}/model", dtype=torch.float64, attn_implementation="eager", local_files_only=True).eval()
    processor = transformers.AutoProcessor.from_pretrained(f"{CASE}/model", local_files_only=True, backend="pil")
    samples = []
    for sample in read_lines(f"{CASE}/samples.jsonl"):
        prompt, pictures, _ = prompt_of(sample, CASE)
        text = processor.apply_chat_template(prompt, add_generation_prompt=True)
        inputs = processor(images=pictures or None, text=text, return_tensors="pt")
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].double()
        with torch.no_grad():
            out = model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False, num_beams=1,
                                 output_logits=True, return_dict_in_generate=True)
        ids = out.sequences[0, inputs["input_ids"].shape[1]:].tolist()
        best = [torch.topk(logits[0], 2).values for logits in out.logits]
        samples.append({
            "prompt_tokens": inputs["input_ids"].shape[1],
            "ids": ids,
            "text": processor.tokenizer.decode(ids, skip_special_tokens=True),
            "smallest_margin": min(float(two[0] - two[1]) for two in best),
        })
    os.makedirs(os.path.dirname(OUT), exist_ok=True)
    with open(OUT, "w", encoding="utf-8") as file:
        json.dump({"transformers": transformers.__version__, "torch": torch.__version__, "max_tokens": TOKENS,
                   "samples": samples}, file, indent=1, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main()

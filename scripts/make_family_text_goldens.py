#!/usr/bin/env python3
"""Writes tests/goldens/tokenizer/families/: for a model of each family its tokenizer and chat template, chat samples, and the
ids and labels that the Hugging Face processor makes of them.

    scripts/make_family_text_goldens.py GOLDENS

GOLDENS holds a folder for each case: model/ (the Hugging Face files), samples.jsonl, and expected_samples/NNN.safetensors with
input_ids, labels and, where the processor makes it, image_grid_thw or token_type_ids. How each image was cut is read from these:
that is the input of the text that stands for it, which the tests then compare.
"""

import argparse
import json
import pathlib
import shutil
import struct

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/goldens/tokenizer/families"
FILES = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.json"]
# Case: how its images are cut, image token, what one tile has of them (or a whole image that is not cut).
CASES = {
    "llava-multilayer": ("plain", "<image>", 16),
    "internvl-qwen2": ("internvl", "<IMG_CONTEXT>", 4),
    "qwen2-vl": ("qwen", "<|image_pad|>", None),
    "qwen2_5-vl": ("qwen", "<|image_pad|>", None),
    "smolvlm": ("smolvlm", "<image>", 9),
    "paligemma": ("plain", "<image>", 9),
}


def integers(path):
    """The i64 tensors of a safetensors file, as flat lists."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    result = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "I64":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            result[name] = list(struct.unpack(f"<{(end - begin) // 8}q", data[begin:end]))
    return result


def tile_grids(ids, names):
    """SmolVLM: [rows, columns] of each image, from the last <row_r_col_c> in front of its <global-img>."""
    grids, last = [], [1, 1]
    for i in ids:
        if names.get(i, "").startswith("<row_"):
            _, row, _, column = names[i].strip("<>").split("_")
            last = [int(row), int(column)]
        elif names.get(i) == "<global-img>":
            grids.append(last)
            last = [1, 1]
    return grids


def runs(ids, token):
    """Lengths of the runs of a token."""
    lengths, before = [], None
    for i in ids:
        if i == token:
            lengths = [*lengths[:-1], lengths[-1] + 1] if before == token else [*lengths, 1]
        before = i
    return lengths


def media(kind, expected, image_token, per_tile, names):
    ids = expected["input_ids"]
    if kind == "qwen":
        grid = expected.get("image_grid_thw", [])
        return [grid[i : i + 3] for i in range(0, len(grid), 3)]
    if kind == "smolvlm":
        return tile_grids(ids, names)
    if kind == "internvl":
        return [[1, length // per_tile] for length in runs(ids, image_token)]
    return [[1, 1]] * (ids.count(image_token) // per_tile)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("goldens", type=pathlib.Path)
    goldens = parser.parse_args().goldens
    for case, (kind, image, per_tile) in CASES.items():
        source, out = goldens / case, OUT / case
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if (source / "model" / name).exists():
                shutil.copyfile(source / "model" / name, out / name)
        shutil.copyfile(source / "samples.jsonl", out / "samples.jsonl")
        config = json.loads((source / "model/config.json").read_text(encoding="utf-8"))
        (out / "config.json").write_text(json.dumps({"model_type": config["model_type"]}) + "\n", encoding="utf-8")
        tokenizer = json.loads((source / "model/tokenizer.json").read_text(encoding="utf-8"))
        names = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
        (image_token,) = (i for i, name in names.items() if name == image)
        samples = []
        for path in sorted((source / "expected_samples").glob("[0-9]*.safetensors")):
            expected = integers(path)
            sample = {"media": media(kind, expected, image_token, per_tile, names)}
            for name in ("input_ids", "labels", "token_type_ids"):
                if name in expected:
                    sample[name] = expected[name]
            samples.append(sample)
        result = {"kind": kind, "image_token": image_token, "per_tile": per_tile, "samples": samples}
        (out / "expected.json").write_text(json.dumps(result, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

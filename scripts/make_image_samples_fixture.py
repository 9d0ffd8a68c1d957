#!/usr/bin/env python3
"""Writes tests/goldens/image_processor/samples.json: what the processors of transformers made of the images of the
golden cases, in short.

CASES is a folder of golden cases; of each case that has samples with images are taken images/, samples.jsonl, the
image settings in model/ (all copied into tests/goldens/CASE) and expected_samples/*.safetensors, of which the shape and
the XXH64 (seed 0) of pixel_values and the values of image_grid_thw are kept. SmolVLM's pixel values lose the padding in
front, [1, tiles, ...], and its mask must be all ones.

    python3 -m venv .venv && .venv/bin/pip install numpy xxhash safetensors
    .venv/bin/python scripts/make_image_samples_fixture.py CASES
"""
import json
import pathlib
import shutil
import sys

import numpy as np
import xxhash
from safetensors.numpy import load_file

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "goldens"


def copy(source, target):
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def main():
    lines = []
    for case in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        if not (case / "images").is_dir():
            continue
        for name in ["samples.jsonl", "model/preprocessor_config.json", "model/processor_config.json",
                     *(f"images/{image.name}" for image in (case / "images").iterdir())]:
            copy(case / name, GOLDENS / case.name / name)
        for number, _ in enumerate((case / "samples.jsonl").open()):
            tensors = load_file(case / "expected_samples" / f"{number:03}.safetensors")
            if "pixel_values" not in tensors:
                continue
            values = tensors["pixel_values"]
            if "pixel_attention_mask" in tensors:
                assert values.shape[0] == 1 and (tensors["pixel_attention_mask"] == 1).all()
                values = values[0]
            assert values.dtype == np.float32
            lines.append(json.dumps({"case": case.name, "sample": number, "shape": list(values.shape),
                                     "digest": xxhash.xxh64(np.ascontiguousarray(values).tobytes()).hexdigest(),
                                     "grids": tensors.get("image_grid_thw", np.zeros((0, 3))).astype(int).tolist()}))
    file = GOLDENS / "image_processor" / "samples.json"
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes tests/goldens/image_processor/expected.json: pixel values by the Pillow image processors of transformers.

Each case: the processor's configuration, an image of tests/goldens/decode or of the LLaVA golden case, and for the
values [3, height, width] in f32 their shape and XXH64 (seed 0).

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install pillow==13.0.0 numpy xxhash transformers==5.23.0
    /tmp/venv/bin/python scripts/make_image_processor_fixture.py   # after make_decode_fixture.py, if both run
"""
import json
import pathlib

import numpy as np
import xxhash
from transformers.image_utils import load_image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "goldens"
PROCESSORS = {"CLIPImageProcessor": CLIPImageProcessorPil, "LlavaImageProcessor": LlavaImageProcessorPil,
              "SiglipImageProcessor": SiglipImageProcessorPil}
IMAGES = ["decode/baseline_420.jpg", "decode/exif6.jpg", "decode/gray8.png", "decode/rgba8.png", "decode/one_pixel.png",
          "llava-clip-llama/images/tall.jpg", "llava-clip-llama/images/wide.png", "llava-clip-llama/images/photo.jpg"]
CONFIGS = [
    {"image_processor_type": "CLIPImageProcessor"},
    {"image_processor_type": "CLIPImageProcessor", "size": 40, "crop_size": 28},
    {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 30}, "crop_size": {"height": 45, "width": 38}},
    {"image_processor_type": "CLIPImageProcessor", "size": {"height": 31, "width": 50}, "do_center_crop": False, "resample": 2},
    {"image_processor_type": "CLIPImageProcessor", "size": 33, "do_center_crop": False, "resample": 1},
    {"image_processor_type": "CLIPImageProcessor", "size": 33, "crop_size": 20, "do_normalize": False},
    {"image_processor_type": "CLIPImageProcessor", "size": 33, "crop_size": 20, "do_rescale": False},
    {"image_processor_type": "CLIPImageProcessor", "do_resize": False, "crop_size": [25, 18]},
    {"image_processor_type": "LlavaImageProcessor", "size": 42, "crop_size": 42, "do_pad": True},
    {"image_processor_type": "LlavaImageProcessor", "size": 42, "crop_size": 42, "do_pad": False},
    {"image_processor_type": "LlavaImageProcessor", "size": 42, "crop_size": 42, "do_pad": True, "image_mean": [0.5, 0.25, 1], "image_std": [0.3, 1, 2]},
    {"image_processor_type": "SiglipImageProcessor"},
    {"image_processor_type": "SiglipImageProcessor", "size": {"height": 28, "width": 42}, "rescale_factor": 0.01},
]


def main():
    lines = []
    for config in CONFIGS:
        arguments = {k: v for k, v in config.items() if k != "image_processor_type"}
        processor = PROCESSORS[config["image_processor_type"]](**arguments)
        for image in IMAGES:
            values = np.asarray(processor(load_image(str(GOLDENS / image)))["pixel_values"][0])
            assert values.dtype == np.float32 or not config.get("do_rescale", True)
            values = np.ascontiguousarray(values.astype(np.float32))
            lines.append(json.dumps({"config": config, "image": image, "shape": list(values.shape),
                                     "digest": xxhash.xxh64(values.tobytes()).hexdigest()}))
    file = GOLDENS / "image_processor" / "expected.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes tests/goldens/image_processor/expected.json: pixel values by the Pillow image processors of transformers.

Each case: the processor's configuration, an image of tests/goldens/decode or of the LLaVA golden case, and for the
values in f32, [tiles, 3, height, width] or rows of patches, their shape and XXH64 (seed 0). Videos: a number of frames
cut out of the photo of the LLaVA case, frame i at (3 i, 2 i), 70 x 50 pixels.

    python3 -m venv .venv && .venv/bin/pip install pillow==13.0.0 numpy xxhash transformers==5.23.0
    .venv/bin/python scripts/make_image_processor_fixture.py   # after make_decode_fixture.py, if both run
"""
import json
import pathlib

import numpy as np
import xxhash
from transformers.image_utils import load_image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "goldens"
PROCESSORS = {"CLIPImageProcessor": CLIPImageProcessorPil, "LlavaImageProcessor": LlavaImageProcessorPil,
              "SiglipImageProcessor": SiglipImageProcessorPil, "GotOcr2ImageProcessor": GotOcr2ImageProcessorPil,
              "Qwen2VLImageProcessor": Qwen2VLImageProcessorPil, "Idefics3ImageProcessor": Idefics3ImageProcessorPil,
              "SmolVLMImageProcessor": SmolVLMImageProcessorPil}
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
    {"image_processor_type": "GotOcr2ImageProcessor", "size": {"height": 42, "width": 42}, "max_patches": 12},
    {"image_processor_type": "GotOcr2ImageProcessor", "size": {"height": 28, "width": 42}, "min_patches": 2, "max_patches": 5, "resample": 2,
     "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    {"image_processor_type": "GotOcr2ImageProcessor", "size": 56, "max_patches": 1},
    {"image_processor_type": "Qwen2VLImageProcessor"},
    {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 784, "max_pixels": 7840, "image_std": 0.5},
    {"image_processor_type": "Qwen2VLImageProcessor", "size": {"shortest_edge": 1000, "longest_edge": 3000}, "patch_size": 7,
     "merge_size": 3, "temporal_patch_size": 1, "resample": 1},
    {"image_processor_type": "Idefics3ImageProcessor", "size": {"longest_edge": 120}, "max_image_size": {"longest_edge": 30}},
    {"image_processor_type": "SmolVLMImageProcessor", "size": {"longest_edge": 51}, "max_image_size": {"longest_edge": 60}},
    {"image_processor_type": "SmolVLMImageProcessor", "size": {"longest_edge": 97}, "max_image_size": {"longest_edge": 32}, "resample": 3},
    {"image_processor_type": "SmolVLMImageProcessor", "do_resize": False, "max_image_size": {"longest_edge": 40}},
    {"image_processor_type": "Idefics3ImageProcessor", "size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 40},
     "do_image_splitting": False},
    {"image_processor_type": "Idefics3ImageProcessor", "size": {"height": 50, "width": 90}, "max_image_size": {"longest_edge": 40}},
]
# Frames of a video, all of one size.
VIDEOS = [
    ({"video_processor_type": "Qwen2VLVideoProcessor"}, 3),
    ({"video_processor_type": "Qwen2VLVideoProcessor", "min_pixels": 784, "max_pixels": 3136}, 4),
    ({"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 784, "max_pixels": 3136, "patch_size": 14}, 1),
]


def values_of(config, image):
    arguments = {k: v for k, v in config.items() if k != "image_processor_type"}
    if config["image_processor_type"] == "GotOcr2ImageProcessor":
        arguments["crop_to_patches"] = True  # as InternVL's processor asks for
    result = PROCESSORS[config["image_processor_type"]](**arguments)(image)
    values = np.asarray(result["pixel_values"])
    if config["image_processor_type"] in ("Idefics3ImageProcessor", "SmolVLMImageProcessor"):
        assert (np.asarray(result["pixel_attention_mask"]) == 1).all()
        values = values[0]
    assert values.dtype == np.float32 or not config.get("do_rescale", True)
    return np.ascontiguousarray(values.astype(np.float32))


def frame(number):
    """Part of the photo, moving by (3, 2) pixels from frame to frame."""
    photo = load_image(str(GOLDENS / "llava-clip-llama/images/photo.jpg"))
    return photo.crop((3 * number, 2 * number, 3 * number + 70, 2 * number + 50))


def video_values(config, frames):
    """The rows of each frame by the image processor, [..., 3, 2, P, P], of which pairs share their rows."""
    limits = {"min_pixels": config.get("min_pixels", 128 * 28 * 28), "max_pixels": config.get("max_pixels", 768 * 28 * 28)}
    processor = Qwen2VLImageProcessorPil(**limits)
    rows = [np.asarray(processor(frame(min(i, frames - 1)))["pixel_values"]).reshape(-1, 3, 2, 14, 14)
            for i in range(frames + frames % 2)]
    pairs = [np.stack([first[:, :, 0], second[:, :, 1]], 2) for first, second in zip(rows[::2], rows[1::2])]
    return np.concatenate(pairs).reshape(-1, 3 * 2 * 14 * 14)


def digest(values):
    return xxhash.xxh64(np.ascontiguousarray(values).tobytes()).hexdigest()


def main():
    lines = []
    for config in CONFIGS:
        for image in IMAGES:
            values = values_of(config, load_image(str(GOLDENS / image)))
            lines.append(json.dumps({"config": config, "image": image, "shape": list(values.shape), "digest": digest(values)}))
    for config, frames in VIDEOS:
        values = video_values(config, frames)
        lines.append(json.dumps({"config": config, "frames": frames, "shape": list(values.shape), "digest": digest(values)}))
    file = GOLDENS / "image_processor" / "expected.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()

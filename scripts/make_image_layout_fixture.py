#!/usr/bin/env python3
"""Writes tests/goldens/image_processor/layouts.json: what images of 100,000 sizes become, by transformers.

The Pillow image processors run as they are, but Pillow's resize is replaced by one that makes an image of the size
asked for without filling it. Per configuration, for each block of 1,000 sizes the XXH64 (seed 0) of i64 rows
[tiles, tile height, tile width, tokens, grid rows, grid columns, thumbnail, canvas height, canvas width], the first
rows, and how many sizes are refused (rows of zeros): those that the processor refuses, and those of which it would make
more than 178956970 pixels at once.

Size k: h and w of Philox(7, "image sizes").bits(k), the generator of runtime/base/philox.h, whose bits 60.. choose the
range: up to 100, 1000, 4096, 20000; 1 + (bits 0 .. 29) mod range is the height, 1 + (bits 30 .. 59) mod range the width.

Tokens, without separators: Qwen2-VL get_number_of_image_patches / merge^2, InternVL one per merged patch of 448 / 28,
SmolVLM image_seq_len, CLIP and SigLIP one per patch of 14. Videos: that many frames (1 + k mod 9).

    python3 -m venv .venv && .venv/bin/pip install pillow==13.0.0 numpy xxhash torch transformers==5.23.0
    .venv/bin/python scripts/make_image_layout_fixture.py
"""
import functools
import json
import math
import pathlib

import numpy as np
import transformers
import transformers.image_processing_backends as backends
import xxhash
from make_resize_fixture import philox_bits
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

FILE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "goldens" / "image_processor" / "layouts.json"
COUNT, BLOCK, SHOWN = 100_000, 1000, 20
LIMIT = 178956970
REFUSED = [0] * 9
transformers.logging.set_verbosity_error()  # of images of 3 x n pixels

CONFIGS = [
    {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 336}, "crop_size": 336},
    {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 224}, "do_center_crop": False},
    {"image_processor_type": "LlavaImageProcessor", "size": {"shortest_edge": 336}, "crop_size": 336, "do_pad": True},
    {"image_processor_type": "SiglipImageProcessor", "size": {"height": 384, "width": 384}},
    {"image_processor_type": "GotOcr2ImageProcessor", "size": {"height": 448, "width": 448}},
    {"image_processor_type": "GotOcr2ImageProcessor", "size": {"height": 56, "width": 56}, "min_patches": 3, "max_patches": 40},
    {"image_processor_type": "Qwen2VLImageProcessor"},
    {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 256 * 28 * 28, "max_pixels": 12845056},
    {"image_processor_type": "SmolVLMImageProcessor", "size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}},
    {"image_processor_type": "Idefics3ImageProcessor"},
    {"image_processor_type": "Idefics3ImageProcessor", "size": {"longest_edge": 5000}, "max_image_size": {"longest_edge": 98}},
    {"image_processor_type": "SmolVLMImageProcessor", "do_image_splitting": False},
    {"video_processor_type": "Qwen2VLVideoProcessor"},
    {"video_processor_type": "Qwen2VLVideoProcessor", "cap_pixels_per_frame": True, "max_video_tokens": 1000},
]
PROCESSORS = {"CLIPImageProcessor": CLIPImageProcessorPil, "LlavaImageProcessor": LlavaImageProcessorPil,
              "SiglipImageProcessor": SiglipImageProcessorPil, "GotOcr2ImageProcessor": GotOcr2ImageProcessorPil,
              "Qwen2VLImageProcessor": Qwen2VLImageProcessorPil, "SmolVLMImageProcessor": SmolVLMImageProcessorPil,
              "Idefics3ImageProcessor": Idefics3ImageProcessorPil}

made = []  # sizes of the images that resize made for this one


class Refused(Exception):
    pass


def blank(height, width):
    if height * width > LIMIT or height < 1 or width < 1:
        raise Refused
    return np.broadcast_to(np.zeros((), np.uint8), (3, height, width))


def blank_resize(image, size, **_):
    made.append(tuple(size))
    return blank(*size)


backends.np_resize = blank_resize


def sizes():
    bits = philox_bits(7, "image sizes", COUNT)
    largest = np.array([100, 1000, 4096, 20000], np.uint64)[(bits >> np.uint64(60)) % np.uint64(4)]
    low = np.uint64((1 << 30) - 1)
    height = np.uint64(1) + (bits & low) % largest
    width = np.uint64(1) + (bits >> np.uint64(30) & low) % largest
    return zip(height.tolist(), width.tolist())


def one_size(height, width, canvas, tokens, tiles=1):
    return [tiles, height, width, tokens, 1, 1, 0, *canvas]


def clip_row(p, image):
    height, width = image.shape[-2:]
    if getattr(p, "do_pad", False):
        blank(max(height, width), max(height, width))
        image = np.broadcast_to(np.zeros((), np.uint8), (3, max(height, width), max(height, width)))
    p.resize(image, p.size, p.resample)
    tile = (p.crop_size.height, p.crop_size.width) if p.do_center_crop else made[0]
    return one_size(*tile, made[0], (tile[0] // 14) * (tile[1] // 14))


def got_ocr2_row(p, image):
    tiles = p.crop_image_to_patches(image, p.min_patches, p.max_patches, patch_size=p.size, resample=p.resample)
    side = p.size.height
    assert all(tile.shape == (3, side, side) for tile in tiles)
    arguments = {"crop_to_patches": True}  # as InternVL's processor asks for
    assert len(tiles) == p.get_number_of_image_patches(*image.shape[-2:], arguments)
    rows, columns = made[0][0] // side, made[0][1] // side
    return [len(tiles), side, side, len(tiles) * (side // 28) ** 2, rows, columns, int(len(tiles) > rows * columns), *made[0]]


def qwen2_vl_row(p, image):
    height, width = image.shape[-2:]
    p.resize(image, p.size, p.resample, factor=p.patch_size * p.merge_size)
    return one_size(*made[0], made[0], p.get_number_of_image_patches(height, width) // p.merge_size**2)


def idefics3_row(p, image):
    side = p.max_image_size["longest_edge"]
    made_ = p._preprocess([[image]], do_resize=True, size=p.size, resample=p.resample, do_rescale=False, rescale_factor=1,
                          do_normalize=False, image_mean=None, image_std=None, do_pad=False,
                          do_image_splitting=p.do_image_splitting, max_image_size=p.max_image_size,
                          return_row_col_info=True, return_tensors=None)
    tiles = made_["pixel_values"][0]
    assert all(tile.shape == (3, side, side) for tile in tiles)
    rows, columns = made_["rows"][0][0], made_["cols"][0][0]
    assert len(tiles) == (rows * columns + 1 if rows else 1)
    return [len(tiles), side, side, len(tiles), max(rows, 1), max(columns, 1), int(rows > 0), *made[1]]


@functools.cache
def frame_processor(least, most):
    return Qwen2VLImageProcessorPil(size={"shortest_edge": least, "longest_edge": most})


def video_row(config, frames, image):
    # The video processor needs torchvision: its sizes are those of the image processor with other limits.
    size = {"shortest_edge": 128 * 28 * 28, "longest_edge": 28 * 28 * 768}
    if config.get("cap_pixels_per_frame"):
        share = int(config["max_video_tokens"] * 28 * 28 * 0.9) * 2 // frames
        size["longest_edge"] = max(min(size["longest_edge"], share), int(size["shortest_edge"] * 1.05))
    row = qwen2_vl_row(frame_processor(size["shortest_edge"], size["longest_edge"]), image)
    row[0] = math.ceil(frames / 2)
    row[3] *= row[0]
    return row


def row_of(config, processor, k, height, width):
    made.clear()
    image = np.broadcast_to(np.zeros((), np.uint8), (3, height, width))
    try:
        kind = config.get("image_processor_type")
        if kind is None:
            return video_row(config, 1 + k % 9, image)
        if kind == "GotOcr2ImageProcessor":
            return got_ocr2_row(processor, image)
        if kind == "Qwen2VLImageProcessor":
            return qwen2_vl_row(processor, image)
        if kind in ("Idefics3ImageProcessor", "SmolVLMImageProcessor"):
            return idefics3_row(processor, image)
        return clip_row(processor, image)
    except (Refused, ValueError) as error:
        assert isinstance(error, Refused) or "aspect ratio" in str(error) or "empty" in str(error), error
        return REFUSED


def main():
    cases = []
    for config in CONFIGS:
        arguments = {k: v for k, v in config.items() if k != "image_processor_type"}
        kind = config.get("image_processor_type")
        processor = PROCESSORS[kind](**arguments) if kind else None
        rows = np.array([row_of(config, processor, k, *size) for k, size in enumerate(sizes())], "<i8")
        refused = int((rows[:, 0] == 0).sum())
        digests = [xxhash.xxh64(rows[i:i + BLOCK].tobytes()).hexdigest() for i in range(0, COUNT, BLOCK)]
        cases.append({"config": config, "refused": refused, "first": rows[:SHOWN].tolist(), "digests": digests})
        print(config, refused, "refused,", len(np.unique(rows, axis=0)), "different rows", flush=True)
    FILE.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()

"""Pictures as Pillow opens them: what the decoders of Longsight are compared with."""
import contextlib
import io
import warnings

import numpy as np
from PIL import Image, ImageOps

FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "MPO"]


@contextlib.contextmanager
def opened(source):
    """A path or bytes, of the formats that are read, turned as its EXIF block says; warnings are passed over."""
    with warnings.catch_warnings(action="ignore"):
        with Image.open(io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source, formats=FORMATS) as image:
            yield ImageOps.exif_transpose(image)


def composed_with_white(image):  # transformers.image_transforms.convert_to_rgb
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(background, image).convert("RGB")
    return image.convert("RGB")


def pixel_bytes(image):
    return np.asarray(image).tobytes()

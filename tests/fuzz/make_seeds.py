#!/usr/bin/python3
"""Files for the fuzz targets to begin with: small ones of tests/goldens and configs, and what an attacker would write.

    tests/fuzz/make_seeds.py OUT                       OUT/TARGET/FILE, for scripts/fuzz.sh
    tests/fuzz/make_seeds.py --replay replay_seeds     the same, with large ones, in a temporary folder and through the readers
    tests/fuzz/make_seeds.py --small replay_seeds      the same without the large ones
"""
import os
import subprocess
import sys
import tempfile

import binary_seeds
import text_seeds
import tokenizer_seeds

SEEDS = {
    "bmp": lambda: binary_seeds.picture("bmp"),
    "chat_template": text_seeds.chat_template,
    "checkpoint_manifest": text_seeds.checkpoint_manifest,
    "config_yaml": text_seeds.config_yaml,
    "data_index": binary_seeds.data_index,
    "data_record": text_seeds.data_record,
    "gif": lambda: binary_seeds.picture("gif"),
    "gzip": binary_seeds.gzip_files,
    "image_processor": text_seeds.image_processor,
    "jpeg": lambda: binary_seeds.picture("jpg") | binary_seeds.jpeg_attacks(),
    "model_config": text_seeds.model_config,
    "png": lambda: binary_seeds.picture("png") | binary_seeds.png_attacks(),
    "safetensors": binary_seeds.safetensors,
    "safetensors_index": text_seeds.safetensors_index,
    "sentencepiece": tokenizer_seeds.sentencepiece,
    "tar": binary_seeds.tar,
    "tiff": lambda: binary_seeds.picture("tif"),
    "tokenizer_json": tokenizer_seeds.tokenizer_json,
    "webp": lambda: binary_seeds.picture("webp"),
}
# For bounds on memory: about a megabyte each, those of safetensors up to 100.
LARGE = {
    "chat_template": text_seeds.large_templates,
    "checkpoint_manifest": text_seeds.large_manifest,
    "config_yaml": text_seeds.large_yaml,
    "data_record": text_seeds.large_records,
    "model_config": text_seeds.large_configs,
    "safetensors": binary_seeds.large_safetensors,
    "safetensors_index": text_seeds.large_index,
    "sentencepiece": tokenizer_seeds.large_sentencepiece,
    "tar": binary_seeds.large_tars,
    "tokenizer_json": tokenizer_seeds.large_tokenizers,
}


def write(out, target, seeds):
    folder = os.path.join(out, target)
    os.makedirs(folder, exist_ok=True)
    for name, content in seeds.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())


def main():
    if len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        for target, make in SEEDS.items():
            write(sys.argv[1], target, make())
        return 0
    if len(sys.argv) != 3 or sys.argv[1] not in ("--replay", "--small"):
        print(__doc__, file=sys.stderr)
        return 64
    memory = "/dev/shm" if os.statvfs("/dev/shm").f_bavail * os.statvfs("/dev/shm").f_frsize > 2 << 30 else None
    with tempfile.TemporaryDirectory(prefix="longsight-seeds-", dir=memory) as out:
        for target, make in SEEDS.items():
            write(out, target, make())
        for target, make in LARGE.items() if sys.argv[1] == "--replay" else ():
            write(out, target, {"large-" + name: content for name, content in make().items()})
        return subprocess.run([sys.argv[2], out], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""What transformers writes for a newly built model, as tests/model/v5_test.cpp reads it.

  .venv/bin/python tests/goldens/v5/make.py                    # every model of tests/families.json with "v5"
  .venv/bin/python tests/goldens/v5/make.py NAME=FOLDER ... "NAME={config}" ...

For each folder that save_pretrained wrote, or model that is made of a configuration: NAME.json with its config.json, and of
every tensor its shape and a checksum of its bits: the sum of its 32-bit words, each times its place (from 1), modulo 2^64
(of a folder; the weights of the others are random).
"""
import json
import os
import sys
import tempfile

import numpy
from safetensors.numpy import load_file


def checksum(values):
    words = numpy.ascontiguousarray(values, dtype=numpy.float32).reshape(-1).view(numpy.uint32).astype(numpy.uint64)
    return f"{int((words * numpy.arange(1, len(words) + 1, dtype=numpy.uint64)).sum(dtype=numpy.uint64)):016x}"


def save_new(source, folder):
    import transformers
    config = transformers.AutoConfig.for_model(**json.loads(source))
    auto = transformers.AutoModelForImageTextToText if hasattr(config, "vision_config") else transformers.AutoModelForCausalLM
    auto.from_config(config).save_pretrained(folder)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "..", "..", "families.json"), encoding="utf-8") as file:
        listed = [f"{model['v5']}={json.dumps(model['config'])}" for model in json.load(file)["models"] if "v5" in model]
    for argument in sys.argv[1:] or listed:
        name, folder = argument.split("=", 1)
        made = folder.startswith("{")
        if made:
            source, folder = folder, tempfile.mkdtemp()
            save_new(source, folder)
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        config.pop("transformers_version", None)
        tensors = {key: [list(value.shape), "" if made else checksum(value)]
                   for key, value in sorted(load_file(os.path.join(folder, "model.safetensors")).items())}
        with open(os.path.join(here, f"{name}.json"), "w", encoding="utf-8") as file:
            lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in tensors.items())
            file.write('{"config": ' + json.dumps(config, sort_keys=True) + ',\n "tensors": {\n' + lines + "}}\n")


main()

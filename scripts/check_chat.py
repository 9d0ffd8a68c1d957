#!/usr/bin/env python3
"""Compares what a run's folder says of chats with what Hugging Face transformers makes of it.

  .venv/bin/python scripts/check_chat.py [--binary build/host/longsight]

Trains models of tests/goldens for one step with several chat templates (data.chat), loads RUN/model with AutoTokenizer and
AutoProcessor, and compares the token ids of `longsight batch` on it with those of the processor on apply_chat_template's text:
equal, but for the eos that is added where a template ends no answer. (Processors with videos need torchvision; without it the
texts are compared, with one mark for each picture.) Where a template marks {% generation %}, the labels are
those of transformers' assistant mask. Exit code 0: all well, 70: something differs, 66: a missing input. Needs .venv
(scripts/setup.sh --with-peers).
"""
import json
import os
import re

from peer_check import ROOT, main, run, stop_without

MARKED = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{% for c in m.content %}"
          "{{ c.text }}{% endfor %}<|im_end|>{% endgeneration %}\n{% else %}{% for c in m.content %}{% if c.type == 'image' %}"
          "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}"
          "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
# What SmolVLM's processor makes of a picture.
TILES = (r"(?:<fake_token_around_image><row_\d+_col_\d+>(?:<image>)+\n?)*\n?<fake_token_around_image><global-img>(?:<image>)+"
         r"<fake_token_around_image>")
# Model of tests/goldens, templates (None: its own; a file: its text).
CASES = [("llava-clip-llama", [None, "vicuna", "llava-hub"]), ("llava-multilayer", [None]), ("internvl-qwen2", [None]),
         ("qwen2-vl", [None, {"marked.jinja": MARKED}]), ("qwen2_5-vl", [None]), ("smolvlm", [None])]


def conversation(sample, folder):
    from PIL import Image, ImageOps
    pictures, messages = [], []
    for message in sample["messages"]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            if part["type"] == "image":
                pictures.append(ImageOps.exif_transpose(Image.open(folder / part["image"])).convert("RGB"))
        messages.append({"role": message["role"],
                         "content": [{"type": "image"} if p["type"] == "image" else p for p in parts]})
    return messages, pictures


def differences(model, samples, fed, adds_eos):
    """What transformers makes otherwise of the samples."""
    import transformers
    from safetensors.torch import load_file
    tokenizer = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True)
    try:
        processor = transformers.AutoProcessor.from_pretrained(model, local_files_only=True, backend="pil")
    except (ValueError, ImportError):
        processor = None
    program = (model / "chat_template.jinja").read_text(encoding="utf-8")
    found = []
    if tokenizer.chat_template != program:
        found.append("AutoTokenizer has another chat template")
    if processor and processor.chat_template != program:
        found.append("AutoProcessor has another chat template")
    for number, line in enumerate(samples.read_text(encoding="utf-8").splitlines()):
        messages, pictures = conversation(json.loads(line), samples.parent)
        text = (processor or tokenizer).apply_chat_template(messages, tokenize=False)
        bos = tokenizer.bos_token
        if processor:
            inputs = processor(images=pictures or None, text=text,
                               add_special_tokens=not (bos and text.startswith(bos)))
            expected = inputs["input_ids"][0]
        ours = load_file(fed / f"{number:03}.safetensors")
        ids, labels = ours["input_ids"].flatten().tolist(), ours["labels"].flatten().tolist()
        if not processor:
            marked = re.sub(r"</?img>", "", tokenizer.decode(ids))
            marked = re.sub(TILES, "<image>", marked)
            same = re.sub(r"(<\|image_pad\|>|<IMG_CONTEXT>)+", r"\1", marked) == text
            expected = tokenizer.encode(text)
        elif adds_eos:
            kept = [k for k, label in enumerate(labels) if label != tokenizer.eos_token_id]
            ids, labels = [ids[k] for k in kept], [labels[k] for k in kept]
            # A space that the eos has parted from the word behind it.
            same = tokenizer.decode(ids) == tokenizer.decode(expected)
        else:
            same = ids == list(expected)
        if not same:
            found.append(f"sample {number}: ids differ: {tokenizer.decode(ids)!r}, {tokenizer.decode(expected)!r}")
        elif "{% generation %}" in program and not adds_eos and not pictures:
            mask = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
            if [label != -100 for label in labels] != [bool(m) for m in mask["assistant_masks"]]:
                found.append(f"sample {number}: other labels than transformers' assistant mask")
    return found


def with_templates(name, chats):
    def check(binary, scratch):
        golden = ROOT / "tests/goldens" / name
        samples = golden / "samples.jsonl"
        if not samples.exists():
            samples = ROOT / "tests/goldens/llava-clip-llama/samples.jsonl"
        for number, chat in enumerate(chats):
            if isinstance(chat, dict):
                (chat, text), = chat.items()
                (scratch / chat).write_text(text, encoding="utf-8")
                chat = str(scratch / chat)
            options = [f"data.chat={chat}"] if chat else []
            (scratch / "run.yaml").write_text("train: {tokens_per_step: 8192, steps: 1, optimizer: {lr: 1.0e-3}}\n")
            out, fed = scratch / f"run{number}", scratch / f"fed{number}"
            trained = run(binary, "train", scratch / "run.yaml", f"model.from={golden}/model",
                          f"data.train=[{{messages: {samples}}}]", f"output.dir={out}", *options)
            run(binary, "batch", "--model", out, "--data", samples, "--out", fed)
            found = differences(out / "model", samples, fed, "ends no answer" in trained.stderr)
            yield chat or "its own template", "differs" if found else "equal", found
    return check


if __name__ == "__main__":
    try:
        import transformers  # noqa: F401
    except ImportError as missing:
        stop_without(missing)
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    main(__doc__, {name: with_templates(name, chats) for name, chats in CASES})

"""The training step of `longsight bench step` in PyTorch and transformers: same model, same counts, random data.

Forward, loss on the text tokens, backward, clipping, fused AdamW; f32. Two warm-up steps are not counted. Prints one JSON
line; `gflops` counts what `longsight bench step` counts: matrix products of the model, the causal half of the language
model's attention, three times the forward. Needs .venv (scripts/setup.sh --with-peers).
"""
import argparse
import json
import resource
import statistics
import time

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration


def forward_flops(config, tokens, images):
    v, l = config.vision_config, config.text_config
    patches = (v.image_size // v.patch_size) ** 2
    rows = patches + 1  # the class token
    vision = rows * v.num_hidden_layers * 2 * (4 * v.hidden_size ** 2 + 2 * v.hidden_size * v.intermediate_size)
    vision += v.num_hidden_layers * 4 * rows ** 2 * v.hidden_size
    vision += patches * 2 * 3 * v.patch_size ** 2 * v.hidden_size
    connector = patches * 2 * (v.hidden_size * l.hidden_size + l.hidden_size ** 2)
    kv_width = l.num_key_value_heads * (l.hidden_size // l.num_attention_heads)
    layer = tokens * 2 * (2 * l.hidden_size ** 2 + 2 * l.hidden_size * kv_width + 3 * l.hidden_size * l.intermediate_size)
    layer += 2 * tokens ** 2 * l.hidden_size
    head = tokens * 2 * l.hidden_size * l.vocab_size
    return images * (vision + connector) + l.num_hidden_layers * layer + head


def random_batch(config, tokens, images):
    features = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    gap = tokens // max(images, 1)
    if images and gap < features:
        raise SystemExit(f"{images} images of {features} tokens each do not fit into {tokens} tokens")
    ids = torch.randint(0, config.image_token_index, (1, tokens))
    for i in range(images):
        ids[0, i * gap:i * gap + features] = config.image_token_index
    labels = ids.masked_fill(ids == config.image_token_index, -100)
    side = config.vision_config.image_size
    return dict(input_ids=ids, labels=labels, pixel_values=torch.randn(images, 3, side, side) if images else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder with a LLaVA config.json; weights are random")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    a = parser.parse_args()

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    config = LlavaConfig.from_pretrained(a.model)
    model = LlavaForConditionalGeneration._from_config(config, attn_implementation="sdpa").float().train()
    if a.checkpointing:
        model.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    batch = random_batch(config, a.tokens, a.images)
    forward = torch.compile(model) if a.compile else model

    seconds = []
    for _ in range(a.steps + 2):
        start = time.perf_counter()
        forward(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[2:])
    flops = 3 * forward_flops(config, a.tokens, a.images)
    print(json.dumps(dict(seconds=median, tokens_per_second=a.tokens / median, gflops=flops / median / 1e9,
                          flops=flops, parameters=sum(p.numel() for p in model.parameters()),
                          peak_rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                          torch=torch.__version__)))


if __name__ == "__main__":
    main()

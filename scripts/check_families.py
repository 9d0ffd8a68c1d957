#!/usr/bin/env python3
"""Loss, logits and gradients of random small models of every family against Hugging Face transformers.

  .venv/bin/python scripts/check_families.py [--binary build/host/longsight] [--only NAME] [--ranks N]

Makes each model with transformers (options that the committed references do not have: sliding windows, SigLIP towers, norms
of q and k, scaled RoPE, videos, ..), writes it as transformers does, and compares `longsight gradients` in f64 with the model
in f32, eager. Exit code 0: all within bounds, 70: one is not. Needs .venv (scripts/setup.sh --with-peers).
"""
import argparse
import os
import subprocess
import sys
import tempfile

import torch
import transformers as tf
from safetensors.torch import load_file, save_file

LOSS, LOGITS, GRADIENT = 2e-5, 3e-4, 2e-3  # f32 of transformers: tests/goldens measure 1e-6, 7e-6 and 4e-6 for such models


def siglip(**more):
    return dict(model_type="siglip_vision_model", hidden_size=30, intermediate_size=44, num_hidden_layers=3,
                num_attention_heads=5, image_size=12, patch_size=4, vision_use_head=False, **more)


def clip(**more):
    return dict(model_type="clip_vision_model", hidden_size=30, intermediate_size=44, num_hidden_layers=3,
                num_attention_heads=5, image_size=12, patch_size=4, **more)


def text(kind, **more):
    base = dict(model_type=kind, vocab_size=97, hidden_size=36, intermediate_size=50, num_hidden_layers=2,
                num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=128)
    return {**base, **more}


def internvl(**more):
    return dict(hidden_size=30, intermediate_size=44, num_hidden_layers=3, num_attention_heads=5, image_size=[16, 16],
                patch_size=[4, 4], attention_bias=True, **more)


def cases():
    """name -> (class, configuration, images a row, tokens an image)"""
    llava = tf.LlavaForConditionalGeneration
    yield "llava-siglip-mistral", llava, tf.LlavaConfig(
        vision_config=siglip(), text_config=text("mistral", sliding_window=5, head_dim=8), image_token_index=90,
        vision_feature_layer=-1, vision_feature_select_strategy="full"), 9
    yield "llava-siglip-drops-a-row", llava, tf.LlavaConfig(
        vision_config=siglip(), text_config=text("qwen2"), image_token_index=90), 8
    yield "llava-full-gelu-llama3", llava, tf.LlavaConfig(
        vision_config=clip(hidden_act="gelu"), image_token_index=90, vision_feature_layer=[-1, 2, 0],
        vision_feature_select_strategy="full", multimodal_projector_bias=False,
        text_config=text("llama", attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_parameters=dict(
            rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=16))), 10
    yield "llava-linear-rope", llava, tf.LlavaConfig(
        vision_config=clip(), image_token_index=90,
        text_config=text("llama", rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=3.0))), 9
    yield "llava-yarn-rope", llava, tf.LlavaConfig(
        vision_config=clip(), image_token_index=90,
        text_config=text("llama", rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4.0,
                                                       original_max_position_embeddings=32))), 9
    yield "llava-qwen2-window", llava, tf.LlavaConfig(
        vision_config=clip(), image_token_index=90,
        text_config=text("qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1)), 9
    yield "internvl-rms-qk-dynamic", tf.InternVLForConditionalGeneration, tf.InternVLConfig(
        vision_config=internvl(norm_type="rms_norm", use_qk_norm=True, use_mean_pooling=False), image_token_id=90,
        tie_word_embeddings=False,
        text_config=text("llama", max_position_embeddings=16,
                         rope_parameters=dict(rope_type="dynamic", rope_theta=1e4, factor=2.0))), 4
    yield "internvl-inner-layer", tf.InternVLForConditionalGeneration, tf.InternVLConfig(
        vision_config=internvl(use_mean_pooling=False), vision_feature_layer=-2, image_token_id=90,
        text_config=text("qwen2")), 4
    yield "idefics3", tf.Idefics3ForConditionalGeneration, tf.Idefics3Config(
        vision_config=dict(hidden_size=30, intermediate_size=44, num_hidden_layers=2, num_attention_heads=5, image_size=76,
                           patch_size=4), text_config=text("llama"), image_token_id=90, scale_factor=19), 1
    yield "paligemma", tf.PaliGemmaForConditionalGeneration, tf.PaliGemmaConfig(
        vision_config=siglip(), projection_dim=36, image_token_index=90,
        text_config=text("gemma", head_dim=10, num_key_value_heads=1, num_attention_heads=3)), 9
    for name, model, config in [("llama", tf.LlamaForCausalLM, tf.LlamaConfig(**text("llama", attention_bias=True))),
                                ("mistral", tf.MistralForCausalLM, tf.MistralConfig(**text("mistral", sliding_window=6))),
                                ("qwen2", tf.Qwen2ForCausalLM, tf.Qwen2Config(**text("qwen2", tie_word_embeddings=True)))]:
        yield name, model, config, 0


def qwen(newer):
    rope = dict(rope_type="default", rope_theta=1e4, mrope_section=[2, 1, 1])
    words = dict(vocab_size=97, hidden_size=48, intermediate_size=50, num_hidden_layers=2, num_attention_heads=6,
                 num_key_value_heads=2, rope_parameters=rope)
    tokens = dict(image_token_id=90, video_token_id=91, vision_start_token_id=92, vision_end_token_id=93)
    if newer:
        return tf.Qwen2_5_VLForConditionalGeneration, tf.Qwen2_5_VLConfig(
            vision_config=dict(depth=3, hidden_size=24, intermediate_size=34, out_hidden_size=48, num_heads=3, patch_size=2,
                               window_size=8, fullatt_block_indexes=[1], tokens_per_second=2), text_config=words, **tokens)
    return tf.Qwen2VLForConditionalGeneration, tf.Qwen2VLConfig(
        vision_config=dict(depth=3, embed_dim=24, hidden_size=48, num_heads=3, mlp_ratio=2, patch_size=2), text_config=words,
        **tokens)


def batch_of(config, per_image, size, images):
    """Two rows, the second shorter: `images` and one image; a prefix of unlabelled tokens."""
    rows, pixels = [], []
    for row, count in enumerate(images):
        ids = [3 + row]
        for _ in range(count):
            ids += [90] * per_image + [int(x) for x in torch.randint(0, 89, (3,))]
        ids += [int(x) for x in torch.randint(0, 89, (17 - 5 * row,))]
        rows.append(ids)
        pixels += [torch.randn(3, size, size) for _ in range(count)]
    batch = pad(rows)
    if pixels:
        batch["pixel_values"] = torch.stack(pixels)
    return batch


def pad(rows):
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, row in enumerate(rows):
        ids[i, :len(row)] = torch.tensor(row)
        mask[i, :len(row)] = 1
        labels[i, len(row) - 9:len(row)] = ids[i, len(row) - 9:len(row)]
    return dict(input_ids=ids, attention_mask=mask, labels=labels)


def qwen_batch(newer):
    """An image and a video in the first row, two images that differ in shape in the second."""
    def tokens(kind, t, h, w):
        return [92] + [kind] * (t * h * w // 4) + [93]
    rows = [[5] + tokens(90, 1, 4, 10) + [7, 8] + tokens(91, 3, 6, 4) + list(range(20, 36)),
            tokens(90, 1, 12, 6) + [9] + tokens(90, 1, 2, 2) + list(range(40, 55))]
    batch = pad(rows)
    batch["mm_token_type_ids"] = (batch["input_ids"] == 90).long() + 2 * (batch["input_ids"] == 91).long()
    batch["image_grid_thw"] = torch.tensor([[1, 4, 10], [1, 12, 6], [1, 2, 2]])
    batch["video_grid_thw"] = torch.tensor([[3, 6, 4]])
    batch["pixel_values"] = torch.randn(40 + 72 + 4, 24)
    batch["pixel_values_videos"] = torch.randn(72, 24)
    if newer:
        batch["second_per_grid_ts"] = torch.tensor([1.5])
    return batch


def compare(name, model, batch, arguments, options):
    torch.manual_seed(0)
    model = model.float().eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            gain = key.endswith(("norm.weight", "norm1.weight", "norm2.weight", "layernorm.weight", "ln_q.weight"))
            value.copy_(0.2 * torch.randn_like(value) + (1 if gain and "gemma" not in str(type(model)).lower() else 0))
    out = model(**{**batch, **options})
    out.loss.backward()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder + "/model")
        stored = dict(batch)
        if "pixel_values" in stored and stored["pixel_values"].dim() == 5 and name != "idefics3":
            stored["pixel_values"] = stored["pixel_values"].flatten(0, 1)
        save_file({k: v.contiguous() for k, v in stored.items()}, folder + "/batch.safetensors")
        command = [arguments.binary, "gradients", "--model", folder + "/model", "--batch", folder + "/batch.safetensors",
                   "--out", folder + "/out.safetensors", "--logits"]
        if arguments.ranks > 1:
            command = ["mpirun", "-n", str(arguments.ranks), *command, f"parallel.sequence={arguments.ranks}"]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            print(f"{name:28} FAILED: {run.stderr.strip()[-300:]}")
            return False
        ours, names = load_file(folder + "/out.safetensors"), load_file(folder + "/model/model.safetensors")
    valid = batch["attention_mask"].bool()
    loss = abs(float(ours["loss"]) - float(out.loss))
    logits = float((ours["logits"][valid] - out.logits[valid].double()).abs().max())
    worst, where = 0.0, ""
    gradients = {key: value.grad for key, value in model.named_parameters()}
    # Parameters in memory and tensors in the file are the same in another nesting: matched by their values' places.
    by_pointer = {}
    for key, value in model.named_parameters():
        by_pointer[tuple(value.detach().flatten()[:8].tolist()), tuple(value.shape)] = key
    largest = max(float(g.norm()) for g in gradients.values() if g is not None)
    for key, value in names.items():
        grad = gradients[by_pointer[tuple(value.flatten()[:8].tolist()), tuple(value.shape)]]
        mine = ours.get("grad." + key)
        if grad is None or float(grad.norm()) == 0:
            if mine is not None and float(mine.norm()) > 1e-9 * largest:
                worst, where = float("inf"), key + " has a gradient here only"
            continue
        if mine is None:
            worst, where = float("inf"), key + " has no gradient here"
            continue
        error = float((mine - grad.double()).norm() / max(float(grad.norm()), 1e-4 * largest))
        if error > worst:
            worst, where = error, key
    good = loss <= LOSS and logits <= LOGITS and worst <= GRADIENT
    print(f"{name:28} loss {loss:.1e}  logits {logits:.1e}  gradient {worst:.1e} ({where})  {'ok' if good else 'TOO FAR'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=os.path.join("build", "host", "longsight"))
    parser.add_argument("--only", default="")
    parser.add_argument("--ranks", type=int, default=1)
    arguments = parser.parse_args()
    good = True
    for name, model, config, per_image in cases():
        if arguments.only not in name:
            continue
        config._attn_implementation = "eager"
        torch.manual_seed(1)
        size = {"internvl": 16, "idefics3": 76}.get(name.split("-")[0], 12)
        batch = batch_of(config, per_image, size, [2, 1] if per_image else [0, 0])
        options = {}
        if name == "idefics3":
            pixels = torch.zeros(2, 2, 3, size, size)
            pixels[0], pixels[1, 0] = batch["pixel_values"][:2], batch["pixel_values"][2]
            batch["pixel_values"] = pixels
        if name == "paligemma":
            batch["token_type_ids"] = torch.zeros_like(batch["input_ids"])
            for row, length in enumerate(batch["attention_mask"].sum(1).tolist()):
                batch["token_type_ids"][row, length - 9:length] = 1
        good &= compare(name, model(config), batch, arguments, options)
    for newer in (False, True):
        name = "qwen2_5_vl-video" if newer else "qwen2_vl-video"
        if arguments.only in name:
            model, config = qwen(newer)
            config._attn_implementation = "eager"
            torch.manual_seed(1)
            good &= compare(name, model(config), qwen_batch(newer), arguments, {})
    sys.exit(0 if good else 70)


if __name__ == "__main__":
    main()

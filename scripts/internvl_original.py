"""InternVL as transformers writes it, in the files of its original remote code (InternVLChatModel)."""
import json

import torch
from safetensors.torch import load_file, save_file

RENAMED = [("vision_tower.encoder.layer.", "vision_model.encoder.layers."),
           ("vision_tower.embeddings.cls_token", "vision_model.embeddings.class_embedding"),
           ("vision_tower.embeddings.position_embeddings", "vision_model.embeddings.position_embedding"),
           ("vision_tower.embeddings.patch_embeddings.projection", "vision_model.embeddings.patch_embedding"),
           ("multi_modal_projector.layer_norm.", "mlp1.0."), ("multi_modal_projector.linear_1.", "mlp1.1."),
           ("multi_modal_projector.linear_2.", "mlp1.3."), (".layernorm_before.", ".norm1."), (".layernorm_after.", ".norm2."),
           (".lambda_1", ".ls1"), (".lambda_2", ".ls2"), (".attention.projection_layer.", ".attn.proj."),
           (".attention.q_norm.", ".attn.q_norm."), (".attention.k_norm.", ".attn.k_norm.")]


def name_of(name):
    """Also of a part of what is joined: it is that of the whole."""
    for part in "qkv":
        name = name.replace(f".attention.{part}_proj.", ".attn.qkv.")
    for own, original in RENAMED:
        name = name.replace(own, original)
    return name


def tensors(own, names_only=False):
    """By their original names; q, k and v of the tower are joined."""
    if names_only:
        return {name_of(name): None for name in own}
    made = {}
    for name, value in own.items():
        if ".attention.k_proj." in name or ".attention.v_proj." in name:
            continue
        if ".attention.q_proj." in name:
            value = torch.cat([own[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"])
        made[name_of(name)] = value
    return made


def configuration(config):
    vision, text = config["vision_config"], dict(config["text_config"])
    text["architectures"] = [text["model_type"].capitalize() + "ForCausalLM"]
    text["torch_dtype"] = "float32"
    rope = text.pop("rope_parameters")
    text.update(rope_theta=rope["rope_theta"], rope_scaling=None)
    for key in ("dtype", "layer_types"):
        text.pop(key, None)
    return {
        "architectures": ["InternVLChatModel"],
        "auto_map": {"AutoConfig": "configuration_internvl_chat.InternVLChatConfig",
                     "AutoModel": "modeling_internvl_chat.InternVLChatModel",
                     "AutoModelForCausalLM": "modeling_internvl_chat.InternVLChatModel"},
        "downsample_ratio": config["downsample_ratio"], "dynamic_image_size": True,
        "force_image_size": vision["image_size"][0], "llm_config": text, "max_dynamic_patch": 4, "min_dynamic_patch": 1,
        "model_type": "internvl_chat", "pad2square": False, "ps_version": "v2", "select_layer": config["vision_feature_layer"],
        "template": "internvl2_5", "tie_word_embeddings": config["tie_word_embeddings"], "torch_dtype": "float32",
        "use_backbone_lora": 0, "use_llm_lora": 0, "use_thumbnail": True,
        "vision_config": {
            "architectures": ["InternVisionModel"], "model_type": "intern_vit_6b", "attention_dropout": 0.0, "drop_path_rate": 0.0,
            "dropout": 0.0, "image_size": vision["image_size"][0], "patch_size": vision["patch_size"][0],
            "initializer_factor": 1.0, "qkv_bias": vision["attention_bias"], "qk_normalization": vision["use_qk_norm"],
            "torch_dtype": "float32", "use_flash_attn": False,
            **{key: vision[key] for key in ("hidden_act", "hidden_size", "initializer_range", "intermediate_size", "layer_norm_eps",
                                            "norm_type", "num_attention_heads", "num_channels", "num_hidden_layers")}}}


def convert(folder):
    """In place."""
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
        json.dump(configuration(config), file, indent=2)
        file.write("\n")
    made = tensors(load_file(f"{folder}/model.safetensors"))
    save_file({key: value.contiguous() for key, value in made.items()}, f"{folder}/model.safetensors", metadata={"format": "pt"})

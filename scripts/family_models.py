"""What the checks of model families share: the list tests/families.json, models of transformers made of its configurations, batches
for them, and computation in float64. Needs .venv (scripts/setup.sh --with-peers)."""
import contextlib
import copy
import json
import os

import torch
import transformers

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def families(section):
    """"goldens" or "models", in order."""
    with open(os.path.join(ROOT, "tests", "families.json"), encoding="utf-8") as file:
        return json.load(file)[section]


def with_epsilons(config):
    """Epsilons that no class has by default, in every part: one that is not read shows."""
    config = copy.deepcopy(config)
    text = config["text_config"] if "text_config" in config else config
    if "rms_norm_eps" not in text:
        text["rms_norm_eps"] = 3e-3
    vision = config.get("vision_config")
    if vision is not None and "layer_norm_eps" not in vision and "qwen" not in config["model_type"]:
        vision["layer_norm_eps"] = 2e-3
    return config


def transformers_config(config):
    """Of the configuration as config.json has it."""
    config = copy.deepcopy(config)
    made = transformers.AutoConfig.for_model(config.pop("model_type"), **config)
    made._attn_implementation = "eager"
    return made


def has_class(config):
    return config["model_type"] in transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES


def build(config, seed):
    """The model in float32 with random weights: gains around one, or around zero where a norm adds one to them."""
    auto = transformers.AutoModelForImageTextToText if hasattr(config, "vision_config") else transformers.AutoModelForCausalLM
    torch.manual_seed(seed)
    model = auto.from_config(config).float().eval()
    adds_one = getattr(getattr(config, "text_config", config), "model_type", "") == "gemma"
    with torch.no_grad():
        for module_name, module in model.named_modules():
            gain = "norm" in type(module).__name__.lower() and not (adds_one and "language_model" in module_name)
            for key, value in module.named_parameters(recurse=False):
                value.copy_(0.2 * torch.randn_like(value) + (1 if gain and key == "weight" else 0))
    return model


@contextlib.contextmanager
def float64():
    """Within: what the modelling code casts to float32 by name (norms, softmax, rotary embedding, loss) stays in float64."""
    to, to_float, softmax = torch.Tensor.to, torch.Tensor.float, torch.nn.functional.softmax
    single = torch.float32

    def kept(self, *arguments, **named):
        if self.dtype == torch.float64:
            arguments = tuple(torch.float64 if a is single else a for a in arguments)
            named = {k: torch.float64 if v is single else v for k, v in named.items()}
        return to(self, *arguments, **named)

    def soft(x, *arguments, dtype=None, **named):
        return softmax(x, *arguments, dtype=torch.float64 if x.dtype == torch.float64 else dtype, **named)

    torch.Tensor.to = kept
    torch.Tensor.float = lambda self, *a, **k: to(self, torch.float64)
    torch.nn.functional.softmax = soft
    try:
        yield
    finally:
        torch.Tensor.to, torch.Tensor.float, torch.nn.functional.softmax = to, to_float, softmax


def image_tokens(config):
    """Placeholders of an image, or of a tile."""
    vision, kind = config.vision_config, config.model_type
    edge = vision.image_size if isinstance(vision.image_size, int) else vision.image_size[0]
    patch = vision.patch_size if isinstance(vision.patch_size, int) else vision.patch_size[0]
    patches = (edge // patch) ** 2
    if kind == "llava":
        rows = patches + (vision.model_type == "clip_vision_model")
        return rows - (config.vision_feature_select_strategy == "default")
    if kind == "internvl":
        return int(patches * config.downsample_ratio ** 2)
    return patches // config.scale_factor ** 2 if hasattr(config, "scale_factor") else patches


def padded(rows, supervised):
    """Ids, mask and labels of rows of ids; the last `supervised` tokens of each have labels."""
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, row in enumerate(rows):
        ids[i, :len(row)] = torch.tensor(row)
        mask[i, :len(row)] = 1
        labels[i, len(row) - supervised:len(row)] = ids[i, len(row) - supervised:len(row)]
    return dict(input_ids=ids, attention_mask=mask, labels=labels)


def words(count, config):
    """Random ids that are no placeholder, nor one that pads: its embedding gets no gradient in PyTorch."""
    image = getattr(config, "image_token_id", None)
    vocab = getattr(config, "text_config", config).vocab_size
    ids = torch.randint(3, vocab - 1, (count,))
    return [int(i) if image is None or i < image else int(i) + 1 for i in ids]


def qwen_batch(config):
    """An image and a video in the first row, two images that differ in shape in the second."""
    newer, patch = "2_5" in config.model_type, config.vision_config.patch_size
    image, video = config.image_token_id, config.video_token_id
    # What stands around an image counts for nothing: any word in a vocabulary that is too small.
    start, end = (i if i < config.text_config.vocab_size else 3
                  for i in (config.vision_start_token_id, config.vision_end_token_id))

    def tokens(kind, t, h, w):
        return [start] + [kind] * (t * h * w // 4) + [end]
    rows = [[5] + tokens(image, 1, 4, 10) + [7, 8] + tokens(video, 3, 6, 4) + list(range(20, 36)),
            tokens(image, 1, 12, 6) + [9] + tokens(image, 1, 2, 2) + list(range(40, 55))]
    batch = padded(rows, 9)
    batch["mm_token_type_ids"] = (batch["input_ids"] == image).long() + 2 * (batch["input_ids"] == video).long()
    batch["image_grid_thw"] = torch.tensor([[1, 4, 10], [1, 12, 6], [1, 2, 2]])
    batch["video_grid_thw"] = torch.tensor([[3, 6, 4]])
    batch["pixel_values"] = torch.randn(40 + 72 + 4, 6 * patch * patch)
    batch["pixel_values_videos"] = torch.randn(72, 6 * patch * patch)
    if newer:
        batch["second_per_grid_ts"] = torch.tensor([1.5])
    return batch


def batch_of(config, seed):
    """Two rows, the second shorter: two images and one, words around them; a prefix of unlabelled tokens."""
    torch.manual_seed(seed)
    if config.model_type in ("qwen2_vl", "qwen2_5_vl"):
        return qwen_batch(config)
    vision, rows, supervised = hasattr(config, "vision_config"), [], 9
    for row, images in enumerate([2, 1]):
        ids = [3 + row]
        for _ in range(images if vision else 0):
            ids += [config.image_token_id] * image_tokens(config) + words(3, config)
        rows.append(ids + words(17 - 5 * row, config))
    batch = padded(rows, supervised)
    if vision:
        size = config.vision_config.image_size
        edge = size if isinstance(size, int) else size[0]
        pixels = torch.randn(3, 3, edge, edge)
        if hasattr(config, "scale_factor"):  # by row, the second one's padded with a picture of zeros
            rows_of_pixels = torch.zeros(2, 2, 3, edge, edge)
            rows_of_pixels[0], rows_of_pixels[1, 0] = pixels[:2], pixels[2]
            pixels = rows_of_pixels
        batch["pixel_values"] = pixels
    if config.model_type == "paligemma":
        batch["token_type_ids"] = torch.zeros_like(batch["input_ids"])
        for row, length in enumerate(batch["attention_mask"].sum(1).tolist()):
            batch["token_type_ids"][row, length - supervised:length] = 1
    return batch


def in_double(batch):
    return {key: value.double() if value.is_floating_point() else value for key, value in batch.items()}


def run(model, batch):
    """Loss, logits and gradients by parameter name, in the model's type; its gradients are cleared before."""
    model.zero_grad()
    double = next(model.parameters()).dtype == torch.float64
    with float64() if double else contextlib.nullcontext():
        out = model(**(in_double(batch) if double else batch))
        out.loss.backward()
    return out.loss.detach(), out.logits.detach(), {key: value.grad for key, value in model.named_parameters()}


def file_names(model, saved):
    """Names of the parameters in a file that was saved of the model, by name in memory: found by their values."""
    def mark(value):
        return tuple(value.detach().flatten()[:8].float().tolist()), tuple(value.shape)
    by_value = {mark(value): key for key, value in model.named_parameters()}
    return {by_value[mark(value)]: key for key, value in saved.items()}

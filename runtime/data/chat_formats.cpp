// The table of chat formats.
#include "runtime/base/error.h"
#include "runtime/base/suggest.h"
#include "runtime/data/chat.h"
#include "runtime/data/chat_templates.h"

namespace longsight::data {
namespace {

// System sentence of Vicuna 1.1 and of LLaVA 1.5's training (conversation.py, conv_vicuna_v1).
const char* const kVicunaSystem =
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.";
// System texts of InternVL's remote-code models (conversation.py).
const char* const kInternVl25System =
    "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模"
    "型"
    "。";
const char* const kInternLm2System =
    "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, "
    "是一个有用无害的人工智能助手。";

ChatFormat llava() {
  ChatFormat format;
  format.name = "llava";
  format.system = {.before = "", .behind_text = "", .behind = " "};
  format.user = {.before = "USER: ", .behind_text = "", .behind = " "};
  format.assistant = {.before = "ASSISTANT: ", .behind_text = "", .behind = "</s>"};
  format.media = MediaSupport::images;
  format.images_first = true;
  format.behind_image = "\n";
  format.end_of_turn = "</s>";
  format.generation_prompt = "ASSISTANT:";
  format.tokens = {"</s>"};
  format.templates = {kLlavaTemplate};
  return format;
}

ChatFormat llava_hub() {
  ChatFormat format = llava();
  format.name = "llava-hub";
  for (RoleFormat* role : {&format.system, &format.user, &format.assistant}) {
    role->behind_text = " ";
    role->behind = "";
  }
  format.end_of_turn = "";
  format.tokens = {};
  format.templates = {kLlavaHubTemplate};
  return format;
}

ChatFormat vicuna() {
  ChatFormat format = llava();
  format.name = "vicuna";
  format.default_system = kVicunaSystem;
  format.templates = {std::string(kVicunaHead) + kLlavaTemplate};
  return format;
}

ChatFormat chat_ml(std::string name, std::vector<std::string> templates, std::string default_system = "",
                   const char* behind = "<|im_end|>\n") {
  const auto role = [behind](const char* which) {
    return RoleFormat{std::string("<|im_start|>") + which + "\n", "", behind};
  };
  ChatFormat format;
  format.name = std::move(name);
  format.system = role("system");
  format.user = role("user");
  format.assistant = role("assistant");
  format.default_system = std::move(default_system);
  format.end_of_turn = "<|im_end|>";
  format.generation_prompt = "<|im_start|>assistant\n";
  format.tokens = {"<|im_start|>", "<|im_end|>"};
  format.templates = std::move(templates);
  return format;
}

ChatFormat with_internvl_images(ChatFormat format) {
  format.media = MediaSupport::images;
  format.behind_image = "\n";
  format.tokens.insert(format.tokens.end(), {"<img>", "</img>"});
  return format;
}

ChatFormat qwen2_vl() {
  ChatFormat format = chat_ml("qwen2-vl", {kQwen2VlTemplate}, "You are a helpful assistant.");
  format.media = MediaSupport::images_and_videos;
  format.tokens.insert(format.tokens.end(), {"<|vision_start|>", "<|vision_end|>"});
  return format;
}

ChatFormat smolvlm(std::string name, const std::string& begin) {
  const auto role = [](const char* head) { return RoleFormat{head, "", "<end_of_utterance>\n"}; };
  ChatFormat format;
  format.name = std::move(name);
  format.begin = begin;
  format.system = role("System:");
  format.user = role("User:");
  format.assistant = role("Assistant:");
  format.before_text = " ";
  format.media = MediaSupport::images;
  format.end_of_turn = "<end_of_utterance>";
  format.generation_prompt = "Assistant:";
  format.tokens = {begin, "<end_of_utterance>", "<fake_token_around_image>", "<global-img>"};
  format.templates = {begin + kSmolVlmTemplate, begin + kSmolVlm2Template};
  return format;
}

ChatFormat paligemma() {
  ChatFormat format;
  format.name = "paligemma";
  format.user = {.before = "<bos>", .behind_text = "", .behind = "\n"};
  format.assistant = {.before = "", .behind_text = "", .behind = "<eos>"};
  format.media = MediaSupport::images;
  format.prefix_suffix = true;
  format.end_of_turn = "<eos>";
  format.tokens = {"<bos>", "<eos>"};
  return format;
}

ChatFormat llama_2() {
  ChatFormat format;
  format.name = "llama-2";
  format.system = {.before = "<<SYS>>\n", .behind_text = "", .behind = "\n<</SYS>>\n\n"};
  format.user = {.before = "<s>[INST] ", .behind_text = "", .behind = " [/INST]"};
  format.assistant = {.before = " ", .behind_text = "", .behind = " </s>"};
  format.trims = format.system_in_user = format.alternates = true;
  format.end_of_turn = "</s>";
  format.tokens = {"<s>", "</s>"};
  format.templates = {kLlama2Template};
  return format;
}

ChatFormat llama_3() {
  const auto role = [](const char* which) {
    return RoleFormat{fmt::format("<|start_header_id|>{}<|end_header_id|>\n\n", which), "", "<|eot_id|>"};
  };
  ChatFormat format;
  format.name = "llama-3";
  format.begin = "<|begin_of_text|>";
  format.system = role("system");
  format.user = role("user");
  format.assistant = role("assistant");
  format.trims = true;
  format.end_of_turn = "<|eot_id|>";
  format.generation_prompt = format.assistant.before;
  format.tokens = {format.begin, "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"};
  format.templates = {kLlama3Template};
  return format;
}

ChatFormat mistral() {
  ChatFormat format;
  format.name = "mistral";
  format.begin = "<s>";
  format.user = {.before = "[INST] ", .behind_text = "", .behind = " [/INST]"};
  format.assistant = {.before = "", .behind_text = "", .behind = "</s>"};
  format.alternates = true;
  format.end_of_turn = "</s>";
  format.tokens = {"<s>", "</s>"};
  format.templates = {kMistralTemplate};
  return format;
}

std::vector<ChatFormat> all_formats() {
  const auto program = [](const char* head, const char* tail) { return std::string(head) + tail; };
  return {llava(), llava_hub(), vicuna(),
          with_internvl_images(chat_ml("internvl", {kInternVlTemplate, kInternVlOlderTemplate})),
          with_internvl_images(
              chat_ml("internvl2_5", {program(kInternVl25Head, kInternVlTemplate)}, kInternVl25System)),
          with_internvl_images(
              chat_ml("internlm2-chat", {kInternLm2ChatTemplate}, kInternLm2System, "<|im_end|>")),
          // The same text; its models' tokenizers put no <s> in front, and bring another Jinja program.
          with_internvl_images(chat_ml("Hermes-2", {}, kInternLm2System, "<|im_end|>")), qwen2_vl(),
          smolvlm("smolvlm", "<|im_start|>"), smolvlm("idefics3", "<|begin_of_text|>"), paligemma(),
          chat_ml("chatml", {kChatMlTemplate}),
          chat_ml("qwen2", {program(kQwen2Head, kQwen2Tail)}, "You are a helpful assistant."),
          chat_ml("qwen2.5", {program(kQwen25Head, kQwen2Tail)},
                  "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
          llama_2(), llama_3(), mistral()};
}

}  // namespace

std::span<const ChatFormat> chat_formats() {
  static const std::vector<ChatFormat> formats = all_formats();
  return formats;
}

const ChatFormat& chat_format(std::string_view name) {
  std::vector<std::string> names;
  for (const ChatFormat& format : chat_formats()) {
    if (format.name == name) return format;
    names.push_back(format.name);
  }
  fail(ExitCode::usage, "data.chat: there is no chat format \"{}\"{}", name, did_you_mean(name, names));
}

}  // namespace longsight::data

// The named chat templates, for models whose folder has none and for data.chat.
#include "runtime/data/chat/builtin_programs.h"
#include "runtime/data/chat/chat_source.h"

namespace longsight::data {
namespace {

ChatSource named(std::string name, std::string program, std::vector<std::string> tokens) {
  const std::string place = "the chat template " + name;
  return {
      .name = std::move(name), .place = place, .program = std::move(program), .tokens = std::move(tokens)};
}

std::vector<std::string> with(std::vector<std::string> tokens, std::initializer_list<const char*> more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
  return tokens;
}

std::vector<ChatSource> all() {
  const std::string llava = kLlavaTemplate, internvl = kInternVlTemplate, internlm2 = kInternLm2ChatTemplate,
                    smolvlm = kSmolVlmTemplate;
  const std::vector<std::string> chatml{"<|im_start|>", "<|im_end|>"},
      internvl_tokens = with(chatml, {"<img>", "</img>"}), llama{"<s>", "</s>"},
      tiles{"<end_of_utterance>", "<fake_token_around_image>", "<global-img>"};
  std::vector<ChatSource> chats{
      named("llava", llava, {"</s>"}),
      named("llava-hub", kLlavaHubTemplate, {}),
      named("vicuna", kVicunaHead + llava, {"</s>"}),
      named("internvl", internvl, internvl_tokens),
      named("internvl2_5", kInternVl25Head + internvl, internvl_tokens),
      named("internlm2-chat", internlm2, internvl_tokens),
      // The same text; its models' tokenizers put no <s> in front.
      named("Hermes-2", internlm2, internvl_tokens),
      named("qwen2-vl", kQwen2VlTemplate, with(chatml, {"<|vision_start|>", "<|vision_end|>"})),
      named("smolvlm", "<|im_start|>" + smolvlm, with(tiles, {"<|im_start|>"})),
      named("idefics3", "<|begin_of_text|>" + smolvlm, with(tiles, {"<|begin_of_text|>"})),
      named("paligemma", "", {"<bos>", "<eos>"}),
      named("chatml", kChatMlTemplate, chatml),
      named("qwen2", kQwen2Head + std::string(kQwen2Tail), chatml),
      named("qwen2.5", kQwen25Head + std::string(kQwen2Tail), chatml),
      named("llama-2", kLlama2Template, llama),
      named("llama-3", kLlama3Template,
            {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}),
      named("mistral", kMistralTemplate, llama),
  };
  for (ChatSource& chat : chats) chat.prefix_suffix = chat.program.empty();
  return chats;
}

}  // namespace

std::span<const ChatSource> builtin_chats() {
  static const std::vector<ChatSource> chats = all();
  return chats;
}

}  // namespace longsight::data

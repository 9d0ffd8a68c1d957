// Where the chat template of a model stands: a program in Jinja, in the model's folder, in a file of one's
// own, or one of those kept here under a name.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace longsight::data {

struct ChatSource {
  std::string name;     // one of ours, or the file
  std::string place;    // of the program, for errors: "model/tokenizer_config.json: chat_template"
  std::string program;  // Jinja
  // Further programs that the folder has by name: "tool_use" is the one of conversations with tools.
  std::vector<std::pair<std::string, std::string>> named = {};
  // PaliGemma has no chat but one question and one answer, tokenised apart (prefix_suffix.h); no program.
  bool prefix_suffix = false;
  std::vector<std::string> tokens = {};  // that the tokenizer must have
};

// With images: llava (USER: .. ASSISTANT: ..</s>), llava-hub (that of llava-hf/llava-1.5-7b-hf, which ends no
// answer), vicuna (llava with the system sentence of LLaVA 1.5's training), internvl (ChatML), internvl2_5,
// internlm2-chat and Hermes-2 (InternVL's remote-code models, with their system text), qwen2-vl (also
// Qwen2.5-VL; with videos), smolvlm, idefics3 (the same behind another first token), paligemma. Text only:
// chatml, qwen2, qwen2.5, llama-2, llama-3, mistral.
std::span<const ChatSource> builtin_chats();
// data.chat: one of these names, or a file that ends in .jinja. `usage` for an unknown name, with the known
// ones; missing_input for a file that is not there.
ChatSource chat_by_name(const std::string& name_or_file);

// That of a model folder; nothing if it has none. As transformers looks for it: chat_template.jinja with
// additional_chat_templates/*.jinja, chat_template.json, chat_template of processor_config.json, that of
// tokenizer_config.json (a program, or a list of named ones). Where config.json is that of an InternVL
// remote-code model, its `template` names one of ours, unless `chat_template_file` (written with models
// trained here) says that the file counts. A PaliGemma folder without a program has prefix and suffix.
// bad_data for files that are not what they must be.
std::optional<ChatSource> chat_of_folder(const std::filesystem::path& folder);
// For messages: how to choose another template than that of `place` (a ChatSource's, a model folder), with
// the three names that are most like it. Worked out only where a message is made.
struct ChatRemedy {
  std::string_view place;
  std::string text() const;
};

}  // namespace longsight::data

template <>
struct fmt::formatter<longsight::data::ChatRemedy> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const longsight::data::ChatRemedy& remedy, Context& context) const {
    return fmt::formatter<std::string>::format(remedy.text(), context);
  }
};

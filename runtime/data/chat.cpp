#include "runtime/data/chat.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/base/json.h"
#include "runtime/base/suggest.h"
#include "runtime/data/chat_templates.h"

namespace longsight::data {
namespace {

// System sentence of Vicuna 1.1 and of LLaVA 1.5's training (conversation.py, conv_vicuna_v1).
const char* const kVicunaSystem =
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.";

ChatFormat user_assistant(std::string name, std::string chat_template) {
  return {.name = std::move(name),
          .system = {.before = "", .behind_text = "", .behind = " "},
          .user = {.before = "USER: ", .behind_text = "", .behind = " "},
          .assistant = {.before = "ASSISTANT: ", .behind_text = "", .behind = "</s>"},
          .default_system = "",
          .images_first = true,
          .image_open = "",
          .image_close = "",
          .behind_image = "\n",
          .end_of_turn = "</s>",
          .generation_prompt = "ASSISTANT:",
          .chat_template = std::move(chat_template)};
}

ChatFormat chat_ml(std::string name, std::string chat_template) {
  const auto role = [](const char* which) {
    return RoleFormat{std::string("<|im_start|>") + which + "\n", "", "<|im_end|>\n"};
  };
  return {.name = std::move(name),
          .system = role("system"),
          .user = role("user"),
          .assistant = role("assistant"),
          .default_system = "",
          .images_first = false,
          .image_open = "",
          .image_close = "",
          .behind_image = "",
          .end_of_turn = "<|im_end|>",
          .generation_prompt = "<|im_start|>assistant\n",
          .chat_template = std::move(chat_template)};
}

std::vector<ChatFormat> all_formats() {
  ChatFormat hub = user_assistant("llava-hub", kLlavaHubTemplate);
  for (RoleFormat* role : {&hub.system, &hub.user, &hub.assistant}) {
    role->behind_text = " ";
    role->behind = "";
  }
  hub.end_of_turn = "";

  ChatFormat vicuna = user_assistant("vicuna", std::string(kVicunaHead) + kLlavaTemplate);
  vicuna.default_system = kVicunaSystem;

  ChatFormat internvl = chat_ml("internvl", kInternVlTemplate);
  internvl.image_open = "<img>";
  internvl.image_close = "</img>";
  internvl.behind_image = "\n";

  ChatFormat qwen = chat_ml("qwen2-vl", kQwen2VlTemplate);
  qwen.default_system = "You are a helpful assistant.";
  qwen.image_open = "<|vision_start|>";
  qwen.image_close = "<|vision_end|>";

  return {user_assistant("llava", kLlavaTemplate), hub, vicuna, internvl, qwen};
}

// The program without comments, generation marks, and spaces inside of tags; outside of them every character
// counts.
std::string canonical(std::string_view jinja) {
  std::string text;
  for (std::size_t at = 0; at < jinja.size();) {
    const std::string_view rest = jinja.substr(at);
    if (rest.starts_with("{#")) {
      const std::size_t end = rest.find("#}");
      at = end == std::string_view::npos ? jinja.size() : at + end + 2;
    } else if (rest.starts_with("{%") || rest.starts_with("{{")) {
      std::string tag;
      char quote = 0;
      std::size_t end = 0;
      for (; end < rest.size(); ++end) {
        const char c = rest[end];
        if (quote != 0) {
          if (c == quote) quote = 0;
        } else if (c == '\'' || c == '"') {
          quote = c;
        } else if (c == ' ' || c == '\n' || c == '\t') {
          continue;
        }
        if (quote != 0 &&
            rest.substr(end).starts_with("\\n")) {  // the newline that a JSON file has as itself
          tag.push_back('\n');
          ++end;
        } else {
          tag.push_back(c);
        }
        if (quote == 0 && end >= 3 && c == '}' && (rest[end - 1] == '%' || rest[end - 1] == '}')) break;
      }
      at += std::min(end + 1, rest.size());
      if (tag != "{%generation%}" && tag != "{%endgeneration%}") text += tag;
    } else {
      text.push_back(jinja[at++]);
    }
  }
  while (text.ends_with('\n')) text.pop_back();  // that of a text file
  return text;
}

std::string known_names() {
  std::string names;
  for (const ChatFormat& format : chat_formats()) names += (names.empty() ? "" : ", ") + format.name;
  return names;
}

// The template in a chat_template entry: a string, or a list of named ones.
std::optional<std::string> template_in(const Json& object) {
  if (!object.is_object()) return std::nullopt;
  const auto entry = object.find("chat_template");
  if (entry == object.end()) return std::nullopt;
  if (entry->is_string()) return entry->get<std::string>();
  if (entry->is_array()) {
    for (const Json& one : *entry) {
      if (one.is_object() && one.value("name", Json()) == "default" &&
          one.value("template", Json()).is_string()) {
        return one["template"].get<std::string>();
      }
    }
  }
  return std::nullopt;
}

class Renderer {
 public:
  Renderer(const ChatFormat& format, const ChatSample& sample, std::string_view image_token,
           std::span<const i64> tokens_per_image)
      : format_(format), sample_(sample), image_token_(image_token), counts_(tokens_per_image) {}

  void message(const ChatMessage& message) {
    const RoleFormat& role = message.role == Role::system ? format_.system
                             : message.role == Role::user ? format_.user
                                                          : format_.assistant;
    out_.text += role.before;
    const i64 begin = position();
    if (format_.images_first) {
      for (const ChatPart& part : message.parts) {
        if (!part.is_text()) image();
      }
    }
    i64 end = begin;  // of the last text
    for (const ChatPart& part : message.parts) {
      if (!part.is_text()) {
        if (!format_.images_first) image();
        continue;
      }
      out_.text += part.text;
      end = position();
      out_.text += role.behind_text;
    }
    out_.text += role.behind;
    if (message.role == Role::assistant && message.loss) {
      // An end-of-turn token counts only directly behind the answer.
      out_.supervised.push_back({begin, end + static_cast<i64>(format_.end_of_turn.size())});
    }
  }

  void text(std::string_view more) { out_.text += more; }
  std::size_t images() const { return images_; }
  RenderedChat take() {
    out_.images = images_;
    return std::move(out_);
  }

 private:
  i64 position() const { return static_cast<i64>(out_.text.size()); }

  void image() {
    require(images_ < counts_.size(), ExitCode::bad_data,
            "{}: more images in the messages than the {} of the sample", sample_.where, counts_.size());
    const i64 count = counts_[images_++];
    require(count >= 1, ExitCode::bad_data, "{}: image {} would have {} tokens", sample_.where, images_,
            count);
    out_.text += format_.image_open;
    out_.text.reserve(out_.text.size() + image_token_.size() * static_cast<std::size_t>(count));
    for (i64 i = 0; i < count; ++i) out_.text += image_token_;
    out_.text += format_.image_close;
    out_.text += format_.behind_image;
  }

  const ChatFormat& format_;
  const ChatSample& sample_;
  std::string_view image_token_;
  std::span<const i64> counts_;
  std::size_t images_ = 0;
  RenderedChat out_;
};

// Messages [0, count), with the default system message in front of them where it applies.
void render_messages(Renderer& renderer, const ChatFormat& format, const ChatSample& sample,
                     std::size_t count) {
  const bool has_system = !sample.messages.empty() && sample.messages.front().role == Role::system;
  if (!format.default_system.empty() && !has_system) {
    renderer.message({.role = Role::system, .parts = {{.text = format.default_system}}, .loss = false});
  }
  for (std::size_t i = 0; i < count; ++i) renderer.message(sample.messages[i]);
}

RenderedChat render_plain(const ChatFormat& format, const ChatSample& sample) {
  RenderedChat chat;
  chat.text = text_of(sample.messages.front()) + format.end_of_turn;
  chat.supervised.push_back({0, static_cast<i64>(chat.text.size())});
  return chat;
}

}  // namespace

std::string text_of(const ChatMessage& message) {
  std::string text;
  for (const ChatPart& part : message.parts) text += part.text;
  return text;
}

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

const ChatFormat* match_chat_template(std::string_view jinja) {
  const std::string wanted = canonical(jinja);
  for (const ChatFormat& format : chat_formats()) {
    if (canonical(format.chat_template) == wanted) return &format;
  }
  return nullptr;
}

namespace {

struct FoundTemplate {
  std::filesystem::path file;
  std::string jinja;
};

std::optional<FoundTemplate> template_of_folder(const std::filesystem::path& folder) {
  const std::filesystem::path plain = folder / "chat_template.jinja";
  if (std::filesystem::exists(plain)) {
    return FoundTemplate{plain, read_whole_file(plain.string(), i64{1} << 20, ExitCode::bad_data)};
  }
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    const std::filesystem::path file = folder / name;
    if (!std::filesystem::exists(file)) continue;
    if (auto jinja = template_in(read_json_file(file.string(), {.big_integers = true}))) {
      return FoundTemplate{file, std::move(*jinja)};
    }
  }
  return std::nullopt;
}

}  // namespace

bool has_chat_template(const std::filesystem::path& folder) {
  return template_of_folder(folder).has_value();
}

const ChatFormat& chat_format_of_folder(const std::filesystem::path& folder) {
  const std::optional<FoundTemplate> found = template_of_folder(folder);
  require(found.has_value(), ExitCode::bad_data,
          "{}: no chat template (chat_template.jinja, chat_template.json or tokenizer_config.json); choose a "
          "format with "
          "data.chat: FORMAT, one of {}",
          folder.string(), known_names());
  const ChatFormat* format = match_chat_template(found->jinja);
  require(format != nullptr, ExitCode::bad_data,
          "{}: its chat template is not one of those known here; choose a format with data.chat: FORMAT, one "
          "of {}",
          found->file.string(), known_names());
  return *format;
}

RenderedChat render_chat(const ChatFormat& format, const ChatSample& sample, std::string_view image_token,
                         std::span<const i64> tokens_per_image) {
  if (sample.plain) return render_plain(format, sample);
  Renderer renderer(format, sample, image_token, tokens_per_image);
  render_messages(renderer, format, sample, sample.messages.size());
  require(renderer.images() == tokens_per_image.size(), ExitCode::bad_data,
          "{}: {} images, but {} places for one in the messages", sample.where, tokens_per_image.size(),
          renderer.images());
  return renderer.take();
}

RenderedChat render_prompt(const ChatFormat& format, const ChatSample& sample, std::string_view image_token,
                           std::span<const i64> tokens_per_image) {
  if (sample.plain) return {};  // nothing stands in front of it
  std::size_t last = sample.messages.size();
  while (last > 0 && sample.messages[last - 1].role != Role::assistant) --last;
  // Without an assistant message all of it is the prompt.
  const std::size_t count = last > 0 ? last - 1 : sample.messages.size();
  Renderer renderer(format, sample, image_token, tokens_per_image);
  render_messages(renderer, format, sample, count);
  renderer.text(format.generation_prompt);
  RenderedChat chat = renderer.take();
  chat.supervised.clear();
  return chat;
}

}  // namespace longsight::data

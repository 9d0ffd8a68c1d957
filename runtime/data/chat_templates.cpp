// Which chat format a model folder has.
#include "runtime/base/error.h"
#include "runtime/base/json.h"
#include "runtime/data/chat.h"

namespace longsight::data {
namespace {

namespace fs = std::filesystem;

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

struct FoundTemplate {
  fs::path file;
  std::string jinja;
};

std::optional<FoundTemplate> template_of_folder(const fs::path& folder) {
  const fs::path plain = folder / "chat_template.jinja";
  if (fs::exists(plain)) {
    return FoundTemplate{plain, read_whole_file(plain.string(), i64{1} << 20, ExitCode::bad_data)};
  }
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    const fs::path file = folder / name;
    if (!fs::exists(file)) continue;
    if (auto jinja = template_in(read_json_file(file.string(), {.big_integers = true}))) {
      return FoundTemplate{file, std::move(*jinja)};
    }
  }
  return std::nullopt;
}

struct FoundName {
  fs::path file;
  std::string name;
};

// What config.json says of the format where no Jinja program does, or another one than the model's own code
// uses.
std::optional<FoundName> name_in_config(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  if (!fs::exists(file)) return std::nullopt;
  const Json config = read_json_file(file.string());
  if (!config.is_object()) return std::nullopt;
  const Json own = config.value("template", Json());
  if (config.value("architectures", Json()) == Json::array({"InternVLChatModel"}) && own.is_string()) {
    return FoundName{file, own.get<std::string>()};
  }
  if (config.value("model_type", Json()) == "paligemma") return FoundName{file, "paligemma"};
  return std::nullopt;
}

}  // namespace

const ChatFormat* match_chat_template(std::string_view jinja) {
  const std::string wanted = canonical(jinja);
  for (const ChatFormat& format : chat_formats()) {
    for (const std::string& known : format.templates) {
      if (canonical(known) == wanted) return &format;
    }
  }
  return nullptr;
}

bool names_chat_format(const fs::path& folder) {
  return name_in_config(folder).has_value() || template_of_folder(folder).has_value();
}

const ChatFormat& chat_format_of_folder(const fs::path& folder) {
  if (const auto named = name_in_config(folder)) {
    for (const ChatFormat& format : chat_formats()) {
      if (format.name == named->name) return format;
    }
    fail(ExitCode::bad_data,
         "{}: its template {} is not one of those known here; choose a format with data.chat: FORMAT, one of "
         "{}",
         named->file.string(), named->name, known_names());
  }
  const std::optional<FoundTemplate> found = template_of_folder(folder);
  require(found.has_value(), ExitCode::bad_data,
          "{}: no chat template (chat_template.jinja, chat_template.json or tokenizer_config.json); choose a "
          "format with data.chat: FORMAT, one of {}",
          folder.string(), known_names());
  const ChatFormat* format = match_chat_template(found->jinja);
  require(format != nullptr, ExitCode::bad_data,
          "{}: its chat template is not one of those known here; choose a format with data.chat: FORMAT, one "
          "of {}",
          found->file.string(), known_names());
  return *format;
}

}  // namespace longsight::data

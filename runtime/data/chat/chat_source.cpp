#include "runtime/data/chat/chat_source.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "runtime/base/error.h"
#include "runtime/base/json.h"
#include "runtime/base/shorten.h"
#include "runtime/base/suggest.h"

namespace longsight::data {
namespace {

namespace fs = std::filesystem;

constexpr i64 kMostProgramBytes = i64{1} << 20;  // of a program
constexpr const char* kDefault = "default";

std::string read_program(const fs::path& file) {
  return read_whole_file(file.string(), kMostProgramBytes, ExitCode::bad_data);
}

ChatSource source_of(const std::string& file, std::string place, std::string program) {
  return {.name = file, .place = std::move(place), .program = std::move(program)};
}

// chat_template.jinja, and what stands beside it under names.
std::optional<ChatSource> in_jinja_files(const fs::path& folder) {
  const fs::path file = folder / "chat_template.jinja", more = folder / "additional_chat_templates";
  if (!fs::exists(file)) return std::nullopt;
  ChatSource source = source_of(file.string(), file.string(), read_program(file));
  if (!fs::is_directory(more)) return source;
  for (const auto& entry : fs::directory_iterator(more)) {
    if (entry.path().extension() == ".jinja")
      source.named.emplace_back(entry.path().stem().string(), read_program(entry.path()));
  }
  std::sort(source.named.begin(), source.named.end());
  return source;
}

// The chat_template entry of a JSON file: a program, or a list of named ones.
std::optional<ChatSource> in_json_file(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  const std::string file = path.string(), place = file + ": chat_template";
  const Json object = read_json_file(file, {.big_integers = true});
  const auto entry = object.is_object() ? object.find("chat_template") : object.end();
  if (!object.is_object() || entry == object.end() || entry->is_null()) return std::nullopt;
  if (entry->is_string()) return source_of(file, place, entry->get<std::string>());
  require(entry->is_array(), ExitCode::bad_data,
          "{} must be a Jinja program, or a list of {{\"name\", \"template\"}}", place);
  ChatSource source = source_of(file, place, "");
  bool found = false;
  for (const Json& one : *entry) {
    std::string name = require_string(one, "name", place), program = require_string(one, "template", place);
    if (name == kDefault) {
      source.program = std::move(program);
      found = true;
    } else {
      source.named.emplace_back(std::move(name), std::move(program));
    }
  }
  require(found, ExitCode::bad_data, "{}: none of its templates has the name default", place);
  return source;
}

std::optional<ChatSource> in_files(const fs::path& folder) {
  if (auto source = in_jinja_files(folder)) return source;
  for (const char* name : {"chat_template.json", "processor_config.json", "tokenizer_config.json"}) {
    if (auto source = in_json_file(folder / name)) return source;
  }
  return std::nullopt;
}

const ChatSource* builtin(std::string_view name) {
  for (const ChatSource& source : builtin_chats()) {
    if (source.name == name) return &source;
  }
  return nullptr;
}

// The three that are most like the text, for messages: there are too many to list. Not the one that `place`
// is.
std::string names_like(std::string_view text, std::string_view place = "") {
  std::vector<std::string> names;
  for (const ChatSource& source : builtin_chats()) {
    if (source.place != place) names.push_back(source.name);
  }
  return fmt::format("{}, ..; docs/data.md lists all", fmt::join(nearest_in(text, names, 3), ", "));
}

}  // namespace

std::string ChatRemedy::text() const {
  // Of a file that its folder, which often has the model's name.
  const auto slash = place.rfind('/');
  const std::string like = fs::path(place.substr(0, slash == place.npos ? place.size() : slash)).filename();
  return fmt::format("choose one with data.chat: NAME ({}) or data.chat: FILE.jinja",
                     names_like(like, place));
}

ChatSource chat_by_name(const std::string& name) {
  if (const ChatSource* source = builtin(name)) return *source;
  if (name.ends_with(".jinja")) return source_of(name, name, read_program(name));
  std::vector<std::string> names;
  for (const ChatSource& source : builtin_chats()) names.push_back(source.name);
  fail(ExitCode::usage, "data.chat: there is no chat template \"{}\" (nor is that a FILE.jinja); {}",
       shortened(name),
       nearest(name, names).empty() ? fmt::format("nearest: {}", names_like(name))
                                    : fmt::format("did you mean \"{}\"?", nearest(name, names)));
}

std::optional<ChatSource> chat_of_folder(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  const Json config = fs::exists(file) ? read_json_file(file.string()) : Json();
  const auto text = [&config](const char* key) {
    const Json value = config.is_object() ? config.value(key, Json()) : Json();
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  const bool internvl =
      config.is_object() && config.value("architectures", Json()) == Json::array({"InternVLChatModel"});
  if (const std::string name = text("template");
      internvl && !name.empty() && text("chat_template_file").empty()) {
    const ChatSource* source = builtin(name);
    require(source != nullptr, ExitCode::bad_data, "{}: its template {} is not one of those known here; {}",
            file.string(), name, ChatRemedy{name});
    return *source;
  }
  if (auto source = in_files(folder)) return source;
  if (text("model_type") == "paligemma") return chat_by_name("paligemma");
  return std::nullopt;
}

}  // namespace longsight::data

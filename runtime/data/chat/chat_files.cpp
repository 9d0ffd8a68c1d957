#include "runtime/data/chat/chat_files.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include "runtime/base/error.h"
#include "runtime/base/json.h"
#include "runtime/io/atomic_file.h"

namespace longsight::data {
namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;

constexpr i64 kMostFileBytes = i64{1} << 30;

// Changes a file that is there, in the order of its keys.
void change(const std::string& file, const std::function<bool(OrderedJson&)>& patch) {
  if (!fs::exists(file)) return;
  read_json_file(file, {.big_integers = true});  // says what is wrong with it
  OrderedJson json = OrderedJson::parse(read_whole_file(file, kMostFileBytes, ExitCode::bad_data));
  if (json.is_object() && patch(json)) io::write_file(file, json_text(json, 2) + "\n");
}

void add_missing(std::vector<i64>& ids, const std::vector<i64>& more) {
  for (const i64 id : more) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
}

// True if it has changed.
bool add_end_tokens(OrderedJson& object, const std::vector<i64>& ids, const std::string& file) {
  const std::vector<i64> before = end_tokens_of(object, file);
  std::vector<i64> all = before;
  add_missing(all, ids);
  if (all == before) return false;
  object["eos_token_id"] = all.size() == 1 ? OrderedJson(all.front()) : OrderedJson(all);
  return true;
}

}  // namespace

std::vector<i64> end_tokens_of(const Json& config, const std::string& file) {
  const Json value = config.is_object() ? config.value("eos_token_id", Json()) : Json();
  std::vector<i64> ids;
  for (const Json& id : value.is_array() ? value : value.is_null() ? Json::array() : Json::array({value})) {
    require(id.is_number_integer(), ExitCode::bad_data, "{}: eos_token_id {} is not a token id", file,
            id.dump());
    ids.push_back(id.get<i64>());
  }
  return ids;
}

void write_chat_files(const std::string& folder, const ChatSource& chat, bool has_processor) {
  if (chat.prefix_suffix) return;
  const std::string more = folder + "/additional_chat_templates", legacy = folder + "/chat_template.json";
  io::write_file(folder + "/chat_template.jinja", chat.program);
  fs::remove_all(more);
  if (!chat.named.empty()) io::ensure_folder(more);
  for (const auto& [name, program] : chat.named) io::write_file(more + "/" + name + ".jinja", program);
  // transformers refuses chat_template.json beside named templates.
  if (has_processor && chat.named.empty()) {
    io::write_file(legacy, json_text(OrderedJson{{"chat_template", chat.program}}, 2) + "\n");
  } else {
    fs::remove(legacy);
  }
  change(folder + "/processor_config.json",
         [](OrderedJson& json) { return json.erase("chat_template") > 0; });
  change(folder + "/tokenizer_config.json", [&chat](OrderedJson& json) {
    if (chat.named.empty()) {
      json["chat_template"] = chat.program;
      return true;
    }
    json["chat_template"] = OrderedJson::array({{{"name", "default"}, {"template", chat.program}}});
    for (const auto& [name, program] : chat.named)
      json["chat_template"].push_back({{"name", name}, {"template", program}});
    return true;
  });
  // The remote code of InternVL goes by a name in config.json, which is another template's now.
  change(folder + "/config.json", [&chat](OrderedJson& json) {
    if (json.value("architectures", OrderedJson()) != OrderedJson::array({"InternVLChatModel"})) return false;
    json["chat_template_file"] = "chat_template.jinja";
    const bool named = std::any_of(builtin_chats().begin(), builtin_chats().end(),
                                   [&](const ChatSource& one) { return one.name == chat.name; });
    if (named) json["template"] = chat.name;
    return true;
  });
}

void write_end_tokens(const std::string& folder, const std::vector<i64>& ids) {
  const std::string config = folder + "/config.json", generation = folder + "/generation_config.json";
  change(config, [&](OrderedJson& json) {
    bool named = false, changed = false;
    for (const char* part : {"text_config", "llm_config"}) {
      if (!json.contains(part) || !json[part].is_object() || !json[part].contains("eos_token_id")) continue;
      named = true;
      changed = add_end_tokens(json[part], ids, config) || changed;
    }
    if (!named || json.contains("eos_token_id")) changed = add_end_tokens(json, ids, config) || changed;
    return changed;
  });
  change(generation, [&](OrderedJson& json) { return add_end_tokens(json, ids, generation); });
}

void replace_tokenizer_files(const std::string& from, const std::string& to) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model"}) {
    const std::string file = from + "/" + name;
    fs::remove(to + "/" + name);
    if (fs::exists(file))
      io::write_file(to + "/" + name, read_whole_file(file, kMostFileBytes, ExitCode::bad_data));
  }
}

}  // namespace longsight::data

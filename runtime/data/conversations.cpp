#include "runtime/data/conversations.h"

namespace longsight::data {
namespace {

void read_turn(const Json& turn, std::size_t index, const ConversationTags& tags, SampleBuilder& sample) {
  const std::string where = fmt::format("{}: turn {}", sample.where(), index + 1);
  require(turn.is_object(), ExitCode::bad_data, "{}: {} is not an object", where, shown(turn));
  const std::string& name = require_string(turn, tags.role, where);
  const bool user = name == tags.user, assistant = name == tags.assistant;
  require(user || assistant || name == tags.system, ExitCode::bad_data,
          "{}: \"{}\": \"{}\" is not {}, {} or {} (tags of sharegpt data say other names)", where, tags.role,
          name, tags.user, tags.assistant, tags.system);
  const Role role = user ? Role::user : assistant ? Role::assistant : Role::system;
  const std::optional<bool> loss = optional_bool(turn, "loss", where);
  sample.begin_message(role, assistant && loss.value_or(true), where);
  sample.add_text(require_string(turn, tags.content, where));
  sample.end_message();
}

void read_turns(const Json& record, const ConversationTags& tags, SampleBuilder& sample) {
  const Json& turns = require_array(record, tags.messages, sample.where());
  require(!turns.empty(), ExitCode::bad_data, "{}: {} is empty", sample.where(), tags.messages);
  for (std::size_t i = 0; i < turns.size(); ++i) read_turn(turns[i], i, tags, sample);
}

// [{"human": TEXT, "assistant": TEXT}, ...]
void read_pairs(const Json& pairs, SampleBuilder& sample) {
  require(pairs.is_array() && !pairs.empty(), ExitCode::bad_data,
          "{}: conversation must be a list of {{\"human\", \"assistant\"}}", sample.where());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::string where = fmt::format("{}: turn {}", sample.where(), i + 1);
    for (const auto& [key, role] :
         {std::pair("human", Role::user), std::pair("assistant", Role::assistant)}) {
      sample.begin_message(role, role == Role::assistant, where);
      sample.add_text(require_string(pairs[i], key, where));
      sample.end_message();
    }
  }
}

void read_system(const Json& record, const std::string& key, SampleBuilder& sample) {
  const std::optional<std::string> text = optional_string(record, key, sample.where());
  if (!text || text->empty()) return;
  sample.begin_message(Role::system, false, sample.where() + ": " + key);
  sample.add_text(*text);
  sample.end_message();
}

// A path or a list of them; null is none.
void list_images(const Json& record, const std::string& key, SampleBuilder& sample) {
  const auto images = record.find(key);
  if (images == record.end() || images->is_null()) return;
  if (!images->is_array()) {
    sample.list_image(*images);
    return;
  }
  for (const Json& image : *images) sample.list_image(image);
}

// A list of videos, each the list of its frames; null is none.
void list_videos(const Json& record, const std::string& key, SampleBuilder& sample) {
  const auto videos = record.find(key);
  if (videos == record.end() || videos->is_null()) return;
  require(
      videos->is_array(), ExitCode::bad_data,
      "{}: \"{}\": {} is not a list of videos, each the list of the paths of its frames (films are not read)",
      sample.where(), key, shown(*videos));
  for (const Json& video : *videos) sample.list_video(video);
}

void begin(const Json& record, SampleBuilder& sample) {
  require(record.is_object(), ExitCode::bad_data, "{}: a sample must be an object, not {}", sample.where(),
          shown(record));
  sample.set_id(record);
}

}  // namespace

void read_llava(const Json& record, SampleBuilder& sample) {
  begin(record, sample);
  require(!record.contains("images"), ExitCode::bad_data,
          "{}: llava data name their pictures in \"image\"; with \"images\" it is sharegpt data",
          sample.where());
  list_images(record, "image", sample);
  if (const auto video = record.find("video"); video != record.end() && !video->is_null())
    sample.list_video(*video);
  read_turns(record, {}, sample);
}

void read_sharegpt(const Json& record, const ConversationTags& tags, SampleBuilder& sample) {
  begin(record, sample);
  require(tags.images == "image" || !record.contains("image"), ExitCode::bad_data,
          "{}: sharegpt data name their pictures in \"{}\"; with \"image\" it is llava data", sample.where(),
          tags.images);
  list_images(record, tags.images, sample);
  list_videos(record, tags.videos, sample);
  read_system(record, tags.system, sample);
  if (const auto pairs = record.find("conversation");
      pairs != record.end() && !record.contains(tags.messages)) {
    read_pairs(*pairs, sample);
  } else {
    read_turns(record, tags, sample);
  }
}

}  // namespace longsight::data

#include "runtime/data/messages.h"

namespace longsight::data {
namespace {

Role role_of(const Json& message, const std::string& where) {
  const std::string& role = require_string(message, "role", where);
  if (role == "system") return Role::system;
  if (role == "user") return Role::user;
  if (role == "assistant") return Role::assistant;
  fail(ExitCode::bad_data, "{}: role \"{}\" is not system, user or assistant", where, role);
}

void read_part(const Json& part, SampleBuilder& sample, const std::string& where) {
  require(part.is_object(), ExitCode::bad_data, "{}: part {} is not an object", where, shown(part));
  const std::string& type = require_string(part, "type", where);
  if (type == "text") {
    sample.add_text(require_string(part, "text", where));
  } else if (type == "image" && !part.contains("image")) {
    sample.add_listed(PartKind::image);
  } else if (type == "image") {
    sample.add_image(part["image"]);
  } else if (type == "image_url") {
    const Json& url = require_member(part, "image_url", where);
    sample.add_image(url.is_object() ? require_member(url, "url", where) : url);
  } else if (type == "video" && !part.contains("video")) {
    sample.add_listed(PartKind::video);
  } else if (type == "video") {
    const std::optional<double> fps = optional_double(part, "fps", where);
    require(fps.value_or(1) > 0, ExitCode::bad_data, "{}: fps {} must be positive", where, fps.value_or(0));
    sample.add_video(part["video"], fps.value_or(0));
  } else {
    fail(ExitCode::bad_data, "{}: part type \"{}\" is not supported (text, image, image_url and video are)",
         where, type);
  }
}

void read_message(const Json& json, std::size_t index, SampleBuilder& sample) {
  const std::string where = fmt::format("{}: message {}", sample.where(), index + 1);
  require(json.is_object(), ExitCode::bad_data, "{}: {} is not an object", where, shown(json));
  for (const auto& [key, value] : json.items()) {
    require(key == "role" || key == "content" || key == "loss" || key == "name", ExitCode::bad_data,
            "{}: key \"{}\" is not supported (role, content and loss are)", where, key);
  }
  const Role role = role_of(json, where);
  const std::optional<bool> loss = optional_bool(json, "loss", where);
  require(role == Role::assistant || !loss.value_or(false), ExitCode::bad_data,
          "{}: loss: true is for assistant messages only", where);
  sample.begin_message(role, role == Role::assistant && loss.value_or(true), where);
  const Json& content = require_member(json, "content", where);
  if (content.is_string()) {
    sample.add_text(content.get_ref<const std::string&>());
  } else {
    require(content.is_array(), ExitCode::bad_data, "{}: content must be a text or a list of parts, not {}",
            where, shown(content));
    for (const Json& part : content) read_part(part, sample, where);
  }
  sample.end_message();
}

}  // namespace

void read_messages(const Json& record, SampleBuilder& sample) {
  const std::string& where = sample.where();
  require(record.is_object(), ExitCode::bad_data, "{}: a sample must be an object with messages", where);
  sample.set_id(record);
  if (const Json* images = optional_array(record, "images", where)) {
    for (const Json& image : *images) sample.list_image(image);
  }
  if (const Json* videos = optional_array(record, "videos", where)) {
    for (const Json& video : *videos) sample.list_video(video);
  }
  const Json& messages = require_array(record, "messages", where);
  require(!messages.empty(), ExitCode::bad_data, "{}: messages is empty", where);
  for (std::size_t i = 0; i < messages.size(); ++i) read_message(messages[i], i, sample);
}

}  // namespace longsight::data

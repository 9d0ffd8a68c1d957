#include "runtime/data/messages.h"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "runtime/base/error.h"

namespace longsight::data {
namespace {

constexpr std::string_view kPlaceholder = "<image>";

// Absolute, without links; empty if it is not there.
std::string resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : std::string();
}

// A JSON value for a message, cut short.
std::string shown(const Json& value) {
  std::string text = value.dump();
  if (text.size() > 60) {
    std::size_t end = 57;
    while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  return text;
}

Role role_of(const Json& message, const std::string& where) {
  const std::string& role = require_string(message, "role", where);
  if (role == "system") return Role::system;
  if (role == "user") return Role::user;
  if (role == "assistant") return Role::assistant;
  fail(ExitCode::bad_data, "{}: role \"{}\" is not system, user or assistant", where, role);
}

const std::string& path_of(const Json& value, const std::string& where) {
  require(value.is_string() && !value.get_ref<const std::string&>().empty(), ExitCode::bad_data,
          "{}: {} is not the path of an image", where, shown(value));
  return value.get_ref<const std::string&>();
}

// What a sample says, before its image paths are looked at.
class Reader {
 public:
  explicit Reader(std::string where) { sample_.where = std::move(where); }

  ChatSample read(const Json& line) {
    const std::string& where = sample_.where;
    require(line.is_object(), ExitCode::bad_data, "{}: a sample must be an object with messages", where);
    if (const auto id = line.find("id"); id != line.end()) {
      sample_.id = id->is_string() ? id->get<std::string>() : id->dump();
    }
    if (const Json* images = optional_array(line, "images", where)) {
      for (const Json& image : *images) listed_.push_back(path_of(image, where));
    }
    const Json& messages = require_array(line, "messages", where);
    require(!messages.empty(), ExitCode::bad_data, "{}: messages is empty", where);
    bool answers = false, learned = false;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      read_message(messages[i], i);
      answers = answers || sample_.messages.back().role == Role::assistant;
      learned = learned || sample_.messages.back().loss;
    }
    require(answers, ExitCode::bad_data, "{}: no assistant message, nothing to learn", where);
    require(learned, ExitCode::bad_data, "{}: every assistant message has loss: false, nothing to learn",
            where);
    require(placeholders_ == listed_.size(), ExitCode::bad_data,
            "{}: {} <image> in the messages, but {} images", where, placeholders_, listed_.size());
    return std::move(sample_);
  }

 private:
  void read_message(const Json& json, std::size_t index) {
    const std::string where = fmt::format("{}: message {}", sample_.where, index + 1);
    require(json.is_object(), ExitCode::bad_data, "{}: {} is not an object", where, shown(json));
    for (const auto& [key, value] : json.items()) {
      require(key == "role" || key == "content" || key == "loss" || key == "name", ExitCode::bad_data,
              "{}: key \"{}\" is not supported (role, content and loss are)", where, key);
    }
    ChatMessage message;
    message.role = role_of(json, where);
    require(message.role != Role::system || index == 0, ExitCode::bad_data,
            "{}: a system message must be the first", where);
    const std::optional<bool> loss = optional_bool(json, "loss", where);
    require(message.role == Role::assistant || !loss.value_or(false), ExitCode::bad_data,
            "{}: loss: true is for assistant messages only", where);
    message.loss = message.role == Role::assistant && loss.value_or(true);

    const Json& content = require_member(json, "content", where);
    if (content.is_string()) {
      add_text(message, content.get<std::string>());
    } else {
      require(content.is_array(), ExitCode::bad_data, "{}: content must be a text or a list of parts, not {}",
              where, shown(content));
      for (const Json& part : content) add_part(message, part, where);
    }
    bool has_image = false, has_text = false;
    for (const ChatPart& part : message.parts) (part.is_text() ? has_text : has_image) = true;
    require(has_image || has_text, ExitCode::bad_data, "{}: empty content", where);
    require(message.role != Role::assistant || has_text, ExitCode::bad_data, "{}: an answer without text",
            where);
    require(message.role == Role::user || !has_image, ExitCode::bad_data,
            "{}: images belong in user messages", where);
    sample_.messages.push_back(std::move(message));
  }

  void add_part(ChatMessage& message, const Json& part, const std::string& where) {
    require(part.is_object(), ExitCode::bad_data, "{}: part {} is not an object", where, shown(part));
    const std::string& type = require_string(part, "type", where);
    if (type == "text") {
      add_text(message, require_string(part, "text", where));
    } else if (type == "image") {
      const auto path = part.find("image");
      add_image(message, path == part.end() ? next_listed() : path_of(*path, where));
    } else if (type == "image_url") {
      const Json& url = require_member(part, "image_url", where);
      add_image(message, path_of(url.is_object() ? require_member(url, "url", where) : url, where));
    } else {
      fail(ExitCode::bad_data, "{}: part type \"{}\" is not supported (text, image and image_url are)", where,
           type);
    }
  }

  void add_text(ChatMessage& message, std::string_view text) {
    for (;;) {
      const std::size_t at = text.find(kPlaceholder);
      std::string_view before = text.substr(0, at);
      const bool found = at != std::string_view::npos;
      if (found) {
        text.remove_prefix(at + kPlaceholder.size());
        if (text.starts_with('\n')) {
          text.remove_prefix(1);
        } else if (text.empty() && before.ends_with('\n')) {
          before.remove_suffix(1);
        }
      }
      if (!before.empty()) message.parts.push_back({.text = std::string(before)});
      if (!found) return;
      add_image(message, next_listed());
    }
  }

  void add_image(ChatMessage& message, std::string path) {
    message.parts.push_back({.kind = PartKind::image});
    sample_.media.push_back({.video = false, .frames = {{.path = std::move(path)}}});
  }

  // Counts further than the list goes; read() compares in the end.
  std::string next_listed() {
    const std::size_t index = placeholders_++;
    return index < listed_.size() ? listed_[index] : std::string();
  }

  ChatSample sample_;
  std::vector<std::string> listed_;
  std::size_t placeholders_ = 0;
};

}  // namespace

MessagesFile::MessagesFile(const std::string& path, const std::string& media_folder)
    : lines_(path), media_folder_(media_folder) {
  if (media_folder_.empty()) media_folder_ = std::filesystem::path(path).parent_path().string();
  if (media_folder_.empty()) media_folder_ = ".";
  media_root_ = resolved(media_folder_);
  require(!media_root_.empty(), ExitCode::missing_input, "{}: its image folder {} is not there", path,
          media_folder_);
  if (!media_root_.ends_with('/')) media_root_ += '/';
  require(size() > 0, ExitCode::bad_data, "{}: no samples", path);
  for (i64 i = 0; i < size(); ++i) sample(i);
}

std::string MessagesFile::image_path(const std::string& path, const std::string& where) const {
  const bool data_uri = path.starts_with("data:");
  require(!data_uri && path.find("://") == std::string::npos, ExitCode::bad_data,
          "{}: {} is not supported: put the image into a file and give its path", where,
          data_uri ? "an image in a data URI" : "the URL " + path);
  require(path.find('\0') == std::string::npos, ExitCode::bad_data, "{}: an image path with a NUL character",
          where);
  const std::string full = (std::filesystem::path(media_folder_) / path).string();
  const std::string real = resolved(full);
  require(!real.empty(), ExitCode::missing_input, "{}: cannot open the image {}: {}", where, full,
          std::generic_category().message(errno));
  require(real.starts_with(media_root_), ExitCode::bad_data, "{}: the image {} lies outside of {}", where,
          full, media_folder_);
  return full;
}

ChatSample MessagesFile::sample(i64 index) const {
  const std::string where = lines_.where(index);
  ChatSample sample = Reader(where).read(lines_.json(index));
  for (ChatMedia& media : sample.media) {
    for (MediaFile& frame : media.frames) frame.path = image_path(frame.path, where);
  }
  return sample;
}

}  // namespace longsight::data

#include "runtime/data/sample_builder.h"

#include <algorithm>

#include "runtime/base/base64.h"

namespace longsight::data {
namespace {

constexpr std::string_view kImage = "<image>";
constexpr std::string_view kVideo = "<video>";
constexpr std::size_t kMostShown = 60;

std::string cut(std::string text) {
  if (text.size() > kMostShown) {
    std::size_t end = kMostShown - 3;
    while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  return text;
}

// "data:image/jpeg;base64,/9j/4AAQ..."
std::string content_of_data_uri(std::string_view uri, const std::string& where) {
  const auto comma = uri.find(',');
  const std::string_view head = uri.substr(0, comma);
  require(comma != std::string_view::npos && head.starts_with("data:image/") && head.ends_with(";base64"),
          ExitCode::bad_data, "{}: {} is not a data URI of an image: data:image/TYPE;base64,DATA", where,
          cut(std::string(uri)));
  std::optional<std::string> content = decode_base64(uri.substr(comma + 1));
  require(content.has_value() && !content->empty(), ExitCode::bad_data,
          "{}: the image in a data URI is not valid base64: {}", where, cut(std::string(uri)));
  return std::move(*content);
}

}  // namespace

std::string shown(const Json& value) {
  return cut(value.dump());
}

void SampleBuilder::set_id(const Json& record) {
  if (const auto id = record.find("id"); id != record.end() && !id->is_null()) {
    sample_.id = id->is_string() ? id->get<std::string>() : id->dump();
  }
}

void SampleBuilder::list_image(const Json& path) {
  images_.media.push_back({.video = false, .frames = {file_of(path, where())}});
}

void SampleBuilder::list_video(const Json& frames) {
  videos_.media.push_back(video_of(frames, 0, where()));
}

MediaFile SampleBuilder::file_of(const Json& value, const std::string& where) {
  require(value.is_string() && !value.get_ref<const std::string&>().empty(), ExitCode::bad_data,
          "{}: {} is not the path of an image", where, shown(value));
  const auto& name = value.get_ref<const std::string&>();
  if (!name.starts_with("data:")) return media_.resolve(name, sample_.where);
  return {.path = fmt::format("data URI {}", ++data_uris_),
          .content = std::make_shared<const std::string>(content_of_data_uri(name, where))};
}

void SampleBuilder::begin_message(Role role, bool loss, std::string where) {
  message_where_ = std::move(where);
  require(role != Role::system || sample_.messages.empty(), ExitCode::bad_data,
          "{}: a system message must be the first", message_where_);
  sample_.messages.push_back({.role = role, .parts = {}, .loss = loss});
}

void SampleBuilder::add_text(std::string_view text) {
  for (;;) {
    const std::size_t image = text.find(kImage), video = text.find(kVideo), at = std::min(image, video);
    std::string_view before = text.substr(0, at);
    const bool found = at != std::string_view::npos;
    if (found) {
      text.remove_prefix(at + (image < video ? kImage : kVideo).size());
      if (text.starts_with('\n')) {
        text.remove_prefix(1);
      } else if (text.empty() && before.ends_with('\n')) {
        before.remove_suffix(1);
      }
    }
    if (!before.empty()) message().parts.push_back({.text = std::string(before)});
    if (!found) return;
    add_listed(image < video ? PartKind::image : PartKind::video);
  }
}

void SampleBuilder::add_listed(PartKind kind) {
  (kind == PartKind::video ? videos_ : images_).waiting.push_back(sample_.media.size());
  message().parts.push_back({.kind = kind});
  sample_.media.emplace_back();
}

void SampleBuilder::add_image(const Json& path) {
  message().parts.push_back({.kind = PartKind::image});
  sample_.media.push_back({.video = false, .frames = {file_of(path, message_where_)}});
}

ChatMedia SampleBuilder::video_of(const Json& frames, double frames_per_second, const std::string& where) {
  require(frames.is_array(), ExitCode::bad_data,
          "{}: video {}: films are not read; write their frames into files and give the list of the paths",
          where, shown(frames));
  require(!frames.empty(), ExitCode::bad_data, "{}: a video without frames", where);
  ChatMedia video{.video = true, .frames = {}, .frames_per_second = frames_per_second};
  for (const Json& frame : frames) video.frames.push_back(file_of(frame, where));
  return video;
}

void SampleBuilder::add_video(const Json& frames, double frames_per_second) {
  message().parts.push_back({.kind = PartKind::video});
  sample_.media.push_back(video_of(frames, frames_per_second, message_where_));
}

void SampleBuilder::end_message() {
  bool has_media = false, has_text = false;
  for (const ChatPart& part : message().parts) (part.is_text() ? has_text : has_media) = true;
  require(has_media || has_text, ExitCode::bad_data, "{}: empty content", message_where_);
  require(message().role != Role::assistant || has_text, ExitCode::bad_data, "{}: an answer without text",
          message_where_);
  require(message().role == Role::user || !has_media, ExitCode::bad_data,
          "{}: images belong in user messages", message_where_);
}

void SampleBuilder::list_unnamed_images() {
  for (MediaFile& file : media_.unnamed()) {
    const auto holds = [&](const ChatMedia& m) {
      return std::find(m.frames.begin(), m.frames.end(), file) != m.frames.end();
    };
    const auto named = [&](const std::vector<ChatMedia>& media) {
      return std::any_of(media.begin(), media.end(), holds);
    };
    if (!named(sample_.media) && !named(videos_.media))
      images_.media.push_back({.video = false, .frames = {std::move(file)}});
  }
}

void SampleBuilder::place(Listed& listed, const char* kind) {
  require(listed.waiting.size() == listed.media.size(), ExitCode::bad_data,
          "{}: {} <{}> in the messages, but {} {}s", where(), listed.waiting.size(), kind,
          listed.media.size(), kind);
  for (std::size_t i = 0; i < listed.media.size(); ++i)
    sample_.media[listed.waiting[i]] = std::move(listed.media[i]);
}

ChatSample SampleBuilder::take() {
  const auto has = [this](auto&& what) {
    return std::any_of(sample_.messages.begin(), sample_.messages.end(), what);
  };
  require(has([](const ChatMessage& m) { return m.role == Role::assistant; }), ExitCode::bad_data,
          "{}: no assistant message, nothing to learn", where());
  require(has([](const ChatMessage& m) { return m.loss; }), ExitCode::bad_data,
          "{}: every assistant message has loss: false, nothing to learn", where());
  if (images_.media.empty()) list_unnamed_images();
  place(images_, "image");
  place(videos_, "video");
  return std::move(sample_);
}

}  // namespace longsight::data

#include "runtime/data/records/sample_builder.h"

#include <algorithm>
#include <filesystem>

#include "runtime/base/shorten.h"

namespace longsight::data {
namespace {

constexpr std::string_view kImage = "<image>";
constexpr std::string_view kVideo = "<video>";

// Of whatever spelling: a.png, ./a.png, a link to it.
bool same_path(const std::string& a, const std::string& b) {
  if (a == b) return true;
  std::error_code unknown;
  return std::filesystem::equivalent(a, b, unknown) && !unknown;
}
// The same bytes: pictures that stand in the data are compared by what they are.
bool same_file(const MediaFile& a, const MediaFile& b) {
  if (a.content && b.content) return *a.content == *b.content;
  return !a.content && !b.content && a.offset == b.offset && a.bytes == b.bytes && same_path(a.path, b.path);
}
bool same_files(const ChatMedia& a, const ChatMedia& b) {
  return std::equal(a.frames.begin(), a.frames.end(), b.frames.begin(), b.frames.end(), same_file);
}

}  // namespace

void SampleBuilder::set_id(const RecordObject& record) {
  if (const Record* id = record.find("id")) {
    sample_.id = id->is_string() ? id->get<std::string>() : shown(*id);
  }
}

void SampleBuilder::set_system(const std::string& text, const std::string& where) {
  if (text.empty()) return;
  begin_message(Role::system, false, where);
  add_text(text);
  end_message();
  system_beside_ = true;
}

void SampleBuilder::list_image(const Record& image, const std::string& where) {
  images_.media.push_back({.video = false, .frames = {references_.read(image, where)}});
}

void SampleBuilder::list_video(const Record& frames, const std::string& where) {
  videos_.media.push_back(video_of(frames, where));
}

void SampleBuilder::begin_message(Role role, bool loss, std::string where) {
  message_where_ = std::move(where);
  const bool repeats = system_beside_ && sample_.messages.size() == 1;
  require(role != Role::system || sample_.messages.empty() || repeats, ExitCode::bad_data,
          "{}: a system message must be the first", message_where_);
  sample_.messages.push_back({.role = role, .parts = {}, .loss = loss});
}

void SampleBuilder::set_template_key(const std::string& key, Record value) {
  if (message().template_keys.is_null()) message().template_keys = Record::object();
  message().template_keys[key] = std::move(value);
}

void SampleBuilder::add_text(std::string_view text) {
  std::string pending;
  const auto flush = [&] {
    if (!pending.empty()) message().parts.push_back({.text = std::move(pending)});
    pending.clear();
  };
  while (message().role == Role::user) {
    const std::size_t image = text.find(kImage), video = text.find(kVideo), at = std::min(image, video);
    if (at == std::string_view::npos) break;
    const std::string_view tag = image < video ? kImage : kVideo;
    const std::string_view before = text.substr(0, at);
    text.remove_prefix(at + tag.size());
    if (before.ends_with('\\')) {
      pending += before.substr(0, before.size() - 1);
      pending += tag;
      continue;
    }
    pending += before;
    flush();
    add_listed({.kind = image < video ? PartKind::image : PartKind::video});
  }
  pending += text;
  flush();
}

void SampleBuilder::add_listed(const ListedMedia& media) {
  const bool video = media.kind == PartKind::video;
  listed(video).waiting.push_back({sample_.media.size(), media.number});
  message().parts.push_back({.kind = media.kind});
  sample_.media.push_back(
      {.video = video, .frames = {}, .frames_per_second = media.frames_per_second, .size = media.size});
}

void SampleBuilder::add_named(ChatMedia media) {
  listed(media.video).named.push_back(sample_.media.size());
  message().parts.push_back({.kind = media.video ? PartKind::video : PartKind::image});
  sample_.media.push_back(std::move(media));
}

void SampleBuilder::add_image(const Record& image, const AskedSize& size, const std::string& where) {
  add_named({.video = false, .frames = {references_.read(image, where)}, .size = size});
}

ChatMedia SampleBuilder::video_of(const Record& frames, const std::string& where) {
  require(frames.is_array(), ExitCode::bad_data,
          "{}: video {}: films are not read; write their frames into files and give the list of the paths",
          where, shown(frames));
  require(!frames.empty(), ExitCode::bad_data, "{}: a video without frames", where);
  ChatMedia video{.video = true, .frames = {}};
  for (const Record& frame : frames) video.frames.push_back(references_.read(frame, where));
  return video;
}

void SampleBuilder::add_video(const Record& frames, double frames_per_second, const AskedSize& size,
                              const std::string& where) {
  ChatMedia video = video_of(frames, where);
  video.frames_per_second = frames_per_second;
  video.size = size;
  add_named(std::move(video));
}

void SampleBuilder::end_message() {
  bool has_media = false, has_text = false;
  for (const ChatPart& part : message().parts) (part.is_text() ? has_text : has_media) = true;
  const bool calls = message().template_keys.is_object() && message().template_keys.contains("tool_calls");
  // A tool may answer nothing, and a call is an answer.
  require(has_media || has_text || calls || message().role == Role::tool, ExitCode::bad_data,
          "{}: empty content", message_where_);
  require(message().role != Role::assistant || has_text || calls, ExitCode::bad_data,
          "{}: an answer without text", message_where_);
  require(message().role == Role::user || !has_media, ExitCode::bad_data,
          "{}: images belong in user messages", message_where_);
  if (message().role != Role::system || sample_.messages.size() == 1) return;
  require(text_of(message()) == text_of(sample_.messages.front()), ExitCode::bad_data,
          "{}: its system text is not the one of \"system\" beside the messages; keep one of them",
          message_where_);
  sample_.messages.pop_back();
  system_beside_ = false;
}

void SampleBuilder::list_unnamed_images() {
  for (MediaFile& file : references_.resolver().unnamed()) {
    const auto holds = [&](const ChatMedia& m) {
      return std::any_of(m.frames.begin(), m.frames.end(),
                         [&](const MediaFile& f) { return same_file(f, file); });
    };
    const auto named = [&](const std::vector<ChatMedia>& media) {
      return std::any_of(media.begin(), media.end(), holds);
    };
    if (!named(sample_.media) && !named(videos_.media))
      images_.media.push_back({.video = false, .frames = {std::move(file)}});
  }
}

void SampleBuilder::put(const Waiting& to, const ChatMedia& media) {
  sample_.media[to.media].frames = media.frames;
}

// Each of the listed is used, some perhaps more than once.
void SampleBuilder::place_by_number(Listed& listed, const char* kind) {
  std::vector<bool> used(listed.media.size());
  for (const Waiting& place : listed.waiting) {
    require(place.number.has_value(), ExitCode::bad_data,
            "{}: some parts of kind {} have an \"index\", others none", where(), kind);
    require(*place.number < std::ssize(listed.media), ExitCode::bad_data,
            "{}: a part with \"index\": {}, but {} {}s", where(), *place.number, listed.media.size(), kind);
    const auto number = static_cast<std::size_t>(*place.number);
    used[number] = true;
    put(place, listed.media[number]);
  }
  const auto unused = std::find(used.begin(), used.end(), false);
  require(unused == used.end(), ExitCode::bad_data, "{}: no part has \"index\": {}, the {} stands nowhere",
          where(), unused - used.begin(), kind);
}

// Parts that name their files, and a list of the same files: the parts count, what is listed must agree.
void SampleBuilder::drop_repeated(Listed& listed, const char* kind) {
  if (listed.named.size() + listed.waiting.size() != listed.media.size()) return;
  std::vector<ChatMedia> left;
  auto named = listed.named.begin();
  auto waiting = listed.waiting.begin();
  for (std::size_t i = 0; i < listed.media.size(); ++i) {
    const bool is_named =
        named != listed.named.end() && (waiting == listed.waiting.end() || *named < waiting->media);
    if (!is_named) {
      left.push_back(listed.media[i]);
      ++waiting;
      continue;
    }
    const ChatMedia& own = sample_.media[*named++];
    require(same_files(own, listed.media[i]), ExitCode::bad_data,
            "{}: {} number {} is {} in its part, but {} in the list; keep one of them", where(), kind, i + 1,
            name_of(own.frames.front()), name_of(listed.media[i].frames.front()));
  }
  listed.media = std::move(left);
}

void SampleBuilder::place(Listed& listed, const char* kind) {
  const bool numbered = std::any_of(listed.waiting.begin(), listed.waiting.end(),
                                    [](const Waiting& w) { return w.number.has_value(); });
  if (numbered) return place_by_number(listed, kind);
  if (!listed.named.empty() && listed.waiting.size() < listed.media.size()) drop_repeated(listed, kind);
  const std::size_t places = listed.waiting.size(), media = listed.media.size();
  if (const std::size_t named = listed.named.size(); named > 0 && places < media) {
    fail(ExitCode::bad_data,
         "{}: the messages show {} {}s, {} of them named by their parts, but {} are listed beside them; list "
         "as many as are shown, in order, or only those that no part names",
         where(), named + places, kind, named, media);
  }
  require(places == media, ExitCode::bad_data, "{}: {} <{}> in the messages, but {} {}s; {}", where(), places,
          kind, media, kind,
          places > media ? fmt::format("write \\<{}> where the word is meant{}", kind,
                                       listed.named.empty() ? "" : "; a part that names its file needs none")
                         : fmt::format("write <{}> into a text of the user where each stands", kind));
  for (std::size_t i = 0; i < media; ++i) put(listed.waiting[i], listed.media[i]);
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

// Rendering conversations.
#include <algorithm>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/data/chat.h"
#include "runtime/data/picture_breaks.h"

namespace longsight::data {

std::string text_of(const ChatMessage& message) {
  std::string text;
  for (const ChatPart& part : message.parts) text += part.text;
  return text;
}

namespace {

// As Python's str.strip; Unicode spaces and the control characters that Python counts among them.
bool is_trimmed(char32_t c) {
  return (c >= 0x1C && c <= 0x1F) || (class_of(c) & kSpace) != 0;
}
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_trimmed(code_point(text.data()).value))
    text.remove_prefix(static_cast<std::size_t>(code_point(text.data()).bytes));
  while (!text.empty() && is_trimmed(last_code_point(text).value))
    text.remove_suffix(static_cast<std::size_t>(last_code_point(text).bytes));
  return text;
}

const char* name_of(PartKind kind) {
  return kind == PartKind::video ? "a video" : "an image";
}

class Renderer {
 public:
  Renderer(const ChatFormat& format, const ChatSample& sample, std::span<const std::string> media_texts)
      : format_(format), sample_(sample), media_texts_(media_texts) {
    out_.text = format.begin;
  }

  void message(const ChatMessage& message) {
    const RoleFormat& role = message.role == Role::system ? format_.system
                             : message.role == Role::user ? format_.user
                                                          : format_.assistant;
    out_.text += role.before;
    if (message.parts.empty() || message.parts.front().kind != PartKind::image)
      out_.text += format_.before_text;
    supervised_ = message.role == Role::assistant && message.loss;
    begin_span();
    if (format_.trims) {
      out_.text += trimmed(content_of(message));
      end_span();
      out_.text += role.behind;
    } else {
      parts(message, role);
    }
    if (supervised_ && !format_.end_of_turn.empty()) end_of_turn(role);
  }

  // One question and one answer, with all media in front.
  void prefix(const ChatMessage& question) {
    for (const ChatPart& part : question.parts) {
      if (!part.is_text()) media(part.kind);
    }
    out_.text += format_.user.before + text_of(question) + format_.user.behind;
    out_.suffix = position();
  }

  // A system message becomes a part of the next message.
  void hold_system(const ChatMessage& message) {
    held_ = format_.system.before + text_of(message) + format_.system.behind;
  }

  void text(std::string_view more) { out_.text += more; }
  std::size_t media() const { return out_.media; }
  RenderedChat take() { return std::move(out_); }

 private:
  i64 position() const { return static_cast<i64>(out_.text.size()); }

  std::string content_of(const ChatMessage& message) {
    for (const ChatPart& part : message.parts) {
      if (!part.is_text()) media(part.kind);
    }
    return std::exchange(held_, "") + text_of(message);
  }

  void parts(const ChatMessage& message, const RoleFormat& role) {
    if (format_.images_first) {
      for (const ChatPart& part : message.parts) {
        if (!part.is_text()) media(part.kind);
      }
    }
    i64 end = position();  // of the last text
    for (const ChatPart& part : message.parts) {
      if (!part.is_text()) {
        if (!format_.images_first) media(part.kind);
        continue;
      }
      out_.text += part.text;
      end = position();
      out_.text += role.behind_text;
    }
    end_span(end);
    out_.text += role.behind;
  }

  void media(PartKind kind) {
    const std::size_t index = out_.media++;
    require(index < media_texts_.size(), ExitCode::bad_data,
            "{}: more images in the messages than the {} of the sample", sample_.where, media_texts_.size());
    require(format_.media == MediaSupport::images_and_videos ||
                (format_.media == MediaSupport::images && kind == PartKind::image),
            ExitCode::bad_data,
            "{}: the chat format {} has no place for {}; choose another with data.chat: FORMAT",
            sample_.where, format_.name, name_of(kind));
    require(!out_.suffix, ExitCode::bad_data, "{}: {} in the answer, which the chat format {} does not have",
            sample_.where, name_of(kind), format_.name);
    end_span();
    out_.text += media_texts_[index];
    out_.text += format_.behind_image;
    begin_span();
  }

  // Text of an answer between media.
  void begin_span() { span_begin_ = position(); }
  void end_span() { end_span(position()); }
  void end_span(i64 end) {
    if (supervised_ && end > span_begin_) out_.supervised.push_back({span_begin_, end});
  }

  // Counts with the answer, if there is one.
  void end_of_turn(const RoleFormat& role) {
    const i64 behind = position() - static_cast<i64>(role.behind.size());
    const std::size_t at = role.behind.find(format_.end_of_turn);
    check(at != std::string::npos, "the format {} does not end with {}", format_.name, format_.end_of_turn);
    const i64 end = behind + static_cast<i64>(at + format_.end_of_turn.size());
    if (!out_.supervised.empty() && out_.supervised.back().end == behind) {
      out_.supervised.back().end = end;
    } else {
      out_.supervised.push_back({behind, end});
    }
  }

  const ChatFormat& format_;
  const ChatSample& sample_;
  std::span<const std::string> media_texts_;
  std::string held_;  // system text for the next message
  bool supervised_ = false;
  i64 span_begin_ = 0;
  RenderedChat out_;
};

void check_order(const ChatFormat& format, const ChatSample& sample) {
  if (!format.alternates) return;
  bool expect_user = true;
  for (std::size_t i = 0; i < sample.messages.size(); ++i) {
    const Role role = sample.messages[i].role;
    if (role == Role::system) {
      require(i == 0 && format.system_in_user, ExitCode::bad_data,
              "{}: message {} is a system message, which the chat format {} does not have{}", sample.where,
              i + 1, format.name, format.system_in_user ? " behind others" : "");
      continue;
    }
    require((role == Role::user) == expect_user, ExitCode::bad_data,
            "{}: message {} is of the {}, but in the chat format {} user and assistant take turns",
            sample.where, i + 1, role == Role::user ? "user" : "assistant", format.name);
    expect_user = !expect_user;
  }
}

// Messages [0, count), with the default system message in front of them where it applies.
void render_messages(Renderer& renderer, const ChatFormat& format, const ChatSample& sample,
                     std::size_t count) {
  check_order(format, sample);
  const bool has_system = !sample.messages.empty() && sample.messages.front().role == Role::system;
  if (!format.default_system.empty() && !has_system) {
    renderer.message({.role = Role::system, .parts = {{.text = format.default_system}}, .loss = false});
  }
  for (std::size_t i = 0; i < count; ++i) {
    const ChatMessage& message = sample.messages[i];
    if (message.role == Role::system && format.system_in_user) {
      renderer.hold_system(message);
    } else {
      renderer.message(message);
    }
  }
}

// What stands in front of the answer in a format with prefix and suffix.
void render_prefix(Renderer& renderer, const ChatFormat& format, const ChatSample& sample) {
  const auto& messages = sample.messages;
  require(!messages.empty() && messages.size() <= 2 && messages[0].role == Role::user &&
              (messages.size() == 1 || messages[1].role == Role::assistant),
          ExitCode::bad_data,
          "{}: the chat format {} takes one message of the user and one of the assistant, not {} messages",
          sample.where, format.name, messages.size());
  renderer.prefix(messages[0]);
}

// What the format writes by itself is left to it; what it has no place for is refused.
ChatSample for_format(const ChatFormat& format, const ChatSample& sample) {
  const auto calls = [](const ChatMessage& m) { return m.role == Role::tool || !m.template_keys.is_null(); };
  require(sample.tools.is_null() && std::none_of(sample.messages.begin(), sample.messages.end(), calls),
          ExitCode::bad_data,
          "{}: tools, or keys of a message besides role and content, for which the chat format "
          "{} has no place",
          sample.where, format.name);
  return format.behind_image == "\n" ? without_picture_breaks(sample, format.images_first) : sample;
}

// A text of its own, all of it learned.
RenderedChat render_plain(const ChatFormat& format, const ChatSample& sample) {
  RenderedChat chat;
  chat.text = text_of(sample.messages.front()) + format.end_of_turn;
  chat.supervised.push_back({0, static_cast<i64>(chat.text.size())});
  return chat;
}

}  // namespace

RenderedChat render_chat(const ChatFormat& format, const ChatSample& written,
                         std::span<const std::string> media_texts) {
  if (written.plain) return render_plain(format, written);
  const ChatSample sample = for_format(format, written);
  Renderer renderer(format, sample, media_texts);
  if (format.prefix_suffix) {
    render_prefix(renderer, format, sample);
    if (sample.messages.size() == 2) renderer.message(sample.messages[1]);
  } else {
    render_messages(renderer, format, sample, sample.messages.size());
  }
  require(renderer.media() == media_texts.size(), ExitCode::bad_data,
          "{}: {} images, but {} places for one in the messages", sample.where, media_texts.size(),
          renderer.media());
  return renderer.take();
}

RenderedChat render_prompt(const ChatFormat& format, const ChatSample& written,
                           std::span<const std::string> media_texts) {
  if (written.plain) return {};  // nothing stands in front of it
  const ChatSample sample = for_format(format, written);
  Renderer renderer(format, sample, media_texts);
  if (format.prefix_suffix) {
    render_prefix(renderer, format, sample);
    return renderer.take();
  }
  std::size_t last = sample.messages.size();
  while (last > 0 && sample.messages[last - 1].role != Role::assistant) --last;
  // Without an assistant message all of it is the prompt.
  render_messages(renderer, format, sample, last > 0 ? last - 1 : sample.messages.size());
  renderer.text(format.generation_prompt);
  RenderedChat chat = renderer.take();
  chat.supervised.clear();
  return chat;
}

}  // namespace longsight::data

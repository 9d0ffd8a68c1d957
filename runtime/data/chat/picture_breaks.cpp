#include "runtime/data/chat/picture_breaks.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/data/chat/media_marks.h"

namespace longsight::data {

PictureHabits picture_habits(const jinja::Template& program,
                             const std::vector<std::pair<std::string, std::string>>& named,
                             const ChatTokens& tokens) {
  const ChatSample sample{
      .where = "",
      .id = "",
      .messages = {{.role = Role::user,
                    .parts = {{.text = "front"}, {.kind = PartKind::image}, {.text = "behind"}}}},
      .media = {}};
  jinja::Rendered rendered;
  try {
    rendered = program.render(chat_context(sample, 1, ContentForm::parts, false, named).value);
  } catch (const Error&) {
    return {};
  }
  const auto marks = find_marks(rendered.text, tokens);
  if (marks.size() != 1 || rendered.origins.empty()) return {};
  const ByteSpan mark = marks.front().span;
  const auto is_text = [&](i64 at) {
    return std::any_of(rendered.origins.begin(), rendered.origins.end(),
                       [at](const jinja::Span& o) { return o.begin <= at && at < o.end; });
  };
  const auto behind = std::string_view(rendered.text).substr(static_cast<std::size_t>(mark.end));
  return {.writes_break = behind.starts_with('\n') && !is_text(mark.end),
          .pictures_first = mark.end <= rendered.origins.front().begin};
}

ChatSample without_picture_breaks(ChatSample sample, bool pictures_first) {
  for (ChatMessage& message : sample.messages) {
    auto& parts = message.parts;
    if (pictures_first) {
      // What stands in front of the pictures at the end.
      std::size_t end = parts.size();
      while (end > 0 && !parts[end - 1].is_text()) --end;
      if (end > 0 && end < parts.size() && parts[end - 1].text.ends_with('\n'))
        parts[end - 1].text.pop_back();
    }
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const bool behind = parts[i].is_text() && !parts[i - 1].is_text();
      if (behind && parts[i].text.starts_with('\n')) parts[i].text.erase(0, 1);
    }
    std::erase_if(parts, [](const ChatPart& part) { return part.is_text() && part.text.empty(); });
  }
  return sample;
}

}  // namespace longsight::data

#include "runtime/data/picture_breaks.h"

#include <algorithm>

namespace longsight::data {

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

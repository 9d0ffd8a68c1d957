#include "runtime/data/chat/media_marks.h"

#include <algorithm>
#include <array>

#include "runtime/base/error.h"

namespace longsight::data {
namespace {

constexpr std::array<std::string_view, 2> kWords = {"<image>", "<video>"};

bool is_media_word(std::string_view spelling) {
  return std::find(kWords.begin(), kWords.end(), spelling) != kWords.end();
}

}  // namespace

std::vector<MediaMark> find_marks(std::string_view text, const ChatTokens& tokens) {
  struct Kind {
    std::string_view spelling;
    bool video;
  };
  std::vector<Kind> kinds;
  for (const Kind& kind :
       {Kind{tokens.image, false}, Kind{tokens.video, true}, Kind{kWords[0], false}, Kind{kWords[1], true}}) {
    const auto same = [&](const Kind& one) { return one.spelling == kind.spelling; };
    if (!kind.spelling.empty() && std::none_of(kinds.begin(), kinds.end(), same)) kinds.push_back(kind);
  }
  std::vector<MediaMark> marks;
  for (const Kind& kind : kinds) {
    for (std::size_t at = text.find(kind.spelling); at != std::string_view::npos;
         at = text.find(kind.spelling, at + kind.spelling.size())) {
      marks.push_back({.video = kind.video,
                       .span = {static_cast<i64>(at), static_cast<i64>(at + kind.spelling.size())},
                       .word = is_media_word(kind.spelling)});
    }
  }
  std::sort(marks.begin(), marks.end(), [](const MediaMark& a, const MediaMark& b) {
    return a.span.begin != b.span.begin ? a.span.begin < b.span.begin : a.span.end > b.span.end;
  });
  i64 end = 0;
  std::erase_if(marks, [&end](const MediaMark& mark) {
    if (mark.span.begin < end) return true;
    end = mark.span.end;
    return false;
  });
  return marks;
}

void fail_for_placeholder(std::string_view mark, const std::string& where) {
  fail(ExitCode::bad_data,
       "{}: a text holds {}, with which the model marks the place of a picture: write it otherwise, or give "
       "the sample "
       "that picture",
       where, mark);
}

void refuse_placeholder(std::string_view text, const ChatTokens& tokens, const std::string& where) {
  for (const std::string& mark : {tokens.image, tokens.video}) {
    if (!mark.empty() && !is_media_word(mark) && text.find(mark) != std::string_view::npos)
      fail_for_placeholder(mark, where);
  }
}

}  // namespace longsight::data

#include "runtime/data/chat/shown_texts.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/data/chat/chat_source.h"
#include "runtime/data/chat/text_spaces.h"
#include "runtime/data/text/unicode.h"

namespace longsight::data {
namespace {

using From = TextOrigin::From;

// Without spaces, and without the backslashes that strings have inside of JSON and of Python's lists.
std::string bare(std::string_view text) {
  std::string kept;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point(text.data() + at);
    const auto bytes = static_cast<std::size_t>(point.bytes);
    const bool space = (class_of(point.value) & kSpace) != 0 || (point.value >= 0x1C && point.value <= 0x1F);
    if (!space && point.value != '\\') kept += text.substr(at, bytes);
    at += bytes;
  }
  return kept;
}

std::string inside_json(const std::string& text, bool ascii) {
  const std::string quoted = nlohmann::json(text).dump(-1, ' ', ascii);
  return quoted.substr(1, quoted.size() - 2);
}

// Bytes of a word at the beginning of `text` that the program spells in quotes, or 0.
std::size_t word_of_program(std::string_view text, std::string_view program) {
  for (std::size_t bytes = std::min<std::size_t>(text.size(), 40); bytes >= 2; --bytes) {
    const std::string word(text.substr(0, bytes));
    if (word == "<image>" || word == "<video>") continue;  // words of the user, not for the template
    for (const char* quote : {"'", "\""}) {
      if (program.find(quote + word + quote) != std::string_view::npos) return bytes;
    }
  }
  return 0;
}

// Whether `shown` is `text` but for words that the program takes out.
bool same_without_words(std::string_view text, std::string_view shown, std::string_view program) {
  while (!text.empty()) {
    if (!shown.empty() && text.front() == shown.front()) {
      text.remove_prefix(1), shown.remove_prefix(1);
      continue;
    }
    const std::size_t word = word_of_program(text, program);
    if (word == 0) return false;
    text.remove_prefix(word);
  }
  return true;
}

bool shows_whole(const std::string& text, const std::string& shown, std::string_view program) {
  if (shown.find(text) != std::string::npos) return true;  // nearly always
  const std::string there = bare(shown);
  for (const std::string& form : {text, inside_json(text, false), inside_json(text, true)}) {
    if (there.find(bare(form)) != std::string::npos) return true;
  }
  return same_without_words(bare(text), there, program);
}

bool calls_in_front(const ChatSample& sample, std::size_t index, const std::string& name) {
  for (std::size_t i = 0; i < index; ++i) {
    const auto& keys = sample.messages[i].template_keys;
    if (!keys.is_object() || !keys.contains("tool_calls")) continue;
    for (const auto& call : keys["tool_calls"]) {
      const auto& function = call.contains("function") ? call["function"] : call;
      if (function.value("name", std::string()) == name) return true;
    }
  }
  return false;
}

// Whether the template must show this string, and all of it.
bool must_show(const TextOrigin& origin, const ChatSample& sample) {
  if (origin.harmless) return false;
  const Role role = sample.messages[origin.message].role;
  switch (origin.from) {
    case From::content:
      return role != Role::assistant;  // of answers a template may take thoughts away
    case From::calls:
      return true;
    case From::reasoning:  // what was thought in earlier turns may be left out
      return origin.message + 1 == sample.messages.size();
    case From::name:
      return role != Role::tool || !calls_in_front(sample, origin.message, origin.text);
    case From::other:
      return false;
  }
  fail(ExitCode::internal, "no origin {}", static_cast<int>(origin.from));
}

std::string name_of_text(const TextOrigin& origin) {
  const std::string message = fmt::format(" of message {}", origin.message + 1);
  switch (origin.from) {
    case From::calls:
      return "the tool_calls" + message + (origin.what.empty() ? "" : " (" + origin.what + ")");
    case From::reasoning:
      return "the reasoning_content" + message +
             ": write it into the content as the model is to say it, or remove it; or";
    case From::name:
      return "the name" + message + ": write it into the text as the model is to see it, or remove it; or";
    default:
      return "the text" + message;
  }
}

}  // namespace

void check_shown(const jinja::Rendered& rendered, const ChatContext& context, const ChatSample& sample,
                 std::size_t count, const std::string& place, std::string_view program) {
  std::vector<std::string> shown(context.origins.size());
  std::vector<bool> message_shown(count), message_says(count);
  for (const jinja::Span& span : rendered.origins)
    shown[static_cast<std::size_t>(span.origin)] += part_of(rendered.text, span.begin, span.end);
  for (std::size_t k = 0; k < context.origins.size(); ++k) {
    const TextOrigin& origin = context.origins[k];
    if (origin.message == TextOrigin::kTools) {
      require(!shown[k].empty(), ExitCode::bad_data, "{}: the sample has tools, which {} does not show; {}",
              sample.where, place, ChatRemedy{place});
      continue;
    }
    if (!shown[k].empty()) message_shown[origin.message] = true;
    const bool says = origin.from != From::other && origin.from != From::name && !origin.harmless;
    if (says) message_says[origin.message] = true;
    if (!must_show(origin, sample) || shows_whole(origin.text, shown[k], program)) continue;
    const std::string what = name_of_text(origin);
    fail(ExitCode::bad_data, "{}: {} {} {}{} {}", sample.where, place,
         shown[k].empty() ? "leaves out" : "shows only a part of", what, what.ends_with("or") ? "" : ";",
         ChatRemedy{place});
  }
  for (std::size_t i = 0; i < count; ++i) {
    const ChatMessage& message = sample.messages[i];
    if (message.role != Role::assistant || !message.loss) continue;
    require(message_says[i], ExitCode::bad_data,
            "{}: message {} is to be learned, but it holds nothing but spaces", sample.where, i + 1);
    require(message_shown[i], ExitCode::bad_data,
            "{}: {} leaves out the answer of message {}, which is to be learned; {}", sample.where, place,
            i + 1, ChatRemedy{place});
  }
}

}  // namespace longsight::data

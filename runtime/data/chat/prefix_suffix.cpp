#include "runtime/data/chat/prefix_suffix.h"

#include "runtime/base/error.h"
#include "runtime/data/chat/media_marks.h"

namespace longsight::data {

RenderedChat render_prefix_suffix(const ChatSample& sample, std::span<const std::string> media_texts,
                                  const ChatTokens& tokens, bool with_answer) {
  const auto& messages = sample.messages;
  require(!messages.empty() && messages.size() <= 2 && messages[0].role == Role::user &&
              (messages.size() == 1 || messages[1].role == Role::assistant),
          ExitCode::bad_data,
          "{}: the chat template paligemma takes one message of the user and one of the assistant, not {} "
          "messages",
          sample.where, messages.size());
  require(sample.tools.is_null(), ExitCode::bad_data,
          "{}: the chat template paligemma has no place for tools", sample.where);
  for (const ChatMessage& message : messages) {
    for (const char* const key : {"tool_calls", "function_call", "reasoning_content", "name"}) {
      require(!message.template_keys.is_object() || !message.template_keys.contains(key), ExitCode::bad_data,
              "{}: the chat template paligemma has no place for {}", sample.where, key);
    }
  }
  RenderedChat chat;
  const auto position = [&chat] { return static_cast<i64>(chat.text.size()); };
  for (const ChatPart& part : messages[0].parts) {
    if (part.is_text()) continue;
    require(part.kind == PartKind::image, ExitCode::bad_data,
            "{}: the chat template paligemma has no place for a video", sample.where);
    require(chat.media.size() < media_texts.size(), ExitCode::bad_data,
            "{}: more images in the messages than the {} of the sample", sample.where, media_texts.size());
    const i64 begin = position();
    chat.text += media_texts[chat.media.size()];
    chat.media.push_back({begin, position()});
  }
  for (const ChatMessage& message : messages) refuse_placeholder(text_of(message), tokens, sample.where);
  chat.text += "<bos>" + text_of(messages[0]) + "\n";
  chat.suffix = position();
  if (!with_answer || messages.size() == 1) return chat;
  for (const ChatPart& part : messages[1].parts) {
    require(part.is_text(), ExitCode::bad_data,
            "{}: an image in the answer, which the chat template paligemma has no "
            "place for",
            sample.where);
  }
  chat.text += text_of(messages[1]) + "<eos>";
  if (messages[1].loss) chat.supervised.push_back({*chat.suffix, position()});
  return chat;
}

}  // namespace longsight::data

// A conversation with images, as the data readers give it and the chat formats render it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longsight::data {

enum class Role { system, user, assistant };

// An image, or text. Images are taken from ChatSample::images in order of appearance.
struct ChatPart {
  bool is_image = false;
  std::string text;  // of an image: empty
};

struct ChatMessage {
  Role role = Role::user;
  std::vector<ChatPart> parts;
  bool loss = false;  // an assistant's message that is to be learned
};

struct ChatSample {
  std::string where;  // "train.jsonl:12", for messages
  std::string id;     // of the data set, may be empty
  std::vector<ChatMessage> messages;
  std::vector<std::string> images;  // paths that can be opened
};

// The text parts of a message, joined.
std::string text_of(const ChatMessage& message);

}  // namespace longsight::data

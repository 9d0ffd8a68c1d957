// A conversation with images and videos, as the data readers give it and chat templates render it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/image/asked_size.h"
#include "runtime/data/image/media_file.h"

namespace longsight::data {

enum class Role { system, user, assistant, tool };

enum class PartKind { text, image, video };

// Text, or an image or a video; these are taken from ChatSample::media in order of appearance.
struct ChatPart {
  PartKind kind = PartKind::text;
  std::string text = {};  // of an image or video: empty

  bool is_text() const { return kind == PartKind::text; }
};

struct ChatMessage {
  Role role = Role::user;
  std::vector<ChatPart> parts;
  bool loss = false;  // an assistant's message that is to be learned
  // An object with what a chat template may read of a message besides role and content (name, tool_calls,
  // tool_call_id, reasoning_content, ..), in the order of the record; null: nothing.
  nlohmann::ordered_json template_keys = nullptr;
};

// One image, or the frames of a video in order.
struct ChatMedia {
  bool video = false;
  std::vector<MediaFile> frames;  // an image has one
  double frames_per_second = 0;   // of a video; 0: not known
  AskedSize size = {};

  friend bool operator==(const ChatMedia&, const ChatMedia&) = default;
};

struct ChatSample {
  std::string where;  // "train.jsonl:12", for messages
  std::string id;     // of the data set, may be empty
  std::vector<ChatMessage> messages;
  std::vector<ChatMedia> media;
  // One assistant message that is a text for itself: no chat template stands around it, only the tokenizer's
  // eos behind it.
  bool plain = false;
  nlohmann::ordered_json tools =
      nullptr;  // a list of function descriptions for the chat template; null: none
};

// The text parts of a message, joined.
std::string text_of(const ChatMessage& message);

}  // namespace longsight::data

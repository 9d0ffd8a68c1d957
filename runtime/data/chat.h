// Chat formats: how a conversation becomes one text for the tokenizer, and which characters of it carry loss.
//
// Hugging Face models bring their format as a Jinja program. The programs known here are recognised by their
// text and rendered by the table of formats; there is no Jinja interpreter.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/number.h"
#include "runtime/data/chat_sample.h"
#include "runtime/data/unicode.h"

namespace longsight::data {

// What stands around the content of a message.
struct RoleFormat {
  std::string before;
  std::string behind_text;  // after each text part
  std::string behind;       // after the message
};

struct ChatFormat {
  std::string name;
  RoleFormat system, user, assistant;
  std::string default_system;  // system text of a conversation that has none; empty: no system message
  bool images_first = false;   // all images of a message stand in front of its text
  std::string image_open, image_close;  // around the image tokens of one image
  std::string behind_image;
  std::string end_of_turn;        // the supervised beginning of assistant.behind: a special token, or nothing
  std::string generation_prompt;  // the head of the message to be generated
  std::string chat_template;      // the Jinja program that Hugging Face runs for this format
};

// llava (USER: .. ASSISTANT: ..</s>), llava-hub (the one of llava-hf/llava-1.5-7b-hf: no end-of-turn token),
// vicuna (llava with the system sentence of LLaVA 1.5's training), internvl and qwen2-vl (ChatML).
std::span<const ChatFormat> chat_formats();
// `usage` for an unknown name, with the known ones.
const ChatFormat& chat_format(std::string_view name);
// The format whose Jinja program this is, apart from comments, {% generation %} marks and spaces inside of
// its tags; null if none.
const ChatFormat* match_chat_template(std::string_view jinja);
// That of a model folder: chat_template.jinja, chat_template.json or the chat_template of
// tokenizer_config.json, the first that is there, as in transformers. bad_data if there is none or it is
// unknown; the message names `data.chat`.
const ChatFormat& chat_format_of_folder(const std::filesystem::path& folder);
bool has_chat_template(const std::filesystem::path& folder);  // known or not

struct RenderedChat {
  std::string text;
  std::vector<ByteSpan> supervised;  // assistant texts, each with the end-of-turn token behind it; ascending
  std::size_t images = 0;            // how many appear
};

// The k-th image becomes tokens_per_image[k] times `image_token`. bad_data (with sample.where) unless
// tokens_per_image has one number, at least 1, for each image of the sample.
RenderedChat render_chat(const ChatFormat& format, const ChatSample& sample, std::string_view image_token,
                         std::span<const i64> tokens_per_image);

// The conversation up to its last assistant message, and the head of that message: what apply_chat_template
// gives with add_generation_prompt for the messages in front of it. Nothing is supervised. tokens_per_image
// holds at least the images that appear in it.
RenderedChat render_prompt(const ChatFormat& format, const ChatSample& sample, std::string_view image_token,
                           std::span<const i64> tokens_per_image);

}  // namespace longsight::data

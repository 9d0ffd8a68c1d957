// Chat formats: how a conversation becomes one text for the tokenizer, and which characters of it carry loss.
//
// Hugging Face models bring their format as a Jinja program. The programs known here are recognised by their
// text and rendered by the table of formats; there is no Jinja interpreter.
#pragma once

#include <filesystem>
#include <optional>
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

// Images and videos that a format has a place for.
enum class MediaSupport { none, images, images_and_videos };

struct ChatFormat {
  std::string name;
  std::string begin;  // in front of the first message
  RoleFormat system, user, assistant;
  std::string default_system;  // system text of a conversation that has none; empty: no system message
  std::string before_text;     // behind RoleFormat::before, unless an image comes first
  MediaSupport media = MediaSupport::none;
  bool images_first = false;      // all images of a message stand in front of its text
  std::string behind_image;       // also of a video
  bool trims = false;             // spaces around the content of a message do not count
  bool system_in_user = false;    // a system message is part of the first user message, as system.before says
  bool alternates = false;        // only user, assistant, user, .., a system message in front at most
  bool prefix_suffix = false;     // one question and one answer, which are tokenised apart: see RenderedChat
  std::string end_of_turn;        // a special token in assistant.behind, the last that has loss; or nothing
  std::string generation_prompt;  // the head of the message to be generated
  std::vector<std::string> tokens;  // special tokens that the format needs
  // The Jinja programs that Hugging Face has for this format; the first is written beside models trained
  // here.
  std::vector<std::string> templates;
};

// With images: llava (USER: .. ASSISTANT: ..</s>), llava-hub (the one of llava-hf/llava-1.5-7b-hf: no
// end-of-turn token), vicuna (llava with the system sentence of LLaVA 1.5's training), internvl (ChatML),
// internvl2_5, internlm2-chat and Hermes-2 (its remote-code models, with their system text), qwen2-vl (also
// Qwen2.5-VL; with videos), smolvlm, idefics3 (the same behind another first token), paligemma (no chat: a
// prefix and a suffix). Text only: chatml, qwen2, qwen2.5, llama-2, llama-3, mistral.
std::span<const ChatFormat> chat_formats();
// `usage` for an unknown name, with the known ones.
const ChatFormat& chat_format(std::string_view name);
// The format whose Jinja program this is, apart from comments, {% generation %} marks and spaces inside of
// its tags; null if none.
const ChatFormat* match_chat_template(std::string_view jinja);
// That of a model folder. Where config.json is that of an InternVL remote-code model, its `template` says it;
// that of a PaliGemma is paligemma. Else chat_template.jinja, chat_template.json or the chat_template of
// tokenizer_config.json, the first that is there, as in transformers. bad_data if there is none or it is
// unknown; the message names `data.chat`.
const ChatFormat& chat_format_of_folder(const std::filesystem::path& folder);
bool names_chat_format(const std::filesystem::path& folder);  // known or not

struct RenderedChat {
  std::string text;
  std::vector<ByteSpan> supervised;  // assistant texts, each with the end-of-turn token behind it; ascending
  std::size_t media = 0;             // how many images and videos appear
  // Where the answer begins if it is tokenised apart from what is in front of it: all of that, but nothing of
  // the answer, is seen from everywhere. The tokenizer then adds no tokens of its own.
  std::optional<i64> suffix;
};

// The k-th image or video becomes media_texts[k] (see media_text.h). bad_data (with sample.where) unless
// there is one for each of the sample's and the format has a place for it, or for an order of messages that
// the format does not have.
RenderedChat render_chat(const ChatFormat& format, const ChatSample& sample,
                         std::span<const std::string> media_texts);

// The conversation up to its last assistant message, and the head of that message: what apply_chat_template
// gives with add_generation_prompt for the messages in front of it. Nothing is supervised. media_texts holds
// at least those that appear in it.
RenderedChat render_prompt(const ChatFormat& format, const ChatSample& sample,
                           std::span<const std::string> media_texts);

}  // namespace longsight::data

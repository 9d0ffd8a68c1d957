// The GPT-2 byte alphabet, in which the pieces of a byte-level tokenizer.json are written: each byte has a
// printable character.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longsight::data {

// Of well-formed `text`; nothing if it holds a character that is not of the alphabet.
std::optional<std::string> bytes_of_alphabet(std::string_view text);
std::string to_alphabet(std::string_view bytes);

}  // namespace longsight::data

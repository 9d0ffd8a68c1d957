// The keys that records, messages, turns and parts may have: one table for all formats. docs/data.md lists
// them for users, and a test compares.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace longsight::data {

// A key that is known, but means something that is not done: refused with what to do instead.
struct RefusedKey {
  std::string_view key;
  std::string_view remedy;
};

// What an object may hold besides the keys that a format uses.
struct KeyTable {
  std::span<const std::string_view> harmless;  // says where a record is from, and nothing for training
  std::span<const RefusedKey> refused;
};

const KeyTable& record_keys();   // of a record of any format
const KeyTable& message_keys();  // of a message, and of a turn
const KeyTable& part_keys();     // of a part of a message's content
const KeyTable& caption_keys();  // of the metadata beside an image and its caption
const KeyTable& no_keys();       // of an object that may hold nothing else

}  // namespace longsight::data

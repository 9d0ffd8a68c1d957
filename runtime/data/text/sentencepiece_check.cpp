#include "runtime/data/text/sentencepiece_check.h"

#include <cstring>
#include <optional>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/number.h"

namespace longsight::data {
namespace {

// The fields of a message of protocol buffers: https://protobuf.dev/programming-guides/encoding
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  // The next one that is text, bytes or a message; others are passed over. Nothing at the end.
  struct Field {
    u64 number = 0;
    std::string_view content;
  };
  std::optional<Field> next() {
    while (sound_ && !rest_.empty()) {
      const u64 head = varint();
      switch (head & 7) {
        case 0:
          varint();
          break;
        case 1:
          take(8);
          break;
        case 2: {
          const std::string_view content = take(varint());
          if (sound_) return Field{head >> 3, content};
          break;
        }
        case 5:
          take(4);
          break;
        default:  // groups, which no version has had
          sound_ = false;
      }
    }
    return std::nullopt;
  }
  bool sound() const { return sound_; }

 private:
  u64 varint() {
    u64 value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= u64{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    sound_ = false;
    return 0;
  }
  std::string_view take(u64 bytes) {
    sound_ = sound_ && bytes <= rest_.size();
    if (!sound_) return {};
    const std::string_view content = rest_.substr(0, static_cast<std::size_t>(bytes));
    rest_.remove_prefix(content.size());
    return content;
  }

  std::string_view rest_;
  bool sound_ = true;
};

// A double array as Darts-clone has it (https://github.com/s-yata/darts-clone): units of 32 bits, in which a
// search goes from one to another by letters of the text.
class DoubleArray {
 public:
  explicit DoubleArray(std::string_view bytes) : units_(bytes.size() / 4) {
    std::memcpy(units_.data(), bytes.data(), units_.size() * 4);
  }

  // Whether no text leads a search outside of the array, or to a value of `values` and more.
  bool is_sound(std::size_t values) const {
    if (units_.empty()) return false;
    std::vector<bool> seen(units_.size());
    std::vector<std::size_t> open{offset(units_[0])};
    while (!open.empty()) {
      const std::size_t base = open.back();
      open.pop_back();
      if ((base | 0xFF) >= units_.size()) return false;
      if (seen[base]) continue;
      seen[base] = true;
      for (std::size_t letter = 0; letter < 256; ++letter) {
        const std::size_t at = base ^ letter;
        if ((units_[at] & 0x800000FFU) != letter) continue;
        const std::size_t next = at ^ offset(units_[at]);
        const bool has_value = (units_[at] >> 8 & 1) != 0;
        if (has_value && (next >= units_.size() || (units_[next] & 0x7FFFFFFFU) >= values)) return false;
        open.push_back(next);
      }
    }
    return true;
  }

 private:
  static std::size_t offset(std::uint32_t unit) { return std::size_t{unit >> 10} << ((unit & 0x200U) >> 6); }

  std::vector<std::uint32_t> units_;
};

// Four bytes with the size of the double array, the array, texts that end with a NUL each.
bool is_sound_charsmap(std::string_view map) {
  std::uint32_t size = 0;
  if (map.empty()) return true;  // none
  if (map.size() <= sizeof(size)) return false;
  std::memcpy(&size, map.data(), sizeof(size));
  map.remove_prefix(sizeof(size));
  if (size % 4 != 0 || size >= map.size() || map.back() != '\0') return false;
  return DoubleArray(map.substr(0, size)).is_sound(map.size() - size);
}

}  // namespace

void require_sound_model(std::string_view model, const std::string& file) {
  constexpr u64 kPieces = 1, kNormalizer = 3, kDenormalizer = 5;  // of ModelProto
  constexpr u64 kPiece = 1, kCharsmap = 2;                        // of the messages in it
  constexpr std::size_t kMostPiece = 4096;
  Fields fields(model);
  while (const auto field = fields.next()) {
    const bool piece = field->number == kPieces,
               normalizer = field->number == kNormalizer || field->number == kDenormalizer;
    if (!piece && !normalizer) continue;
    Fields parts(field->content);
    while (const auto part = parts.next()) {
      require(!piece || part->number != kPiece || part->content.size() <= kMostPiece, ExitCode::bad_data,
              "{}: a piece of {} bytes, at most {} are read", file, part->content.size(), kMostPiece);
      require(!normalizer || part->number != kCharsmap || is_sound_charsmap(part->content),
              ExitCode::bad_data,
              "{}: not a SentencePiece model: the table of its normaliser leads outside of itself", file);
    }
    require(parts.sound(), ExitCode::bad_data, "{}: not a SentencePiece model: it is damaged", file);
  }
  require(fields.sound(), ExitCode::bad_data, "{}: not a SentencePiece model: it is cut off or damaged",
          file);
}

}  // namespace longsight::data

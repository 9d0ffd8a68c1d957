#include "runtime/data/image/formats/tiff_directory.h"

#include <algorithm>
#include <array>

namespace longsight::data {
namespace {

constexpr u64 kMostOutside = 64 << 20;  // bytes of the values that stand outside of the directory, together

// Bytes of a value of a type; 0: unknown, such an entry is passed over.
int bytes_of_type(int type) {
  constexpr std::array widths{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};
  return type < std::ssize(widths) ? widths.at(static_cast<std::size_t>(type)) : 0;
}

bool is_whole(int type) {
  return type == 3 || type == 4 || type == 6 || type == 8 || type == 9 || type == 13 || type == 16;
}

bool is_signed(int type) {
  return type == 6 || type == 8 || type == 9;
}

}  // namespace

TiffDirectory::TiffDirectory(const EncodedImage& encoded) : encoded_(encoded) {
  std::array<std::uint8_t, 16> head{};
  const std::size_t count = encoded.read_some(0, head);
  const bool wide = head[2] == 43;  // Pillow takes a big-endian BigTIFF for a TIFF, and finds nothing in it
  if (count < (wide ? 16U : 8U)) refuse_image(encoded, "TIFF", "the file is truncated");
  big_endian_ = head[0] == 'M';
  offset_ = wide ? value(head.data() + 8, 8) : value(head.data() + 4, 4);
  if (offset_ == 0) refuse_image(encoded, "TIFF", "there is no picture in it");
  read_entries(wide);
}

void TiffDirectory::read_entries(bool wide) {
  std::array<std::uint8_t, 8> number_bytes{};
  const int count_width = wide ? 8 : 2;
  if (!encoded_.read_at(offset_, std::span(number_bytes).first(static_cast<std::size_t>(count_width))))
    return;
  const u64 entries = value(number_bytes.data(), count_width);
  const u64 entry_bytes = wide ? 20 : 12, inside = wide ? 8 : 4;
  const u64 limit = std::min(encoded_.size(), kMostOutside);
  u64 outside = 0;
  std::array<std::uint8_t, 20> entry{};
  for (u64 i = 0, at = offset_ + static_cast<u64>(count_width); i < entries; ++i, at += entry_bytes) {
    if (!encoded_.read_at(at, std::span(entry).first(static_cast<std::size_t>(entry_bytes)))) return;
    const int tag = static_cast<int>(value(entry.data(), 2)),
              type = static_cast<int>(value(entry.data() + 2, 2));
    const u64 count = value(entry.data() + 4, wide ? 8 : 4), width = static_cast<u64>(bytes_of_type(type));
    counts_.try_emplace(tag, count);
    if (fields_.contains(tag) || width == 0 || count == 0) continue;
    const std::uint8_t* place = entry.data() + (wide ? 12 : 8);
    Field field{.type = type, .bytes = {}};
    if (count <= inside / width) {
      field.bytes.assign(place, place + count * width);
    } else {
      // Values that do not fit into the file, all together, are passed over.
      outside = count > limit ? limit + 1 : outside + count * width;
      if (outside > limit) continue;
      field.bytes.resize(static_cast<std::size_t>(count * width));
      if (!encoded_.read_at(value(place, wide ? 8 : 4), field.bytes)) return;
    }
    fields_[tag] = std::move(field);
  }
}

std::vector<i64> TiffDirectory::numbers(int tag) const {
  const auto found = fields_.find(tag);
  if (found == fields_.end()) return {};
  if (!is_whole(found->second.type))
    refuse_image(encoded_, "TIFF", fmt::format("tag {} is no whole number", tag));
  const int type = found->second.type, width = bytes_of_type(type);
  std::vector<i64> result;
  for (std::size_t at = 0; at < found->second.bytes.size(); at += static_cast<std::size_t>(width)) {
    const u64 bits = value(found->second.bytes.data() + at, width);
    const int unused = 64 - width * 8;
    result.push_back(is_signed(type) ? static_cast<i64>(bits << unused) >> unused : static_cast<i64>(bits));
  }
  return result;
}

bool TiffDirectory::planes_apart() const {
  const auto found = fields_.find(tiff_tag::planes);
  return found != fields_.end() && is_whole(found->second.type) && number(tiff_tag::planes) == 2;
}

std::optional<i64> TiffDirectory::number(int tag) const {
  const std::vector<i64> all = numbers(tag);
  return all.empty() ? std::nullopt : std::optional(all.front());
}

std::span<const std::uint8_t> TiffDirectory::bytes(int tag) const {
  const auto found = fields_.find(tag);
  return found == fields_.end() ? std::span<const std::uint8_t>{} : std::span(found->second.bytes);
}

}  // namespace longsight::data

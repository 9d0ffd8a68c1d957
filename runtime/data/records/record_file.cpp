#include "runtime/data/records/record_file.h"

#include <string_view>

#include "runtime/base/gzip.h"
#include "runtime/base/json_array.h"

namespace longsight::data {
namespace {

constexpr std::size_t kRecordNumbers = 3;  // of a record, in an index

std::string index_kind(bool array) {
  return array ? "json array" : "json lines";
}

std::optional<JsonPlaces> places_of(const std::optional<DataIndex>& index) {
  if (!index || index->numbers.size() % kRecordNumbers != 0) return std::nullopt;
  JsonPlaces places{.values = {}, .fingerprint = index->fingerprint};
  places.values.reserve(index->numbers.size() / kRecordNumbers);
  for (std::size_t i = 0; i < index->numbers.size(); i += kRecordNumbers) {
    const JsonPlace place{index->numbers[i], index->numbers[i + 1], index->numbers[i + 2]};
    if (place.offset < 0 || place.bytes < 0 || place.line < 1) return std::nullopt;
    places.values.push_back(place);
  }
  return places;
}

InputFile open_records(const std::string& path, const OpenFile& open) {
  InputFile file = open ? open(path) : open_unpacked(path);
  refuse_other_format(file);
  return file;
}

}  // namespace

void refuse_other_format(const InputFile& file) {
  using namespace std::string_view_literals;
  struct Format {
    std::string_view begin, what, remedy;
  };
  static constexpr Format kFormats[] = {
      {"PAR1"sv, "Parquet", "convert it to JSONL or tar shards"},
      {"ARROW1"sv, "Arrow", "convert it to JSONL or tar shards"},
      {"\xFF\xFF\xFF\xFF"sv, "Arrow", "convert it to JSONL or tar shards"},
      {"\x28\xB5\x2F\xFD"sv, "Zstandard", "unpack it, or pack it with gzip"},
      {"\xFD"
       "7zXZ"sv,
       "xz", "unpack it, or pack it with gzip"},
      {"BZh"sv, "bzip2", "unpack it, or pack it with gzip"},
      {"PK\x03\x04"sv, "zip", "unpack it"},
      {"\xFF\xFE"sv, "UTF-16", "write it as UTF-8"},
      {"\xFE\xFF"sv, "UTF-16", "write it as UTF-8"},
  };
  char bytes[8] = {};
  const auto count = static_cast<std::size_t>(file.read_at(bytes, sizeof bytes, 0));
  for (const Format& format : kFormats) {
    require(!std::string_view(bytes, count).starts_with(format.begin), ExitCode::bad_data,
            "{}: a file of {}, which is not read; {}", file.path(), format.what, format.remedy);
  }
}

RecordFile::RecordFile(const std::string& path, const std::string& index_folder, const OpenFile& open)
    : file_(open_records(path, open)), state_(state_of(path)), array_(is_json_array(file_)) {
  if (auto known = places_of(read_index(path, index_folder, index_kind(array_)))) {
    places_ = std::move(*known);
  } else {
    places_ = array_ ? index_json_array(file_) : index_json_lines(file_);
  }
}

const JsonPlace& RecordFile::place(i64 index) const {
  check(index >= 0 && index < size(), "record {} of the {} in {}", index, size(), path());
  return places_.values[static_cast<std::size_t>(index)];
}

OrderedJson RecordFile::json(i64 index) const {
  const JsonPlace& at = place(index);
  require(at.bytes <= kMaxJsonLine, ExitCode::bad_data, "{}: longer than {} bytes", where(index),
          kMaxJsonLine);
  std::string text(static_cast<std::size_t>(at.bytes), '\0');
  file_.read_exactly_at(text.data(), at.bytes, at.offset);
  if (text.ends_with('\r')) text.pop_back();
  JsonRules rules{.max_bytes = kMaxJsonLine, .first_line = at.line};
  if (!array_) return parse_ordered_json(text, path(), rules);
  try {
    return parse_ordered_json(text, path(), rules);
  } catch (const Error&) {
    // Where an element begins in its line is not worth keeping for those that are in order.
    rules.first_column = column_in_file(file_, at.offset);
    return parse_ordered_json(text, path(), rules);
  }
}

std::string RecordFile::where(i64 index) const {
  const i64 line = place(index).line;
  return array_ ? fmt::format("{}:{}, element {}", path(), line, index + 1)
                : fmt::format("{}:{}", path(), line);
}

std::string RecordFile::write_index(const std::string& folder) const {
  DataIndex index{.numbers = {}, .text = {}, .fingerprint = fingerprint()};
  index.numbers.reserve(places_.values.size() * kRecordNumbers);
  for (const JsonPlace& p : places_.values) {
    for (const i64 number : {p.offset, p.bytes, p.line}) index.numbers.push_back(number);
  }
  return data::write_index(path(), folder, index_kind(array_), state_, index);
}

}  // namespace longsight::data

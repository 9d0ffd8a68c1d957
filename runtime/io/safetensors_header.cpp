#include "runtime/io/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "runtime/base/json.h"
#include "runtime/base/utf8.h"

namespace longsight::io {
namespace {

constexpr i64 kChunk = i64{1} << 18;
// Far more than any file has, so that the map of a hostile header stays small.
constexpr std::size_t kMaxMetadataEntries = 1 << 16;
constexpr i64 kMaxTokenBytes = i64{16} << 20;  // the parser holds a string or number a few times over
// `"a":{"dtype":"U8","shape":[],"data_offsets":[0,0]},`
constexpr i64 kLeastEntryBytes = 50;

// A name for an error message: short, and without characters that a terminal would obey.
std::string shown(std::string_view name) {
  std::string text(name.substr(0, 120));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return name.size() > 120 ? text + "..." : text;
}

// The header's bytes, a chunk at a time: the parser keeps none of a header of 100 MB.
class HeaderStream {
 public:
  HeaderStream(const InputFile& file, i64 begin, i64 end)
      : file_(file), next_(begin), begin_(begin), end_(end) {
    refill();
  }

  char current() const { return buffer_[at_]; }
  bool at_end() const { return at_ == buffer_.size(); }
  void advance() {
    // The parser would gather a run of spaces: it gets one of them.
    const bool was_space = !in_string_ && is_space(current());
    do {
      measure_token();
      if (++at_ == buffer_.size()) refill();
    } while (was_space && !at_end() && is_space(current()));
  }
  i64 position() const { return next_ - begin_ - static_cast<i64>(buffer_.size() - at_); }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

  void measure_token() {
    const char c = buffer_[at_];
    const bool ends_token =
        in_string_ ? c == '"' && !escaped_
                   : is_space(c) || std::string_view("\",:[]{}").find(c) != std::string_view::npos;
    if (ends_token) {
      token_bytes_ = 0;
      if (c == '"') in_string_ = !in_string_;
    } else {
      require(++token_bytes_ <= kMaxTokenBytes, ExitCode::bad_data,
              "{}: a string or number of more than {} bytes in the header", file_.path(), kMaxTokenBytes);
    }
    escaped_ = in_string_ && c == '\\' && !escaped_;
  }

  void refill() {
    const i64 bytes = std::min(kChunk, end_ - next_);
    buffer_.resize(static_cast<std::size_t>(bytes));
    file_.read_exactly_at(buffer_.data(), bytes, next_);
    // The parser takes a NUL for the end, and would not look at what follows.
    require(buffer_.find('\0') == std::string::npos, ExitCode::bad_data, "{}: a NUL byte in the header",
            file_.path());
    next_ += bytes;
    at_ = 0;
  }

  const InputFile& file_;
  std::string buffer_;
  std::size_t at_ = 0;
  i64 token_bytes_ = 0;
  bool in_string_ = false, escaped_ = false;
  i64 next_, begin_, end_;
};

struct HeaderIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  HeaderStream* stream = nullptr;  // null: the end

  char operator*() const { return stream->current(); }
  HeaderIterator& operator++() {
    stream->advance();
    return *this;
  }
  void operator++(int) { stream->advance(); }
  bool at_end() const { return stream == nullptr || stream->at_end(); }
  friend bool operator==(const HeaderIterator& a, const HeaderIterator& b) {
    return a.at_end() == b.at_end();
  }
};

// {"__metadata__": {text: text}, NAME: {"dtype": text, "shape": [integers], "data_offsets": [begin, end]}},
// and nothing else. No tree of the header is built: that of a hostile one takes ten times its size.
class HeaderHandler {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  HeaderHandler(const std::string& path, HeaderStream& stream, i64 header_bytes, i64 data_bytes)
      : path_(path),
        stream_(stream),
        data_begin_(8 + header_bytes),
        data_bytes_(static_cast<u64>(data_bytes)) {
    // Room that is not used is never touched.
    header_.entries.reserve(static_cast<std::size_t>(header_bytes / kLeastEntryBytes + 1));
  }

  SafetensorsHeader take() { return std::move(header_); }

  bool null() { fail_here("null is not expected here"); }
  bool boolean(bool) { fail_here("true or false is not expected here"); }
  bool number_integer(number_integer_t) { fail_here("a negative number is not expected here"); }
  bool number_float(number_float_t, const string_t&) { fail_here("not an integer below 2^64"); }
  bool binary(binary_t&) { fail_here("binary data are not expected here"); }

  bool number_unsigned(number_unsigned_t value) {
    if (at_ == At::shape) {
      if (rank_ == Shape::kMaxRank) fail_here(fmt::format("more than {} dimensions", Shape::kMaxRank));
      extents_[rank_++] = value;
    } else if (at_ == At::offsets) {
      if (offset_count_ == 2) fail_here("more than two data_offsets");
      offsets_[offset_count_++] = value;
    } else {
      fail_here("a number is not expected here");
    }
    return true;
  }

  bool string(string_t& value) {
    if (at_ == At::metadata) {
      if (header_.metadata.size() == kMaxMetadataEntries) fail_here("too much metadata");
      if (!header_.metadata.emplace(key_, std::move(value)).second)
        fail_here(fmt::format("metadata \"{}\" twice", shown(key_)));
    } else if (at_ == At::tensor && key_ == "dtype") {
      type_ = std::find_if(kStoredTypes.begin(), kStoredTypes.end(),
                           [&](const StoredType& t) { return value == t.name; });
      if (type_ == kStoredTypes.end()) fail_here(fmt::format("unknown dtype \"{}\"", shown(value)));
    } else {
      fail_here("a string is not expected here");
    }
    return true;
  }

  bool start_object(std::size_t) {
    if (at_ == At::start) {
      at_ = At::root;
    } else if (at_ == At::root) {
      at_ = name_ == kMetadataName ? At::metadata : At::tensor;
      type_ = kStoredTypes.end();
      has_shape_ = has_offsets_ = has_type_ = false;
      rank_ = offset_count_ = 0;
    } else {
      fail_here("an object is not expected here");
    }
    return true;
  }

  bool key(string_t& key) {
    if (at_ == At::root) {
      name_ = key;
      if (name_ == kMetadataName) {
        if (has_metadata_) fail_here("it is there twice");
        has_metadata_ = true;
      } else if (const std::string complaint = complaint_about_name(name_); !complaint.empty()) {
        fail_here(complaint);
      }
    } else if (at_ == At::tensor) {
      bool* seen = key == "dtype"          ? &has_type_
                   : key == "shape"        ? &has_shape_
                   : key == "data_offsets" ? &has_offsets_
                                           : nullptr;
      if (seen == nullptr) fail_here(fmt::format("unknown field \"{}\"", shown(key)));
      if (*seen) fail_here(fmt::format("{} is there twice", key));
      *seen = true;
      key_ = key;
    } else {
      key_ = key;
    }
    return true;
  }

  bool start_array(std::size_t) {
    if (at_ != At::tensor || key_ == "dtype") fail_here("a list is not expected here");
    at_ = key_ == "shape" ? At::shape : At::offsets;
    return true;
  }

  bool end_array() {
    at_ = At::tensor;
    return true;
  }

  bool end_object() {
    if (at_ == At::tensor) add_tensor();
    at_ = at_ == At::root ? At::done : At::root;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const Json::exception&) {
    fail(ExitCode::bad_data, "{}: the header is not valid JSON at byte {} of it", path_, stream_.position());
  }

 private:
  enum class At { start, root, metadata, tensor, shape, offsets, done };

  [[noreturn]] void fail_here(const std::string& message) const {
    if (name_.empty() && at_ != At::tensor) fail(ExitCode::bad_data, "{}: the header: {}", path_, message);
    fail(ExitCode::bad_data, "{}: {} \"{}\" in the header: {}", path_,
         name_ == kMetadataName ? "entry" : "tensor", shown(name_), message);
  }

  void add_tensor() {
    if (!has_type_) fail_here("no dtype");
    if (!has_shape_) fail_here("no shape");
    if (!has_offsets_ || offset_count_ != 2) fail_here("no two data_offsets");
    u64 bytes = 1;
    std::array<i64, Shape::kMaxRank> extents{};
    bool fits = true;
    for (std::size_t i = 0; i < rank_; ++i) {
      fits = fits && !__builtin_mul_overflow(bytes, extents_[i], &bytes) && extents_[i] <= kMaxExtent;
      extents[i] = static_cast<i64>(extents_[i]);
    }
    fits = fits && !__builtin_mul_overflow(bytes, static_cast<u64>(type_->bytes), &bytes);
    if (!fits) fail_here("the product of the shape does not fit in 64 bits");
    const auto [begin, end] = offsets_;
    if (begin > end || end > data_bytes_) {
      fail_here(
          fmt::format("data_offsets [{}, {}] in a file with {} bytes of data", begin, end, data_bytes_));
    }
    const Shape shape(std::span<const i64>(extents.data(), rank_));
    if (bytes != end - begin) {
      fail_here(fmt::format("{} {} takes {} bytes, but data_offsets have {}", type_->name, shape, bytes,
                            end - begin));
    }
    if (header_.entries.size() == kMaxTensors) fail_here(fmt::format("more than {} tensors", kMaxTensors));
    header_.entries.push_back({name_, type_->name, type_->dtype, shape, data_begin_ + static_cast<i64>(begin),
                               data_begin_ + static_cast<i64>(end)});
  }

  static constexpr u64 kMaxExtent = static_cast<u64>(std::numeric_limits<i64>::max());

  const std::string& path_;
  const HeaderStream& stream_;
  const i64 data_begin_;
  const u64 data_bytes_;
  SafetensorsHeader header_;
  At at_ = At::start;
  std::string name_, key_;
  bool has_metadata_ = false, has_type_ = false, has_shape_ = false, has_offsets_ = false;
  const StoredType* type_ = nullptr;
  std::array<u64, Shape::kMaxRank> extents_{};
  std::array<u64, 2> offsets_{};
  std::size_t rank_ = 0, offset_count_ = 0;
};

void check_no_name_twice(const std::string& path, std::vector<TensorEntry>& entries) {
  const auto by_name = [](const TensorEntry& a, const TensorEntry& b) { return a.name < b.name; };
  if (!std::is_sorted(entries.begin(), entries.end(), by_name))
    std::sort(entries.begin(), entries.end(), by_name);
  const auto twice =
      std::adjacent_find(entries.begin(), entries.end(),
                         [](const TensorEntry& a, const TensorEntry& b) { return a.name == b.name; });
  require(twice == entries.end(), ExitCode::bad_data, "{}: tensor \"{}\" is in the header twice", path,
          twice == entries.end() ? "" : shown(twice->name));
}

void check_no_hole(const std::string& path, const std::vector<TensorEntry>& entries, i64 data_begin,
                   i64 data_end) {
  std::vector<std::uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::pair(entries[a].begin, entries[a].end) < std::pair(entries[b].begin, entries[b].end);
  });
  i64 at = data_begin;
  for (const std::uint32_t i : order) {
    const TensorEntry& entry = entries[i];
    require(entry.begin == at, ExitCode::bad_data,
            "{}: tensor \"{}\" begins at byte {} of the data, but the one before it ends at {}", path,
            shown(entry.name), entry.begin - data_begin, at - data_begin);
    at = entry.end;
  }
  require(at == data_end, ExitCode::bad_data, "{}: the tensors end at byte {}, the file at {}", path, at,
          data_end);
}

}  // namespace

std::string complaint_about_name(std::string_view name) {
  if (name.size() > kMaxNameBytes)
    return fmt::format("a name of {} bytes, at most {} are allowed", name.size(), kMaxNameBytes);
  if (first_invalid_utf8(name) >= 0) return "its name is not UTF-8";
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto byte = static_cast<unsigned char>(name[i]);
    // Also U+0080 to U+009F, which are C2 80 to C2 9F.
    if (byte < 0x20 || byte == 0x7F || (byte == 0xC2 && static_cast<unsigned char>(name[i + 1]) < 0xA0)) {
      return "a control character in its name";
    }
  }
  return "";
}

SafetensorsHeader read_safetensors_header(const InputFile& file) {
  const std::string& path = file.path();
  const i64 file_bytes = file.size();
  require(file_bytes >= 8, ExitCode::bad_data, "{}: {} bytes are no safetensors file", path, file_bytes);
  std::array<unsigned char, 8> little_endian{};
  file.read_exactly_at(little_endian.data(), 8, 0);
  u64 header_bytes = 0;
  for (std::size_t i = 0; i < 8; ++i) header_bytes |= u64{little_endian[i]} << (8 * i);
  require(header_bytes <= static_cast<u64>(kMaxHeaderBytes), ExitCode::bad_data,
          "{}: a header of {} bytes, at most {} are allowed; is it a safetensors file?", path, header_bytes,
          kMaxHeaderBytes);
  const i64 data_begin = 8 + static_cast<i64>(header_bytes);
  require(data_begin <= file_bytes, ExitCode::bad_data, "{}: a header of {} bytes in a file of {}", path,
          header_bytes, file_bytes);

  HeaderStream stream(file, 8, data_begin);
  // A space before it would be valid JSON.
  require(!stream.at_end() && stream.current() == '{', ExitCode::bad_data,
          "{}: the header does not begin with {{", path);
  HeaderHandler handler(path, stream, static_cast<i64>(header_bytes), file_bytes - data_begin);
  Json::sax_parse(HeaderIterator{&stream}, HeaderIterator{}, &handler);
  SafetensorsHeader header = handler.take();
  check_no_name_twice(path, header.entries);
  check_no_hole(path, header.entries, data_begin, file_bytes);
  return header;
}

}  // namespace longsight::io

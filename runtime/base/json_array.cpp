#include "runtime/base/json_array.h"

#include <algorithm>

#include "runtime/base/stream_hash.h"

namespace longsight {
namespace {

constexpr i64 kReadBytes = i64{1} << 20;
constexpr i64 kMaxElementDepth = 64;  // of an element, as in parse_json

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// A character for a message.
std::string shown(char c) {
  if (c >= 0x20 && c < 0x7F) return fmt::format("\"{}\"", c);
  return fmt::format("byte 0x{:02X}", static_cast<unsigned char>(c));
}

class Scanner {
 public:
  explicit Scanner(const std::string& path) : path_(path) {}

  void scan(std::string_view chunk) {
    for (const char c : chunk) {
      if (state_ == State::inside) {
        step_inside(c);
      } else if (!is_space(c)) {
        step_outside(c);
      }
      if (c == '\n') ++line_;
      ++offset_;
    }
  }

  std::vector<JsonPlace> take() {
    if (state_ == State::inside) {
      fail(ExitCode::bad_data, "{}:{}: element {} does not end before the end of the file", path_, open_.line,
           number());
    }
    require(state_ == State::behind, ExitCode::bad_data, "{}:{}: the file ends before the array does", path_,
            line_);
    return std::move(places_);
  }

  void skip(i64 bytes) { offset_ += bytes; }

 private:
  enum class State { before, first, inside, between, next, behind };

  i64 number() const { return static_cast<i64>(places_.size()) + 1; }

  // Only brackets and quotes matter; where a string ends is plain since a quote in it is escaped.
  void step_inside(char c) {
    if (offset_ - open_.offset >= kMaxJsonLine) {
      fail(ExitCode::bad_data, "{}:{}: element {} is longer than {} bytes", path_, open_.line, number(),
           kMaxJsonLine);
    }
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      require(++depth_ <= kMaxElementDepth, ExitCode::bad_data, "{}:{}: element {} is nested deeper than {}",
              path_, line_, number(), kMaxElementDepth);
    } else if (c == '}' || c == ']') {
      if (--depth_ > 0) return;
      open_.bytes = offset_ + 1 - open_.offset;
      places_.push_back(open_);
      state_ = State::between;
    }
  }

  void step_outside(char c) {
    switch (state_) {
      case State::before:
        expect(c == '[', c, "an array");
        state_ = State::first;
        return;
      case State::first:
        if (c == ']') {
          state_ = State::behind;
          return;
        }
        begin_element(c);
        return;
      case State::next:
        begin_element(c);
        return;
      case State::between:
        expect(c == ',' || c == ']', c, fmt::format("\",\" or \"]\" behind element {}", number() - 1));
        state_ = c == ',' ? State::next : State::behind;
        return;
      case State::behind:
        expect(false, c, "nothing more behind the array");
        return;
      case State::inside:
        return;
    }
  }

  void begin_element(char c) {
    expect(c == '{', c, fmt::format("an object as element {}", number()));
    open_ = {.offset = offset_, .bytes = 0, .line = line_};
    depth_ = 1;
    state_ = State::inside;
  }

  void expect(bool ok, char got, const std::string& what) const {
    require(ok, ExitCode::bad_data, "{}:{}: expected {}, got {}", path_, line_, what, shown(got));
  }

  const std::string& path_;
  State state_ = State::before;
  bool in_string_ = false, escaped_ = false;
  i64 depth_ = 0, offset_ = 0, line_ = 1;
  JsonPlace open_;
  std::vector<JsonPlace> places_;
};

}  // namespace

bool is_json_array(const InputFile& file) {
  std::string buffer(4096, '\0');
  for (i64 offset = 0;;) {
    const i64 got = file.read_at(buffer.data(), static_cast<i64>(buffer.size()), offset);
    std::string_view text(buffer.data(), static_cast<std::size_t>(got));
    if (offset == 0 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    const auto first = std::find_if_not(text.begin(), text.end(), is_space);
    if (first != text.end()) return *first == '[';
    if (got == 0) return false;
    offset += got;
  }
}

JsonPlaces index_json_array(const InputFile& file) {
  StreamHash hash;
  Scanner scanner(file.path());
  std::string buffer(static_cast<std::size_t>(kReadBytes), '\0');
  for (i64 offset = 0;;) {
    const i64 got = file.read_at(buffer.data(), kReadBytes, offset);
    std::string_view chunk(buffer.data(), static_cast<std::size_t>(got));
    hash.add(chunk);
    if (offset == 0 && chunk.starts_with("\xEF\xBB\xBF")) {
      chunk.remove_prefix(3);
      scanner.skip(3);
    }
    scanner.scan(chunk);
    offset += got;
    if (got < kReadBytes) break;
  }
  return {.values = scanner.take(), .fingerprint = hash.digest()};
}

i64 column_in_file(const InputFile& file, i64 offset) {
  std::string buffer(4096, '\0');
  for (i64 end = offset; end > 0;) {
    const i64 begin = std::max<i64>(0, end - static_cast<i64>(buffer.size()));
    const i64 got = file.read_at(buffer.data(), end - begin, begin);
    const auto newline = std::string_view(buffer.data(), static_cast<std::size_t>(got)).rfind('\n');
    if (newline != std::string_view::npos) return offset - (begin + static_cast<i64>(newline));
    end = begin;
  }
  return offset + 1;
}

}  // namespace longsight

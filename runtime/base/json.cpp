#include "runtime/base/json.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "runtime/base/ordered_json.h"
#include "runtime/base/shorten.h"
#include "runtime/base/stream_hash.h"
#include "runtime/base/suggest.h"
#include "runtime/base/utf8.h"

namespace longsight {
namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr i64 kChunk = i64{1} << 20;

// Lets the handler know how far the parser has read.
struct CountedIterator {
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at = nullptr;
  const char** seen = nullptr;

  reference operator*() const { return *at; }
  CountedIterator& operator++() {
    *seen = ++at;
    return *this;
  }
  CountedIterator operator++(int) {
    CountedIterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const CountedIterator& a, const CountedIterator& b) { return a.at == b.at; }
};

// Of Json or OrderedJson.
template <class J>
class Builder {
 public:
  using number_integer_t = typename J::number_integer_t;
  using number_unsigned_t = typename J::number_unsigned_t;
  using number_float_t = typename J::number_float_t;
  using string_t = typename J::string_t;
  using binary_t = typename J::binary_t;

  Builder(std::string_view text, const std::string& name, JsonRules rules)
      : text_(text), name_(name), rules_(rules), seen_(text.data()) {}

  J parse() {
    const CountedIterator begin{text_.data(), &seen_}, end{text_.data() + text_.size(), &seen_};
    J::sax_parse(begin, end, this);
    return std::move(root_);
  }

  bool null() { return place(nullptr) != nullptr; }
  bool boolean(bool value) { return place(value) != nullptr; }
  bool number_integer(number_integer_t value) { return place(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) { return place(value) != nullptr; }
  bool number_float(number_float_t value, const string_t& written) {
    if (written.find_first_of(".eE") == string_t::npos && !rules_.big_integers) {
      fail_here(fmt::format("the integer {} does not fit in 64 bits", shortened(written, kMostOfText)));
    }
    return place(value) != nullptr;
  }
  bool string(string_t& value) { return place(std::move(value)) != nullptr; }
  bool binary(binary_t&) {
    fail_here("binary data");
    return false;
  }
  bool start_object(std::size_t) {
    keys_.emplace_back();
    return open(J::object());
  }
  bool start_array(std::size_t) { return open(J::array()); }
  bool key(string_t& key) {
    member_ = add_member(open_.back()->template get_ref<typename J::object_t&>(), key);
    if (member_ == nullptr) fail_here(fmt::format("duplicate key \"{}\"", shortened(key, kMostOfText)));
    return true;
  }
  bool end_object() {
    keys_.pop_back();
    return close();
  }
  bool end_array() { return close(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while ...": the place
    // is ours to give.
    std::string message = error.what();
    if (const auto line = message.find("at line "); line != std::string::npos) {
      if (const auto colon = message.find(": ", line); colon != std::string::npos)
        message.erase(0, colon + 2);
    } else if (const auto bracket = message.find("] "); bracket != std::string::npos) {
      message.erase(0, bracket + 2);
    }
    fail_here("not valid JSON: " + shortened(message, kMostOfText));
    return false;
  }

 private:
  static constexpr std::size_t kMostOfText = 200;  // the end of the parser's message says what it expected

  // Null for a key that is there already.
  Json* add_member(Json::object_t& object, const string_t& key) const {
    const auto [entry, added] = object.try_emplace(key);
    return added ? &entry->second : nullptr;
  }
  OrderedJson* add_member(OrderedJson::object_t& object, const string_t& key) {
    if (!keys_.back().insert(key).second) return nullptr;
    using Members = std::vector<OrderedJson::object_t::value_type>;
    return &static_cast<Members&>(object).emplace_back(key, nullptr).second;
  }

  [[noreturn]] void fail_here(const std::string& message) const {
    std::string_view read = text_.substr(0, static_cast<std::size_t>(seen_ - text_.data()));
    if (read.ends_with('\n')) read.remove_suffix(1);  // the end of a line belongs to it
    const auto line_begin = read.rfind('\n');
    const bool first = line_begin == std::string_view::npos;
    const i64 column = first ? static_cast<i64>(read.size()) + rules_.first_column - 1
                             : static_cast<i64>(read.size() - line_begin) - 1;
    fail(ExitCode::bad_data, "{}:{}:{}: {}", name_,
         std::count(read.begin(), read.end(), '\n') + std::max<i64>(rules_.first_line, 1), column, message);
  }

  J* place(J value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      auto& items = open_.back()->template get_ref<typename J::array_t&>();
      items.push_back(std::move(value));
      return &items.back();
    }
    *member_ = std::move(value);
    return member_;
  }
  bool open(J container) {
    if (open_.size() == kMaxDepth) fail_here(fmt::format("nested deeper than {}", kMaxDepth));
    open_.push_back(place(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  const std::string& name_;
  JsonRules rules_;
  const char* seen_;
  J root_;
  std::vector<J*> open_;  // only the innermost grows, so no pointer in here moves
  // Of the open objects: an ordered object finds a key only by looking at all of them.
  std::vector<std::unordered_set<std::string>> keys_;
  J* member_ = nullptr;
};

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

// A value for an error message, not longer than fits on the line.
std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  const std::string text = json_text(value);
  return text.size() <= 60 ? text : "a long " + std::string(value.type_name());
}

[[noreturn]] void fail_expected(const Json& value, const std::string& key, const std::string& where,
                                std::string_view what) {
  fail(ExitCode::bad_data, "{}: \"{}\": expected {}, got {}", where, key, what, shown(value));
}

void check_object(const Json& object, const std::string& where) {
  require(object.is_object(), ExitCode::bad_data, "{}: expected an object, got {}", where, shown(object));
}

// Null: absent.
const Json* member(const Json& object, const std::string& key, const std::string& where) {
  check_object(object, where);
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

bool to_bool(const Json& value, const std::string& key, const std::string& where) {
  if (!value.is_boolean()) fail_expected(value, key, where, "true or false");
  return value.get<bool>();
}

i64 to_i64(const Json& value, const std::string& key, const std::string& where) {
  if (!value.is_number_integer()) fail_expected(value, key, where, "an integer");
  if (value.is_number_unsigned() && value.get<u64>() > static_cast<u64>(std::numeric_limits<i64>::max())) {
    fail_expected(value, key, where, "an integer below 2^63");
  }
  return value.get<i64>();
}

u64 to_u64(const Json& value, const std::string& key, const std::string& where) {
  // A value that the program itself put in may be signed.
  if (!value.is_number_unsigned() && !(value.is_number_integer() && value.get<i64>() >= 0)) {
    fail_expected(value, key, where, "an integer from 0 up");
  }
  return value.get<u64>();
}

i64 to_positive(const Json& value, const std::string& key, const std::string& where) {
  const i64 number = to_i64(value, key, where);
  if (number < 1) fail_expected(value, key, where, "an integer from 1 up");
  return number;
}

double to_double(const Json& value, const std::string& key, const std::string& where) {
  if (!value.is_number()) fail_expected(value, key, where, "a number");
  return value.get<double>();
}

const std::string& to_string(const Json& value, const std::string& key, const std::string& where) {
  if (!value.is_string()) fail_expected(value, key, where, "a string");
  return value.get_ref<const std::string&>();
}

const Json& to_array(const Json& value, const std::string& key, const std::string& where) {
  if (!value.is_array()) fail_expected(value, key, where, "a list");
  return value;
}

const Json& to_object(const Json& value, const std::string& key, const std::string& where) {
  if (!value.is_object()) fail_expected(value, key, where, "an object");
  return value;
}

template <class F>
auto optional_of(const Json& object, const std::string& key, const std::string& where, F&& to) {
  using T = std::remove_cvref_t<decltype(to(object, key, where))>;
  const Json* found = member(object, key, where);
  return found ? std::optional<T>(to(*found, key, where)) : std::nullopt;
}

}  // namespace

namespace {

template <class J>
J parse_as(std::string_view text, const std::string& name, JsonRules rules) {
  const std::string where = rules.first_line > 0 ? fmt::format("{}:{}", name, rules.first_line) : name;
  require(static_cast<i64>(text.size()) <= rules.max_bytes, ExitCode::bad_data, "{} is larger than {} bytes",
          where, rules.max_bytes);
  const i64 invalid = first_invalid_utf8(text);
  require(invalid < 0, ExitCode::bad_data, "{}: invalid UTF-8 at byte {}", where, invalid);
  // The parser takes a NUL for the end, and would not look at what follows.
  const auto nul = text.find('\0');
  require(nul == std::string_view::npos, ExitCode::bad_data, "{}: a NUL byte at {}", where, nul);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return Builder<J>(text, name, rules).parse();
}

}  // namespace

Json parse_json(std::string_view text, const std::string& name, JsonRules rules) {
  return parse_as<Json>(text, name, rules);
}

OrderedJson parse_ordered_json(std::string_view text, const std::string& name, JsonRules rules) {
  return parse_as<OrderedJson>(text, name, rules);
}

Json read_json_file(const std::string& path, JsonRules rules) {
  return parse_json(read_whole_file(path, rules.max_bytes, ExitCode::bad_data), path, rules);
}

const Json& require_member(const Json& object, const std::string& key, const std::string& where) {
  check_object(object, where);
  const auto found = object.find(key);
  if (found != object.end()) return *found;
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  const std::string near = nearest(key, keys);
  fail(ExitCode::bad_data, "{}: no \"{}\"{}", where, key,
       near.empty() ? "" : fmt::format(", but \"{}\"", near));
}

bool require_bool(const Json& object, const std::string& key, const std::string& where) {
  return to_bool(require_member(object, key, where), key, where);
}
i64 require_i64(const Json& object, const std::string& key, const std::string& where) {
  return to_i64(require_member(object, key, where), key, where);
}
u64 require_u64(const Json& object, const std::string& key, const std::string& where) {
  return to_u64(require_member(object, key, where), key, where);
}
i64 require_positive(const Json& object, const std::string& key, const std::string& where) {
  return to_positive(require_member(object, key, where), key, where);
}
double require_double(const Json& object, const std::string& key, const std::string& where) {
  return to_double(require_member(object, key, where), key, where);
}
const std::string& require_string(const Json& object, const std::string& key, const std::string& where) {
  return to_string(require_member(object, key, where), key, where);
}
const Json& require_array(const Json& object, const std::string& key, const std::string& where) {
  return to_array(require_member(object, key, where), key, where);
}
const Json& require_object(const Json& object, const std::string& key, const std::string& where) {
  return to_object(require_member(object, key, where), key, where);
}

std::optional<bool> optional_bool(const Json& object, const std::string& key, const std::string& where) {
  return optional_of(object, key, where, to_bool);
}
std::optional<i64> optional_i64(const Json& object, const std::string& key, const std::string& where) {
  return optional_of(object, key, where, to_i64);
}
std::optional<u64> optional_u64(const Json& object, const std::string& key, const std::string& where) {
  return optional_of(object, key, where, to_u64);
}
std::optional<i64> optional_positive(const Json& object, const std::string& key, const std::string& where) {
  return optional_of(object, key, where, to_positive);
}
std::optional<double> optional_double(const Json& object, const std::string& key, const std::string& where) {
  return optional_of(object, key, where, to_double);
}
std::optional<std::string> optional_string(const Json& object, const std::string& key,
                                           const std::string& where) {
  return optional_of(object, key, where, to_string);
}
const Json* optional_array(const Json& object, const std::string& key, const std::string& where) {
  const Json* found = member(object, key, where);
  return found ? &to_array(*found, key, where) : nullptr;
}
const Json* optional_object(const Json& object, const std::string& key, const std::string& where) {
  const Json* found = member(object, key, where);
  return found ? &to_object(*found, key, where) : nullptr;
}

JsonLines::JsonLines(const std::string& path) : file_(path) {}

std::optional<JsonLine> JsonLines::next() {
  for (;;) {
    JsonLine line{number_ + 1, {}};
    bool ended = false, too_long = false;
    while (!ended) {
      if (at_ == buffer_.size()) {
        if (at_end_) break;
        buffer_.resize(static_cast<std::size_t>(kChunk));
        buffer_.resize(static_cast<std::size_t>(file_.read(buffer_.data(), kChunk)));
        at_ = 0;
        at_end_ = static_cast<i64>(buffer_.size()) < kChunk;
        continue;
      }
      const auto newline = buffer_.find('\n', at_);
      ended = newline != std::string::npos;
      const std::size_t stop = ended ? newline : buffer_.size();
      too_long = too_long || static_cast<i64>(line.text.size() + (stop - at_)) > kMaxJsonLine;
      if (!too_long) line.text.append(buffer_, at_, stop - at_);
      at_ = stop + (ended ? 1 : 0);
    }
    if (!ended && line.text.empty() && !too_long) return std::nullopt;
    ++number_;
    require(!too_long, ExitCode::bad_data, "{}: longer than {} bytes", where(line), kMaxJsonLine);
    if (line.number == 1 && line.text.starts_with("\xEF\xBB\xBF")) line.text.erase(0, 3);
    if (!line.text.empty() && line.text.back() == '\r') line.text.pop_back();
    if (!is_blank(line.text)) return line;
  }
}

Json JsonLines::parse(const JsonLine& line) const {
  return parse_json(line.text, file_.path(), {.max_bytes = kMaxJsonLine, .first_line = line.number});
}

std::string JsonLines::where(const JsonLine& line) const {
  return fmt::format("{}:{}", file_.path(), line.number);
}

JsonPlaces index_json_lines(const InputFile& file) {
  JsonPlaces places;
  StreamHash hash;
  std::string buffer(static_cast<std::size_t>(kChunk), '\0');
  JsonPlace line{.offset = 0, .bytes = 0, .line = 1};
  bool blank = true;
  const auto end_line = [&](i64 end) {
    line.bytes = end - line.offset;
    if (!blank) places.values.push_back(line);
    line = {.offset = end + 1, .bytes = 0, .line = line.line + 1};
    blank = true;
  };
  i64 offset = 0;
  for (;;) {
    const i64 got = file.read_at(buffer.data(), kChunk, offset);
    std::string_view rest(buffer.data(), static_cast<std::size_t>(got));
    hash.add(rest);
    if (offset == 0 && rest.starts_with("\xEF\xBB\xBF")) {
      rest.remove_prefix(3);
      line.offset = 3;
    }
    while (!rest.empty()) {
      const auto newline = rest.find('\n');
      blank = blank && is_blank(rest.substr(0, newline));
      if (newline == std::string_view::npos) break;
      end_line(offset + (rest.data() - buffer.data()) + static_cast<i64>(newline));
      rest.remove_prefix(newline + 1);
    }
    offset += got;
    if (got < kChunk) break;
  }
  if (offset > line.offset) end_line(offset);
  places.fingerprint = hash.digest();
  return places;
}

}  // namespace longsight

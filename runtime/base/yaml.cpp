#include "runtime/base/yaml.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <sstream>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "runtime/base/input_file.h"
#include "runtime/base/suggest.h"
#include "runtime/base/utf8.h"

namespace longsight {
namespace {

using Kind = FieldNode::Kind;

constexpr i64 kMaxBytes = i64{1} << 20;
constexpr std::size_t kMaxYamlDepth = 64;
constexpr std::size_t kMaxValues = std::size_t{1}
                                   << 17;  // each takes a hundred bytes and more, for two of the file

// yaml-cpp keeps up to 330 bytes for each of them, nested or not, before the first is told to anyone.
constexpr std::ptrdiff_t kMaxBrackets = std::ptrdiff_t{1} << 16;

// Shown in an error message: not more of a value than fits on a line.
std::string shortened(const std::string& text) {
  return text.size() <= 80 ? text : text.substr(0, 77) + "...";
}

std::string shown(const FieldNode& node) {
  switch (node.kind) {
    case Kind::none:
      return "nothing";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a mapping";
    default:
      return fmt::format("\"{}\"", shortened(node.scalar));
  }
}

// Builds the tree from yaml-cpp's events rather than from its nodes: these keep the first of two equal keys
// in silence, share nodes between aliases, and have no place for a key.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& name, int source) : name_(name), source_(source) {}

  FieldNode take() { return std::move(root_); }

  [[noreturn]] void fail_at(const YAML::Mark& mark, const std::string& message) const {
    if (source_ > 0) fail(ExitCode::usage, "{} ({})", message, name_);
    fail(ExitCode::usage, "{} ({}:{}:{})", message, name_, mark.line + 1, mark.column + 1);
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    if (wants_key()) fail_at(mark, "a key without a name");
    place({.place = at(mark)});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    fail_at(mark, "aliases (*name) are not allowed");
  }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    fail_at(mark, "anchors (&name) are not allowed");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    refuse_tag(mark, tag);
    if (wants_key()) {
      open_.back().key = value;
      open_.back().key_place = at(mark);
      open_.back().has_key = true;
    } else {
      place({.kind = tag == "!" ? Kind::text : Kind::word, .scalar = value, .place = at(mark)});
    }
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, Kind::map);
  }
  void OnMapEnd() override {
    refuse_duplicates(open_.back().node);
    close();
  }

 private:
  struct Open {
    FieldNode node;
    std::string key{};  // of the value to come
    Place key_place{};
    bool has_key = false;
  };

  Place at(const YAML::Mark& mark) const { return {source_, mark.line + 1, mark.column + 1}; }
  bool wants_key() const {
    return !open_.empty() && open_.back().node.kind == Kind::map && !open_.back().has_key;
  }

  // yaml-cpp gives "?" to what has no tag, "!" to what is quoted.
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (tag != "?" && tag != "!" && !tag.empty()) fail_at(mark, "tags (!name) are not allowed");
  }

  void open(const YAML::Mark& mark, const std::string& tag, Kind kind) {
    refuse_tag(mark, tag);
    if (wants_key()) fail_at(mark, "a list or mapping where a key is expected; is a bracket not closed?");
    if (open_.size() == kMaxYamlDepth) fail_at(mark, fmt::format("nested deeper than {}", kMaxYamlDepth));
    open_.push_back({.node = {.kind = kind, .place = at(mark)}});
  }

  void close() {
    FieldNode node = std::move(open_.back().node);
    open_.pop_back();
    place(std::move(node));
  }

  void place(FieldNode node) {
    if (++values_ > kMaxValues) fail_at(mark_of(node.place), fmt::format("more than {} values", kMaxValues));
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (Open& top = open_.back(); top.node.kind == Kind::map) {
      top.node.add(std::move(top.key), std::move(node), top.key_place);
      top.has_key = false;
    } else {
      top.node.items.push_back(std::move(node));
    }
  }

  void refuse_duplicates(const FieldNode& map) const {
    std::vector<std::size_t> order(map.keys.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return map.keys[a] < map.keys[b]; });
    for (std::size_t i = 1; i < order.size(); ++i) {
      const std::size_t first = order[i - 1], second = order[i];
      if (map.keys[first] != map.keys[second]) continue;
      const Place there = map.key_places[second];
      fail_at(mark_of(there), fmt::format("duplicate key \"{}\", first given in line {}",
                                          shortened(map.keys[second]), map.key_places[first].line));
    }
  }

  static YAML::Mark mark_of(Place place) {
    YAML::Mark mark;
    mark.line = place.line - 1;
    mark.column = place.column - 1;
    return mark;
  }

  const std::string& name_;
  int source_;
  FieldNode root_;
  std::vector<Open> open_;
  std::size_t values_ = 0;
};

// What is given on the command line is YAML where it is nothing, or begins as a list, a mapping or a quoted
// text. Anything else is taken letter by letter: a path may hold ": ", " #", a line break or "*".
bool is_literal(std::string_view text) {
  if (text.empty() || std::string_view("[{\"'").find(text.front()) != std::string_view::npos) return false;
  return text != "~" && text != "null" && text != "Null" && text != "NULL";
}

FieldNode parse(std::string_view text, const std::string& name, int source, bool literal = false) {
  const std::string where = source > 0 ? fmt::format(" ({})", name) : "";
  const std::string subject = source > 0 ? "the value" : name;
  require(static_cast<i64>(text.size()) <= kMaxBytes, ExitCode::usage, "{} is larger than {} bytes{}",
          subject, kMaxBytes, where);
  // yaml-cpp would replace what is invalid, and guess other encodings.
  const i64 invalid = first_invalid_utf8(text);
  require(invalid < 0, ExitCode::usage, "{}: invalid UTF-8 at byte {}{}", subject, invalid, where);
  const auto nul = text.find('\0');
  require(nul == std::string_view::npos, ExitCode::usage, "{}: a NUL byte at {}{}", subject, nul, where);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const auto brackets = std::count_if(text.begin(), text.end(), [](char c) {
    return std::string_view("[]{},").find(c) != std::string_view::npos;
  });
  require(brackets <= kMaxBrackets, ExitCode::usage,
          "{} has more than {} brackets and commas: write long lists with a line and a dash for each{}",
          subject, kMaxBrackets, where);
  if (literal) return {.kind = Kind::word, .scalar = std::string(text), .place = {source, 1, 1}};

  TreeBuilder builder(name, source);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    FieldNode root = builder.take();
    TreeBuilder rest(name, source);
    require(!parser.HandleNextDocument(rest), ExitCode::usage, "{}: more than one document{}", subject,
            where);
    return root;
  } catch (const YAML::Exception& error) {
    builder.fail_at(error.mark, "not valid YAML: " + error.msg);
  }
}

std::vector<std::string> split(std::string_view key) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0;;) {
    const auto dot = key.find('.', begin);
    parts.emplace_back(key.substr(begin, dot == std::string_view::npos ? dot : dot - begin));
    if (dot == std::string_view::npos) return parts;
    begin = dot + 1;
  }
}

bool read_index(const std::string& part, std::size_t& index) {
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  return error == std::errc{} && end == part.data() + part.size() && (part == "0" || part[0] != '0');
}

Place place_in(const FieldNode& root, std::string_view key) {
  const FieldNode* node = &root;
  Place place = root.place;
  if (key.empty()) return place;
  for (const std::string& part : split(key)) {
    std::size_t index = 0;
    if (node->kind == Kind::map) {
      const auto found = std::find(node->keys.begin(), node->keys.end(), part);
      if (found == node->keys.end()) break;
      index = static_cast<std::size_t>(found - node->keys.begin());
    } else if (node->kind != Kind::list || !read_index(part, index) || index >= node->items.size()) {
      break;
    }
    node = &node->items[index];
    place = node->place;
  }
  return place;
}

}  // namespace

YamlDocument YamlDocument::read_file(const std::string& path) {
  return read_text(read_whole_file(path, kMaxBytes, ExitCode::usage), path);
}

YamlDocument YamlDocument::read_text(std::string_view text, std::string name) {
  YamlDocument document;
  document.root_ = parse(text, name, 0);
  document.sources_.push_back(std::move(name));
  return document;
}

void YamlDocument::apply_override(std::string_view assignment) {
  const std::string source = fmt::format("command line: {}", shortened(std::string(assignment)));
  const auto equals = assignment.find('=');
  require(equals != std::string_view::npos && equals > 0, ExitCode::usage,
          "an override is key.path=value ({})", source);
  const std::vector<std::string> parts = split(assignment.substr(0, equals));
  const int number = static_cast<int>(sources_.size());
  const std::string_view text = assignment.substr(equals + 1);
  FieldNode value = parse(text, source, number, is_literal(text));

  FieldNode* node = &root_;
  const Place place{number, 1, 1};
  std::string so_far;
  for (const std::string& part : parts) {
    require(!part.empty(), ExitCode::usage, "an empty name in the key ({})", source);
    std::size_t index = 0;
    const bool is_index = read_index(part, index);
    if (node->kind == Kind::none) *node = {.kind = part == "0" ? Kind::list : Kind::map, .place = place};
    if (node->kind == Kind::list) {
      require(is_index && index <= node->items.size(), ExitCode::usage,
              "{} is a list of {} elements, \"{}\" is none of them ({})", so_far, node->items.size(), part,
              source);
      if (index == node->items.size()) node->items.push_back({.place = place});
      node = &node->items[index];
    } else {
      require(node->kind == Kind::map, ExitCode::usage, "{} is {} and has no \"{}\" ({})", so_far,
              shown(*node), part, source);
      FieldNode* found = node->find(part);
      node = found ? found : &node->add(part, {.place = place}, place);
    }
    so_far += (so_far.empty() ? "" : ".") + part;
  }
  *node = std::move(value);
  if (node->place.line == 0) node->place = {.source = number};  // of nothing
  sources_.push_back(source);
}

std::string YamlDocument::text_of(Place place) const {
  const std::string& name = sources_[static_cast<std::size_t>(place.source)];
  return place.source > 0 || place.line == 0 ? name : fmt::format("{}:{}:{}", name, place.line, place.column);
}

std::string YamlDocument::place_of(std::string_view key) const {
  return text_of(place_in(root_, key));
}

void YamlDocument::fail_with(std::string_view key, const std::string& message) const {
  fail(ExitCode::usage, "{}: {} ({})", key, message, place_of(key));
}

void YamlDocument::require_one_of(std::string_view key, const std::string& value,
                                  const std::vector<std::string>& choices) const {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  fail_with(key, fmt::format("unknown value \"{}\"{}", shortened(value), did_you_mean(value, choices)));
}

namespace detail {

void FieldReader::fail_here(const std::string& message) const {
  const std::string where = document_.text_of(node_.place);
  if (key_.empty()) fail(ExitCode::usage, "{} ({})", message, where);
  fail(ExitCode::usage, "{}: {} ({})", key_, message, where);
}

void FieldReader::fail_expected(std::string_view what) const {
  fail_here(fmt::format("expected {}{}, got {}", what, or_auto_ ? " or auto" : "", shown(node_)));
}

bool FieldReader::boolean() const {
  const bool is_true = node_.scalar == "true";
  if (node_.kind != Kind::word || (!is_true && node_.scalar != "false")) fail_expected("true or false");
  return is_true;
}

namespace {

// [+-] digits, without leading zeros: whether 017 is 15 or 17 depends on whom one asks.
bool is_decimal(std::string_view text) {
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         (text.size() == 1 || text[0] != '0');
}

template <class T>
bool parse_integer(std::string_view text, T& value) {
  if (text[0] == '+') text.remove_prefix(1);
  return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{};
}

}  // namespace

i64 FieldReader::integer(i64 least, i64 most) const {
  if (node_.kind != Kind::word || !is_decimal(node_.scalar)) fail_expected("an integer");
  i64 value = 0;
  if (!parse_integer(node_.scalar, value) || value < least || value > most) {
    fail_here(fmt::format("{} is not between {} and {}", shortened(node_.scalar), least, most));
  }
  return value;
}

u64 FieldReader::unsigned_integer(u64 most) const {
  if (node_.kind != Kind::word || !is_decimal(node_.scalar)) fail_expected("an integer from 0 up");
  u64 value = 0;
  if (!parse_integer(node_.scalar, value) || value > most) {
    fail_here(fmt::format("{} is not between 0 and {}", shortened(node_.scalar), most));
  }
  return value;
}

double FieldReader::number() const {
  std::string_view text = node_.scalar;
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  // from_chars would also read "inf" and "nan"; 017 is refused as in integers.
  std::string_view digits = text;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  const bool starts = digits.find_first_of("0123456789") <= 1 &&
                      digits.find_first_not_of("0123456789+-.eE") == digits.npos &&
                      !(digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9');
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (node_.kind == Kind::word && starts && error == std::errc::result_out_of_range) {
    fail_here(fmt::format("{} is beyond the range of a number", shortened(node_.scalar)));
  }
  if (node_.kind != Kind::word || !starts || error != std::errc{} || end != text.data() + text.size()) {
    fail_expected("a finite number");
  }
  return value;
}

std::string FieldReader::text() const {
  if (!node_.is_scalar()) fail_expected("a text");
  return node_.scalar;
}

void FieldReader::expect_list() const {
  if (node_.kind != Kind::list) fail_expected("a list");
}

void FieldReader::expect_map() const {
  if (node_.kind != Kind::map) fail_expected("a mapping");
}

void FieldReader::refuse_unknown(const std::vector<std::string>& names) const {
  for (std::size_t i = 0; i < node_.keys.size(); ++i) {
    const std::string& key = node_.keys[i];
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    fail(ExitCode::usage, "unknown key \"{}\"{} ({}){}", shortened(key), key_.empty() ? "" : " in " + key_,
         document_.text_of(node_.key_places[i]), did_you_mean(key, names));
  }
}

}  // namespace detail
}  // namespace longsight

// Strict JSON: nlohmann's parser behind a handler of our own. Every error is one line with file:line, exit
// code bad_data (missing_input for a file that is not there).
//
// Refused: duplicate keys (nlohmann keeps the last), nesting beyond 64, invalid UTF-8, integers beyond 64
// bits (nlohmann turns them into floating point), numbers that are not finite, comments, anything behind the
// value. A BOM and CRLF are fine.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/input_file.h"

namespace longsight {

using Json = nlohmann::json;

// One line, or indented. Always valid JSON: bytes that are no UTF-8 (of paths, which may hold any) become
// U+FFFD, and a number that is not finite null.
template <class J>
std::string json_text(const J& json, int indent = -1) {
  return json.dump(indent, ' ', false, J::error_handler_t::replace);
}

struct JsonRules {
  i64 max_bytes = i64{256} << 20;
  // Integers beyond 64 bits become floating point, which the integer accessors refuse. Hugging Face
  // tokenizer_config.json files say `"model_max_length": 1000000000000000019884624838656` where there is no
  // limit.
  bool big_integers = false;
  // Of a text that is a part of a file: where it begins, so that errors say PATH:LINE:COLUMN of the file.
  i64 first_line = 0;  // 0: the text is the whole file
  i64 first_column = 1;
};

// `name` stands for the text in errors.
Json parse_json(std::string_view text, const std::string& name, JsonRules rules = {});
Json read_json_file(const std::string& path, JsonRules rules = {});

// The member `key` of an object, of the type wanted. `where` begins the error: "config.json",
// "train.jsonl:12". Nothing is converted: 1.5 and 1.0 are no integers, -1 is not unsigned, 1 is no bool. A
// double may be written as an integer.
const Json& require_member(const Json& object, const std::string& key, const std::string& where);
bool require_bool(const Json& object, const std::string& key, const std::string& where);
i64 require_i64(const Json& object, const std::string& key, const std::string& where);
u64 require_u64(const Json& object, const std::string& key, const std::string& where);
i64 require_positive(const Json& object, const std::string& key, const std::string& where);  // at least 1
double require_double(const Json& object, const std::string& key, const std::string& where);
const std::string& require_string(const Json& object, const std::string& key, const std::string& where);
const Json& require_array(const Json& object, const std::string& key, const std::string& where);
const Json& require_object(const Json& object, const std::string& key, const std::string& where);

// The same, but absent or null is nothing.
std::optional<bool> optional_bool(const Json& object, const std::string& key, const std::string& where);
std::optional<i64> optional_i64(const Json& object, const std::string& key, const std::string& where);
std::optional<u64> optional_u64(const Json& object, const std::string& key, const std::string& where);
std::optional<i64> optional_positive(const Json& object, const std::string& key, const std::string& where);
std::optional<double> optional_double(const Json& object, const std::string& key, const std::string& where);
std::optional<std::string> optional_string(const Json& object, const std::string& key,
                                           const std::string& where);
const Json* optional_array(const Json& object, const std::string& key,
                           const std::string& where);  // null: nothing
const Json* optional_object(const Json& object, const std::string& key,
                            const std::string& where);  // null: nothing

inline constexpr i64 kMaxJsonLine = i64{16} << 20;

// A line of a JSONL file, without its end.
struct JsonLine {
  i64 number = 0;  // counts from 1
  std::string text;
};

// Reads a JSONL file line by line, in bounded memory. Blank lines are passed over, but counted.
class JsonLines {
 public:
  explicit JsonLines(const std::string& path);

  // The next line, nothing at the end. A line longer than 16 MiB throws, and the next call goes on behind it.
  std::optional<JsonLine> next();
  Json parse(const JsonLine& line) const;         // errors say PATH:LINE:COLUMN
  std::string where(const JsonLine& line) const;  // "PATH:LINE"

 private:
  InputFile file_;
  std::string buffer_;
  std::size_t at_ = 0;
  bool at_end_ = false;
  i64 number_ = 0;
};

// Where a value stands in a file.
struct JsonPlace {
  i64 offset = 0;
  i64 bytes = 0;
  i64 line = 0;  // on which it begins, from 1
};

struct JsonPlaces {
  std::vector<JsonPlace> values;
  u64 fingerprint = 0;  // XXH3 of the file
};

// The lines that are not blank; one pass in bounded memory. Nothing is parsed.
JsonPlaces index_json_lines(const InputFile& file);

}  // namespace longsight

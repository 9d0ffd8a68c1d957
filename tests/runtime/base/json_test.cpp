#include "runtime/base/json.h"

#include <doctest/doctest.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;

namespace {

std::string json_refusal(std::string_view text, JsonRules rules = {}) {
  const Failure failure = failure_of([&] { parse_json(text, "f.json", rules); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(failure.message.size() < 500);
  return failure.message;
}

std::string text_at(const InputFile& file, const JsonPlace& place) {
  std::string text(static_cast<std::size_t>(place.bytes), '\0');
  file.read_exactly_at(text.data(), place.bytes, place.offset);
  return text;
}

}  // namespace

TEST_CASE("valid JSON is read as it stands") {
  const Json value = parse_json(
      "\xEF\xBB\xBF{\"a\": [1, -2, 2.5, true, null, \"x\\u00e9\\ud83d\\ude00\"],\r\n \"b\": {\"c\": {}, "
      "\"d\": []}}\r\n",
      "f.json");
  CHECK(value == Json::parse("{\"a\": [1, -2, 2.5, true, null, \"xé😀\"], \"b\": {\"c\": {}, \"d\": []}}"));
  CHECK(parse_json("[[1],[2,[3]],{\"a\":[4]}]", "f") == Json::parse("[[1],[2,[3]],{\"a\":[4]}]"));
  CHECK(parse_json("18446744073709551615", "f").get<u64>() == ~u64{0});
  CHECK(parse_json("-9223372036854775808", "f").get<i64>() == std::numeric_limits<i64>::min());
  CHECK(parse_json(" 3 ", "f") == 3);
  CHECK(parse_json("\"\"", "f") == "");
}

TEST_CASE("duplicate keys are refused with their place") {
  CHECK(json_refusal("{\"a\": 1,\n \"b\": 2,\n \"a\": 3}") == "f.json:3:4: duplicate key \"a\"");
  CHECK(contains(json_refusal("[{\"x\": {\"a\": 1, \"\\u0061\": 2}}]"), "duplicate key \"a\""));
  CHECK(parse_json("[{\"a\": 1}, {\"a\": {\"a\": 2}}]", "f")[1]["a"]["a"] == 2);
}

TEST_CASE("nesting is bounded") {
  CHECK(parse_json(std::string(64, '[') + std::string(64, ']'), "f").size() == 1);
  CHECK(json_refusal(std::string(65, '[') + std::string(65, ']')) == "f.json:1:65: nested deeper than 64");
  CHECK(contains(json_refusal(std::string(5'000'000, '[')), "nested deeper than 64"));
  std::string objects;
  for (int i = 0; i < 65; ++i) objects += "{\"a\":";
  CHECK(contains(json_refusal(objects), "nested deeper than 64"));
}

TEST_CASE("integers beyond 64 bits and numbers that are not finite are refused") {
  CHECK(json_refusal("[18446744073709551616]") ==
        "f.json:1:22: the integer 18446744073709551616 does not fit in 64 bits");
  CHECK(contains(json_refusal("[-9223372036854775809]"), "does not fit in 64 bits"));
  CHECK(contains(json_refusal("[" + std::string(300, '9') + "]"), "does not fit in 64 bits"));
  CHECK(contains(json_refusal("[1e999]"), "number overflow"));
  for (const char* text : {"NaN", "Infinity", "-Infinity", "[nan]", "+1", "01", ".5", "1.", "0x1"}) {
    CAPTURE(text);
    CHECK(contains(json_refusal(text), "not valid JSON"));
  }
}

TEST_CASE("integers beyond 64 bits can be allowed, but are no integers") {
  const Json value =
      parse_json("{\"model_max_length\": 1000000000000000019884624838656}", "f", {.big_integers = true});
  CHECK(require_double(value, "model_max_length", "f") == 1e30);
  CHECK(failure_of([&] { require_i64(value, "model_max_length", "f"); }).code == ExitCode::bad_data);
}

TEST_CASE("invalid UTF-8 is refused with its offset, also outside of strings and in keys") {
  CHECK(json_refusal("{\"a\": \"\xFF\"}") == "f.json: invalid UTF-8 at byte 7");
  CHECK(json_refusal("{\"\xC0\x80\": 1}") == "f.json: invalid UTF-8 at byte 2");
  CHECK(json_refusal("\xED\xA0\x80") == "f.json: invalid UTF-8 at byte 0");
  CHECK(contains(json_refusal("[\"\\ud800\"]"), "not valid JSON"));
  CHECK(contains(json_refusal("[\"\\udc00\\ud800\"]"), "not valid JSON"));
}

TEST_CASE("what is not JSON is refused with line and column") {
  CHECK(json_refusal("{\"a\": 1,\n  \"b\" 2}")
            .starts_with("f.json:2:8: not valid JSON: syntax error while parsing object separator"));
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":1,}", "{a:1}", "[1] x", "[1][2]", "'a'", "// c\n1",
                           "/* c */ 1", "\"a\nb\"", "nul", "\"a"}) {
    CAPTURE(text);
    CHECK(contains(json_refusal(text), "not valid JSON: "));
  }
  CHECK(json_refusal(std::string_view("[1]\0[2]", 7)) == "f.json: a NUL byte at 3");  // for nlohmann the end
  CHECK(contains(json_refusal("\"" + std::string(1'000'000, 'x')), "..."));  // the message stays short
}

TEST_CASE("files are bounded in size, and a missing one is missing input") {
  ScratchFolder folder;
  const std::string path = folder.write("x.json", "{\"a\": [1, 2, 3]}");
  CHECK(read_json_file(path)["a"][2] == 3);
  CHECK(read_json_file(path, {.max_bytes = 16})["a"][0] == 1);
  CHECK(failure_of([&] { read_json_file(path, {.max_bytes = 15}); }) ==
        Failure{ExitCode::bad_data, path + " is larger than 15 bytes"});
  CHECK(failure_of([&] { read_json_file(folder / "no.json"); }).code == ExitCode::missing_input);
  CHECK(failure_of([&] { read_json_file(folder.path()); }).code == ExitCode::missing_input);
  CHECK(failure_of([&] { read_json_file(std::string("x\0y", 3)); }).code == ExitCode::missing_input);
  CHECK(contains(failure_of([&] { read_json_file(folder.write("bad.json", "{\n1}")); }).message,
                 "/bad.json:2:2: not valid JSON"));
}

TEST_CASE("members are read as what they are, never converted") {
  const Json object = parse_json(
      R"({"int": 3, "zero": 0, "negative": -1, "half": 1.5, "one": 1.0, "huge": 9223372036854775808, "true": true, "text": "t",
          "list": [1], "object": {"a": 1}, "null": null})",
      "f");
  CHECK(require_i64(object, "int", "f") == 3);
  CHECK(require_i64(object, "negative", "f") == -1);
  CHECK(require_u64(object, "int", "f") == 3);
  CHECK(require_u64(object, "huge", "f") == u64{1} << 63);
  CHECK(require_positive(object, "int", "f") == 3);
  CHECK(require_double(object, "half", "f") == 1.5);
  CHECK(require_double(object, "negative", "f") == -1);
  CHECK(require_bool(object, "true", "f"));
  CHECK(require_string(object, "text", "f") == "t");
  CHECK(require_array(object, "list", "f").size() == 1);
  CHECK(require_object(object, "object", "f")["a"] == 1);

  const auto refused = [&](auto read, const std::string& key, const std::string& message) {
    CAPTURE(key);
    CHECK(failure_of([&] { read(object, key, "f.json:7"); }) ==
          Failure{ExitCode::bad_data, "f.json:7: \"" + key + "\": " + message});
  };
  refused(require_i64, "half", "expected an integer, got 1.5");
  refused(require_i64, "one", "expected an integer, got 1.0");
  refused(require_i64, "huge", "expected an integer below 2^63, got 9223372036854775808");
  refused(require_i64, "true", "expected an integer, got true");
  refused(require_i64, "text", "expected an integer, got \"t\"");
  refused(require_i64, "null", "expected an integer, got null");
  refused(require_u64, "negative", "expected an integer from 0 up, got -1");
  refused(require_u64, "half", "expected an integer from 0 up, got 1.5");
  refused(require_positive, "zero", "expected an integer from 1 up, got 0");
  refused(require_positive, "negative", "expected an integer from 1 up, got -1");
  refused(require_double, "text", "expected a number, got \"t\"");
  refused(require_bool, "int", "expected true or false, got 3");
  refused(require_string, "int", "expected a string, got 3");
  refused(require_array, "object", "expected a list, got an object");
  refused(require_object, "list", "expected an object, got a list");
  refused(optional_i64, "half", "expected an integer, got 1.5");
  refused(optional_u64, "negative", "expected an integer from 0 up, got -1");
  refused(optional_bool, "zero", "expected true or false, got 0");
  refused(optional_string, "list", "expected a string, got a list");
  refused(optional_array, "text", "expected a list, got \"t\"");

  CHECK(failure_of([&] { require_i64(object, "inr", "f.json"); }) ==
        Failure{ExitCode::bad_data, "f.json: no \"inr\", but \"int\""});
  CHECK(failure_of([&] { require_i64(object, "missing", "f.json"); }) ==
        Failure{ExitCode::bad_data, "f.json: no \"missing\""});
  CHECK(failure_of([&] { require_i64(object["list"], "a", "f.json"); }) ==
        Failure{ExitCode::bad_data, "f.json: expected an object, got a list"});
  CHECK(failure_of([&] { optional_i64(Json(3), "a", "f.json"); }) ==
        Failure{ExitCode::bad_data, "f.json: expected an object, got 3"});

  CHECK(optional_i64(object, "int", "f") == 3);
  CHECK(!optional_i64(object, "null", "f").has_value());
  CHECK(!optional_i64(object, "absent", "f").has_value());
  CHECK(optional_u64(object, "int", "f") == u64{3});
  CHECK(optional_positive(object, "int", "f") == 3);
  CHECK(optional_double(object, "half", "f") == 1.5);
  CHECK(optional_bool(object, "true", "f") == true);
  CHECK(optional_string(object, "text", "f") == "t");
  CHECK(optional_array(object, "null", "f") == nullptr);
  CHECK(optional_array(object, "list", "f")->size() == 1);
  CHECK(optional_object(object, "object", "f")->size() == 1);
  CHECK(require_u64(Json{{"a", 5}}, "a", "f") == 5);  // signed, as a program writes it
}

TEST_CASE("a JSONL file is read line by line, with line numbers") {
  ScratchFolder folder;
  const std::string path =
      folder.write("x.jsonl", "\xEF\xBB\xBF{\"a\": 1}\r\n\n  \r\n{\"a\": 2}\n{\"a\": }\n{\"a\": 4}");
  JsonLines lines(path);
  std::vector<i64> numbers;
  std::vector<Json> values;
  while (const auto line = lines.next()) {
    numbers.push_back(line->number);
    CHECK(lines.where(*line) == fmt::format("{}:{}", path, line->number));
    if (line->number == 5) {
      const Failure failure = failure_of([&] { lines.parse(*line); });
      CHECK(failure.code == ExitCode::bad_data);
      CHECK(failure.message.starts_with(path + ":5:7: not valid JSON"));
    } else {
      values.push_back(lines.parse(*line)["a"]);
    }
  }
  CHECK(numbers == std::vector<i64>{1, 4, 5, 6});
  CHECK(values == std::vector<Json>{1, 2, 4});
  CHECK(!lines.next().has_value());

  const InputFile file(path);
  const std::vector<JsonPlace> places = index_json_lines(file).values;
  REQUIRE(places.size() == 4);
  for (std::size_t i = 0; i < places.size(); ++i) CHECK(places[i].line == numbers[i]);
  CHECK(text_at(file, places[1]) == "{\"a\": 2}");
}

TEST_CASE("an empty JSONL file has no lines, and a missing one is missing input") {
  ScratchFolder folder;
  for (const char* text : {"", "\n", " \r\n\n", "\xEF\xBB\xBF"}) {
    const std::string path = folder.write("e.jsonl", text);
    CAPTURE(text);
    CHECK(!JsonLines(path).next().has_value());
    CHECK(index_json_lines(InputFile(path)).values.empty());
  }
  CHECK(failure_of([&] { JsonLines(folder / "no.jsonl"); }).code == ExitCode::missing_input);
}

TEST_CASE("a JSONL line longer than 16 MiB is refused, and reading goes on behind it") {
  ScratchFolder folder;
  const std::string longest = "\"" + std::string(static_cast<std::size_t>(kMaxJsonLine) - 2, 'x') + "\"";
  const std::string path = folder.write("l.jsonl", "1\n" + longest + "\n" + longest + " \n4\n");
  JsonLines lines(path);
  CHECK(lines.parse(*lines.next()) == 1);
  CHECK(lines.next()->text.size() == static_cast<std::size_t>(kMaxJsonLine));
  CHECK(failure_of([&] { lines.next(); }) ==
        Failure{ExitCode::bad_data, path + ":3: longer than 16777216 bytes"});
  const auto last = lines.next();
  REQUIRE(last.has_value());
  CHECK(last->number == 4);
  CHECK(lines.parse(*last) == 4);
}

TEST_CASE("lines across the borders of the read buffer are whole") {
  ScratchFolder folder;
  std::string text;
  std::vector<i64> expected;
  for (i64 i = 0; static_cast<i64>(text.size()) < (i64{5} << 19); ++i) {  // 2.5 buffers of 1 MiB
    const i64 width = 1 + i * 7919 % 100000;
    text += fmt::format("[{}, \"{}\"]\n", i, std::string(static_cast<std::size_t>(width), 'y'));
    expected.push_back(width);
  }
  const std::string path = folder.write("b.jsonl", text);
  JsonLines lines(path);
  const InputFile file(path);
  const std::vector<JsonPlace> places = index_json_lines(file).values;
  REQUIRE(places.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto line = lines.next();
    REQUIRE(line.has_value());
    const Json value = lines.parse(*line);
    CHECK(value[0] == i);
    CHECK(value[1].get_ref<const std::string&>().size() == static_cast<std::size_t>(expected[i]));
    CHECK(text_at(file, places[i]) == line->text);
    CHECK(places[i].line == line->number);
  }
  CHECK(!lines.next().has_value());
}

TEST_CASE("the fingerprint of a JSONL file is that of its bytes") {
  ScratchFolder folder;
  const auto fingerprint = [&](const char* name, const char* text) {
    return index_json_lines(InputFile(folder.write(name, text))).fingerprint;
  };
  const u64 first = fingerprint("a.jsonl", "1\n2\n");
  CHECK(fingerprint("b.jsonl", "1\n2\n") == first);
  CHECK(fingerprint("c.jsonl", "1\n3\n") != first);
}

TEST_CASE("what is written is JSON, whatever bytes and numbers it holds") {
  const Json odd{{"path", "a\xFF/\xC3\xA4"}, {"loss", std::numeric_limits<double>::quiet_NaN()}};
  CHECK(json_text(odd) == "{\"loss\":null,\"path\":\"a\uFFFD/\u00e4\"}");
  CHECK(parse_json(json_text(odd, 2), "text")["loss"].is_null());
  CHECK(fmt::format("{}", without_nan_sign(-std::numeric_limits<double>::quiet_NaN())) == "nan");
  CHECK(without_nan_sign(-2.5) == -2.5);
}

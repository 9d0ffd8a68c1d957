#include "runtime/base/json_array.h"

#include <doctest/doctest.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;

namespace {

struct Found {
  std::vector<std::string> elements;
  std::vector<i64> lines;
  u64 fingerprint = 0;
};

Found find(const std::string& path) {
  const InputFile file(path);
  const JsonPlaces places = index_json_array(file);
  Found found{.elements = {}, .lines = {}, .fingerprint = places.fingerprint};
  for (const JsonPlace& p : places.values) {
    std::string text(static_cast<std::size_t>(p.bytes), '\0');
    file.read_exactly_at(text.data(), p.bytes, p.offset);
    found.elements.push_back(text);
    found.lines.push_back(p.line);
  }
  return found;
}

}  // namespace

TEST_CASE("the elements of an array are found with their lines, whatever is in their strings") {
  const ScratchFolder folder;
  const std::string path = folder.write(
      "a.json", "\xEF\xBB\xBF\n [ {\"a\": \"]}\\\"{[\\\\\"} ,\r\n\n{\"b\": [{\n}, {}]}\n, {} ]\n\n");
  const Found found = find(path);
  CHECK(found.elements == std::vector<std::string>{R"({"a": "]}\"{[\\"})", "{\"b\": [{\n}, {}]}", "{}"});
  CHECK(found.lines == std::vector<i64>{2, 4, 6});
  CHECK(find(folder.write("empty.json", " [\n] ")).elements.empty());
}

TEST_CASE("elements across the borders of the read buffer are whole") {
  const ScratchFolder folder;
  std::string text = "[";
  std::vector<std::string> expected;
  for (i64 i = 0; static_cast<i64>(text.size()) < (i64{5} << 19); ++i) {  // 2.5 buffers of 1 MiB
    const auto width = static_cast<std::size_t>(i * 7919 % 100000);
    expected.push_back(fmt::format("{{\"{}\": \"{}\\\\\"}}", i, std::string(width, i % 2 == 0 ? '}' : '"')));
    if (i % 2 == 1) expected.back() = fmt::format("{{\"{}\": [[{}]]}}", i, std::string(width, ' '));
    text += (i > 0 ? ",\n" : "") + expected.back();
  }
  CHECK(find(folder.write("b.json", text + "]")).elements == expected);
}

TEST_CASE("what cannot be taken apart is refused with its line") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& text) {
    const std::string path = folder.write("x.json", text);
    Failure failure = failure_of([&] { find(path); });
    CHECK(failure.code == ExitCode::bad_data);
    CHECK(failure.message.starts_with(path + ":"));
    return failure.message.substr(path.size() + 1);
  };
  CHECK(refused("") == "1: the file ends before the array does");
  CHECK(refused("\n[\n") == "3: the file ends before the array does");
  CHECK(refused("[{}\n,") == "2: the file ends before the array does");
  CHECK(refused("[{}") == "1: the file ends before the array does");
  CHECK(refused("[{},\n {\"a\": \n 1") == "2: element 2 does not end before the end of the file");
  CHECK(refused("[{}, {\"a\": \"]}]") == "1: element 2 does not end before the end of the file");
  CHECK(refused("{}") == "1: expected an array, got \"{\"");
  CHECK(refused("[{},\n5]") == "2: expected an object as element 2, got \"5\"");
  CHECK(refused("[{},]") == "1: expected an object as element 2, got \"]\"");
  CHECK(refused("[,{}]") == "1: expected an object as element 1, got \",\"");
  CHECK(refused("[[]]") == "1: expected an object as element 1, got \"[\"");
  CHECK(refused("[{}\n{}]") == "2: expected \",\" or \"]\" behind element 1, got \"{\"");
  CHECK(refused("[{}]\n\n[]") == "3: expected nothing more behind the array, got \"[\"");
  CHECK(refused(std::string("[{}]\0", 5)) == "1: expected nothing more behind the array, got byte 0x00");
  CHECK(refused("[{}, " + std::string(65, '{')) == "1: element 2 is nested deeper than 64");
  CHECK(refused("[{},\n{\"a\": \"" + std::string(static_cast<std::size_t>(kMaxJsonLine), 'x') + "\"}]") ==
        "2: element 2 is longer than 16777216 bytes");
}

TEST_CASE("an array is told from lines by its first byte, and a column counted from its line") {
  const ScratchFolder folder;
  CHECK(is_json_array(InputFile(folder.write("a", "\xEF\xBB\xBF \r\n\t[1"))));
  CHECK(is_json_array(InputFile(folder.write("b", std::string(10000, '\n') + "["))));
  CHECK(!is_json_array(InputFile(folder.write("c", "{\"a\": []}"))));
  CHECK(!is_json_array(InputFile(folder.write("d", ""))));
  const InputFile file(folder.write("e", "ab\n" + std::string(5000, 'x') + "y"));
  CHECK(column_in_file(file, 0) == 1);
  CHECK(column_in_file(file, 1) == 2);
  CHECK(column_in_file(file, 3) == 1);
  CHECK(column_in_file(file, 5003) == 5001);
}

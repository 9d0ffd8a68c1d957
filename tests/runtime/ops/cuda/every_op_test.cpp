// Every op has an executor for CUDA, or it does not link. It also has a test: here the names of the ops, as
// their dispatch says them, are compared with those that tests of this folder run on the host and in the
// emulator.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

namespace {

// One for each place of the pattern, which may be the same.
std::multiset<std::string> found_in(const std::filesystem::path& folder, const std::string& ending,
                                    const std::string& pattern) {
  std::multiset<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (!path.ends_with(ending)) continue;
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    const std::string source = text.str();
    const std::regex expression(pattern);
    for (std::sregex_iterator at(source.begin(), source.end(), expression), end; at != end; ++at)
      names.insert((*at)[1]);
  }
  return names;
}

}  // namespace

TEST_CASE("every op that is dispatched is run in the emulator by a test") {
  const auto ops = found_in("runtime/ops", ".cpp", R"re(execute\(\s*stream,\s*\{(?:\.op = )?"(\w+)")re");
  const auto tested = found_in("tests/runtime/ops/cuda", "_test.cpp", R"re(same_on_cuda\("(\w+)")re");
  CHECK(ops.size() >= 32);
  // No dispatch is written in a way that hides its name from here.
  CHECK(ops.size() == found_in("runtime/ops", ".cpp", R"re(\b(execute)\()re").size());
  for (const std::string& op : ops) {
    CAPTURE(op);
    CHECK(tested.contains(op));
  }
  for (const std::string& op : tested) {
    CAPTURE(op);
    CHECK(ops.contains(op));
  }
}

// What a person can choose has a word in the README: what stands only in the program is found by nobody.
#include <regex>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "launch/config.h"
#include "model/families/families.h"
#include "parallel/attention/strategies.h"
#include "runtime/base/input_file.h"

using namespace longsight;

namespace {

// From the heading on to the next one of its kind or above.
std::string section(const std::string& heading) {
  const std::string text = read_whole_file("README.md", i64{1} << 20, ExitCode::missing_input);
  const std::size_t begin = text.find("\n" + heading + "\n");
  REQUIRE(begin != std::string::npos);
  const std::size_t body = begin + heading.size() + 2;
  const std::size_t end = text.find(heading.starts_with("###") ? "\n##" : "\n## ", body);
  return text.substr(body, end - body);
}

// The words between backticks.
std::set<std::string> words_of_code(const std::string& text) {
  static const std::regex span("`([^`\n]+)`"), word("\\w+");
  std::set<std::string> words;
  for (std::sregex_iterator code(text.begin(), text.end(), span), end; code != end; ++code) {
    const std::string inside = (*code)[1];
    for (std::sregex_iterator at(inside.begin(), inside.end(), word); at != end; ++at)
      words.insert(at->str());
  }
  return words;
}

template <class T>
void add_keys(std::set<std::string>& keys) {
  using Type = longsight::detail::FieldType<T>;
  if constexpr (longsight::detail::HasFields<T>) {
    T value;
    T::fields(value, [&](const char* name, auto& member) {
      keys.insert(name);
      add_keys<std::remove_reference_t<decltype(member)>>(keys);
    });
  } else if constexpr (Type::vector || Type::optional) {
    add_keys<typename T::value_type>(keys);
  } else if constexpr (Type::or_auto) {
    add_keys<typename decltype(T::value)::value_type>(keys);
  } else if constexpr (Type::map) {
    add_keys<typename T::mapped_type>(keys);
  }
}

}  // namespace

TEST_CASE("the README's table has every key of the configuration, and docs/data.md the tags of sharegpt") {
  const std::set<std::string> told = words_of_code(section("### Configuration"));
  const std::set<std::string> of_data =
      words_of_code(read_whole_file("docs/data.md", i64{1} << 20, ExitCode::missing_input));
  std::set<std::string> keys, tags;
  add_keys<launch::Config>(keys);
  add_keys<data::ConversationTags>(tags);
  CHECK(keys.size() > 100);
  for (const std::string& key : keys)
    CHECK_MESSAGE((told.contains(key) || ((key == "tags" || tags.contains(key)) && of_data.contains(key))),
                  key);
}

TEST_CASE("the README has every attention strategy, with a row of its own and among the values of its key") {
  const std::string table = section("### Attention of shared sequences");
  const std::set<std::string> values = words_of_code(section("### Configuration"));
  for (const parallel::Strategy& strategy : parallel::strategies()) {
    CHECK_MESSAGE(table.find(fmt::format("\n| `{}`", strategy.name)) != std::string::npos, strategy.name);
    CHECK_MESSAGE(values.contains(strategy.name), strategy.name);
  }
}

TEST_CASE("the README's table of models has every model_type that is read") {
  const std::set<std::string> told = words_of_code(section("## Models"));
  for (const model::Family& family : model::families())
    CHECK_MESSAGE(told.contains(family.model_type), family.model_type);
}

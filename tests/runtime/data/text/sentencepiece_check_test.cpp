#include "runtime/data/text/sentencepiece_check.h"

#include <vector>

#include <doctest/doctest.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

std::string field(char number, const std::string& content) {
  REQUIRE(content.size() < 128 * 128);
  const auto size = content.size();
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(size % 128 | 128),
                     static_cast<char>(size / 128)} +
         content;
}

std::string model_bytes(const std::vector<std::uint32_t>& units) {
  return {reinterpret_cast<const char*>(units.data()), units.size() * 4};
}

// A model with a normaliser's table of these units, and a byte or more of texts behind them.
std::string model(const std::vector<std::uint32_t>& units, const std::string& texts) {
  return field(
      3, field(2, model_bytes({static_cast<std::uint32_t>(units.size() * 4)}) + model_bytes(units) + texts));
}

bool is_sound(const std::string& serialised) {
  return failure_of([&] { require_sound_model(serialised, "m"); }).code == ExitCode::done;
}

// A unit of Darts-clone.
std::uint32_t unit(std::uint32_t label, std::uint32_t offset, bool has_value) {
  return label | (has_value ? 1U << 8 : 0) | offset << 10;
}

}  // namespace

TEST_CASE("the normaliser of a real model is sound, and no table is") {
  const std::string real = contents_of("tests/goldens/tokenizer/sentencepiece/tokenizer.model");
  CHECK(is_sound(real));
  CHECK(is_sound(""));
  CHECK(is_sound(field(3, field(2, ""))));
  CHECK_FALSE(is_sound(real.substr(0, real.size() - 1)));
}

TEST_CASE("a piece is no longer than the library's calls of itself may go deep") {
  CHECK(is_sound(field(1, field(1, std::string(4096, 'a')))));
  CHECK_FALSE(is_sound(field(1, field(1, std::string(4097, 'a')))));
}

TEST_CASE("a table may only lead to places within it") {
  const std::string texts("a\0b\0", 4);
  // "a" (0x61) leads from the root's children at 256 to a value at 512.
  std::vector<std::uint32_t> good(768, 0x80000000U);
  good[0] = unit(0, 256, false);
  good[256 ^ 0x61] = unit(0x61, (256 ^ 0x61) ^ 512, true);
  good[512] = 0x80000000U | 2;
  CHECK(is_sound(model(good, texts)));

  std::vector<std::uint32_t> bad = good;
  bad[512] = 0x80000000U | 4;  // behind the texts
  CHECK_FALSE(is_sound(model(bad, texts)));
  bad = good;
  bad[256 ^ 0x61] = unit(0x61, 1 << 20, true);  // far outside
  CHECK_FALSE(is_sound(model(bad, texts)));
  bad[256 ^ 0x61] = unit(0x61, 1 << 20, false);
  CHECK_FALSE(is_sound(model(bad, texts)));
  bad = good;
  bad[0] = unit(0, 1 << 20, false);
  CHECK_FALSE(is_sound(model(bad, texts)));
  bad = good;
  bad.resize(600, 0);  // the last children would lie outside
  CHECK_FALSE(is_sound(model(bad, texts)));
  bad = good;
  bad[256 ^ 0x61] = unit(0x61, 0x61, false);  // in a circle: no search goes on for ever
  CHECK(is_sound(model(bad, texts)));

  CHECK_FALSE(is_sound(model(good, "")));
  CHECK_FALSE(is_sound(model(good, "a")));  // no end
  CHECK_FALSE(is_sound(field(3, field(2, "abc"))));
  CHECK_FALSE(is_sound(field(3, field(2, model_bytes({1U << 31, 0, 0})))));
  CHECK_FALSE(
      is_sound(field(3, field(2, model_bytes({8, 0}) + std::string(3, '\0')))));  // shorter than it says
  CHECK_FALSE(is_sound(field(5, field(2, "abc"))));                               // the way back has one too
}

#include "runtime/base/suggest.h"

#include <vector>

#include <doctest/doctest.h>

using namespace longsight;

TEST_CASE("the edit distance counts insertions, deletions, replacements and swaps") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("optimiser", "optimizer") == 1);
  CHECK(edit_distance("steps", "step") == 1);
  CHECK(edit_distance("trian", "train") == 1);  // a swap
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("ca", "abc") == 3);  // optimal string alignment: no edit inside a swap
}

TEST_CASE("the nearest word is suggested only if it is near") {
  const std::vector<std::string> words{"optimizer", "steps", "seed", "tokens_per_step"};
  CHECK(nearest("optimiser", words) == "optimizer");
  CHECK(nearest("token_per_steps", words) == "tokens_per_step");
  CHECK(nearest("sed", words) == "seed");
  CHECK(nearest("colour", words).empty());
  CHECK(nearest("", words).empty());
  CHECK(nearest("xy", std::vector<std::string>{"lr"}).empty());        // both letters replaced
  CHECK(nearest("aa", std::vector<std::string>{"ab", "ac"}) == "ab");  // the first of equals
}

TEST_CASE("without a near word the valid ones are listed") {
  const std::vector<std::string> words{"lr", "warmup"};
  CHECK(did_you_mean("warm_up", words) == "; did you mean \"warmup\"?");
  CHECK(did_you_mean("schedule", words) == "; valid: \"lr\", \"warmup\"");
  CHECK(did_you_mean("schedule", {}).empty());
}

TEST_CASE("the nearest to a part of a text come first, whatever stands around it") {
  const std::vector<std::string> words{"llava", "qwen2", "qwen2-vl", "mistral", "chatml"};
  CHECK(nearest_in("models/Qwen2-VL-7B-Instruct", words, 2) == std::vector<std::string>{"qwen2-vl", "qwen2"});
  CHECK(nearest_in("Mistral-7B", words, 1) == std::vector<std::string>{"mistral"});
  CHECK(nearest_in("my-lava", words, 1) == std::vector<std::string>{"llava"});
  CHECK(nearest_in("", words, 9).size() == 5);
  CHECK(nearest_in(std::string(1'000'000, 'x') + "/qwen2", words, 1) == std::vector<std::string>{"qwen2"});
}

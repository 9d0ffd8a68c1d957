#include "runtime/base/fields.h"

#include <doctest/doctest.h>

#include "runtime/base/philox.h"
#include "runtime/base/yaml.h"
#include "tests/runtime/base/config_example.h"

using namespace longsight;

TEST_CASE("a configuration prints as YAML, fields in the order listed") {
  ExampleConfig config;
  config.train.optimizer.lr = 1e-5;
  config.train.optimizer.warmup = 50;
  config.rules = {{"vision.0-3", "images", {}}, {"*", "ring", 0.5}};
  config.flags = {true, false};
  config.words = {"plain", "two words", "true", "12", "", "line\nbreak"};
  config.scales = {{"b", 2}, {"a key", 0.1}};
  CHECK(to_yaml(config) == R"(name: run
train:
  steps: 10
  threads: 1
  seed: 1
  shuffle: true
  optimizer:
    lr: 1e-05
    betas: [0.9, 0.95]
    warmup: 50
zero: auto
rules:
  - blocks: vision.0-3
    attention: images
    weight: null
  - blocks: "*"
    attention: ring
    weight: 0.5
flags: [true, false]
words: [plain, "two words", "true", "12", "", "line\nbreak"]
scales:
  "a key": 0.1
  b: 2
)");
}

TEST_CASE("what is printed reads back as the same configuration") {
  const Philox random(11, "fields");
  u64 draws = 0;
  const auto draw = [&](u64 bound) { return random.below(bound, draws++); };
  const std::vector<std::string> pieces{
      "a",      "NO", "-", ": ", "#", "\"", "\\", "\n", "\t", " ", "\x01", "\x7f", "é",    "😀", "\u0085",
      "\u2028", "{",  "]", ",",  "&", "*",  "!",  "%",  "@",  "'", "0",    ".",    "null", "~", "auto"};
  const auto text = [&] {
    std::string t;
    for (u64 i = draw(6); i > 0; --i) t += pieces[draw(pieces.size())];
    return t;
  };
  for (int trial = 0; trial < 300; ++trial) {
    ExampleConfig config;
    config.name = text();
    config.train.steps = static_cast<i64>(random.bits(draws++));
    config.train.threads = static_cast<int>(random.bits(draws++));
    config.train.seed = random.bits(draws++);
    config.train.shuffle = draw(2) == 0;
    config.train.optimizer.lr = random.normal(draws++) * std::pow(10.0, static_cast<double>(draw(600)) - 300);
    config.train.optimizer.betas.assign(draw(3), random.uniform(draws++));
    if (draw(2) == 0) config.train.optimizer.warmup = static_cast<i64>(draw(100));
    if (draw(2) == 0) config.zero = text();
    for (u64 i = draw(3); i > 0; --i) {
      config.rules.push_back(
          {text(), text(), draw(2) == 0 ? std::optional<double>(random.normal(draws++)) : std::nullopt});
    }
    for (u64 i = draw(3); i > 0; --i) config.flags.push_back(draw(2) == 0);
    for (u64 i = draw(4); i > 0; --i) config.words.push_back(text());
    for (u64 i = draw(3); i > 0; --i) config.scales[text()] = random.uniform(draws++);

    const std::string printed = to_yaml(config);
    ExampleConfig back;
    back.words = {"is replaced"};
    CAPTURE(printed);
    read_fields(YamlDocument::read_text(printed), back);
    CHECK(differences(config, back).empty());
    CHECK(back.name == config.name);
    CHECK(back.zero == config.zero);
    CHECK(back.words == config.words);
    CHECK(back.train.optimizer.lr == config.train.optimizer.lr);
    CHECK(fingerprint(back) == fingerprint(config));
  }
}

TEST_CASE("the text auto is not the word auto") {
  ExampleConfig config;
  CHECK(config.zero.is_auto());
  config.zero = std::string("auto");
  ExampleConfig back;
  read_fields(YamlDocument::read_text(to_yaml(config)), back);
  CHECK(!back.zero.is_auto());
  CHECK(*back.zero.value == "auto");
}

TEST_CASE("every field counts in the fingerprint and is named in the differences") {
  const ExampleConfig base;
  ExampleConfig other;
  CHECK(same_fields(base, other));
  CHECK(fingerprint(base) == fingerprint(other));

  other.train.optimizer.lr = std::nextafter(1e-3, 1.0);
  other.rules = {{"a", "b", {}}};
  CHECK(!same_fields(base, other));
  CHECK(fingerprint(base) != fingerprint(other));
  const std::vector<FieldDifference> expected{{"train.optimizer.lr", "0.001", "0.0010000000000000002"},
                                              {"rules", "[]", ""},
                                              {"rules.0.blocks", "", "a"},
                                              {"rules.0.attention", "", "b"},
                                              {"rules.0.weight", "", "null"}};
  CHECK(differences(base, other) == expected);
}

TEST_CASE("the fingerprint is the same on every machine") {
  CHECK(fingerprint(ExampleConfig{}) == 477424989027112167ULL);
}

TEST_CASE("a configuration cannot hold a number that no file could say") {
  ExampleConfig config;
  config.train.optimizer.lr = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(to_yaml(config), Error);
}

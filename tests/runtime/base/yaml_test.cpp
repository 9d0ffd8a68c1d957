#include "runtime/base/yaml.h"

#include <doctest/doctest.h>

#include "tests/runtime/base/config_example.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;

namespace {

ExampleConfig read(std::string_view text, const std::vector<std::string>& overrides = {}) {
  YamlDocument document = YamlDocument::read_text(text, "c.yaml");
  for (const std::string& assignment : overrides) document.apply_override(assignment);
  ExampleConfig config;
  read_fields(document, config);
  return config;
}

// The message of the usage error that reading gives.
std::string refusal(std::string_view text, const std::vector<std::string>& overrides = {}) {
  const Failure failure = failure_of([&] { read(text, overrides); });
  CHECK(failure.code == ExitCode::usage);
  CHECK(!contains(failure.message, "\n"));
  return failure.message;
}

std::string value_refusal(const std::string& key, const std::string& value) {
  return refusal("train: {" + key + ": " + value + "}");
}

}  // namespace

TEST_CASE("a document sets the fields that it mentions and leaves the others") {
  const ExampleConfig config = read(R"(# a comment
name: emoji
train:
  steps: 2000
  seed: 18446744073709551615
  shuffle: false
  optimizer: {lr: 1e-5, warmup: auto}
rules:
- {blocks: "vision.0-3", attention: images}
- blocks: language.*
  weight: 2
flags: [true, false, true]
scales: {a: 1, b: -.5}
)");
  CHECK(config.name == "emoji");
  CHECK(config.train.steps == 2000);
  CHECK(config.train.threads == 1);
  CHECK(config.train.seed == ~u64{0});
  CHECK(!config.train.shuffle);
  CHECK(config.train.optimizer.lr == 1e-5);
  CHECK(config.train.optimizer.betas == std::vector<double>{0.9, 0.95});
  CHECK(config.train.optimizer.warmup.is_auto());
  REQUIRE(config.rules.size() == 2);
  CHECK(config.rules[0].blocks == "vision.0-3");
  CHECK(config.rules[0].attention == "images");
  CHECK(config.rules[1].blocks == "language.*");
  CHECK(!config.rules[0].weight.has_value());
  CHECK(config.rules[1].weight == 2.0);
  CHECK(config.flags == std::vector<bool>{true, false, true});
  CHECK(config.scales == std::map<std::string, double>{{"a", 1}, {"b", -0.5}});
}

TEST_CASE("an empty document leaves all defaults") {
  for (const char* text : {"", "\n", "# nothing\n", "---\n", "{}", "\xEF\xBB\xBF"}) {
    CAPTURE(text);
    CHECK(same_fields(read(text), ExampleConfig{}));
  }
}

TEST_CASE("a byte order mark and CRLF are fine") {
  CHECK(read("\xEF\xBB\xBFname: a\r\ntrain:\r\n  steps: 3\r\n").train.steps == 3);
}

TEST_CASE("an unknown key is named with its place and the nearest valid one") {
  CHECK(refusal("name: a\ntrain:\n  optimiser: {lr: 1}\n") ==
        "unknown key \"optimiser\" in train (c.yaml:3:3); did you mean \"optimizer\"?");
  CHECK(refusal("trian: {}") == "unknown key \"trian\" (c.yaml:1:1); did you mean \"train\"?");
  CHECK(refusal("rules:\n- blocks: a\n- {blocks: b, atention: c}") ==
        "unknown key \"atention\" in rules.1 (c.yaml:3:15); did you mean \"attention\"?");
  CHECK(refusal("train: {optimizer: {colour: 1}}") ==
        "unknown key \"colour\" in train.optimizer (c.yaml:1:21); valid: \"lr\", \"betas\", \"warmup\"");
}

TEST_CASE("a value of another type is named with its key and place") {
  CHECK(value_refusal("steps", "many") == "train.steps: expected an integer, got \"many\" (c.yaml:1:16)");
  CHECK(value_refusal("steps", "[1]") == "train.steps: expected an integer, got a list (c.yaml:1:16)");
  CHECK(value_refusal("steps", "{a: 1}") == "train.steps: expected an integer, got a mapping (c.yaml:1:16)");
  CHECK(value_refusal("steps", "") == "train.steps: expected an integer, got nothing (c.yaml:1:16)");
  CHECK(value_refusal("steps", "null") == "train.steps: expected an integer, got nothing (c.yaml:1:16)");
  CHECK(refusal("train: {optimizer: {warmup: soon}}") ==
        "train.optimizer.warmup: expected an integer or auto, got \"soon\" (c.yaml:1:29)");
  CHECK(refusal("train: {optimizer: {betas: [1, x]}}") ==
        "train.optimizer.betas.1: expected a finite number, got \"x\" (c.yaml:1:32)");
  CHECK(refusal("train: {optimizer: {betas: 0.9}}") ==
        "train.optimizer.betas: expected a list, got \"0.9\" (c.yaml:1:28)");
  CHECK(refusal("train: 3") == "train: expected a mapping, got \"3\" (c.yaml:1:8)");
  CHECK(contains(refusal("train:\nname: a"), "train: expected a mapping, got nothing"));
  CHECK(refusal("name: [a]") == "name: expected a text, got a list (c.yaml:1:7)");
  CHECK(refusal("- 1") == "expected a mapping, got a list (c.yaml:1:1)");
  CHECK(refusal("hello") == "expected a mapping, got \"hello\" (c.yaml:1:1)");
}

TEST_CASE("an integer is decimal, without leading zeros, quotes or a fraction") {
  CHECK(read("train: {steps: -3}").train.steps == -3);
  CHECK(read("train: {steps: +3}").train.steps == 3);
  CHECK(read("train: {steps: 0}").train.steps == 0);
  CHECK(read("train: {steps: -9223372036854775808}").train.steps == std::numeric_limits<i64>::min());
  for (const char* value : {"017", "0x1F", "0o17", "1_000", "1.0", "1e3", "\"5\"", "'5'", "true", "-", "+",
                            "00", "1 2", "--1", "+-1"}) {
    CAPTURE(value);
    CHECK(contains(value_refusal("steps", value), "train.steps: expected an integer, got "));
  }
  CHECK(contains(value_refusal("steps", "9223372036854775808"),
                 "9223372036854775808 is not between -9223372036854775808 and"));
  CHECK(value_refusal("threads", "2147483648") ==
        "train.threads: 2147483648 is not between -2147483648 and 2147483647 (c.yaml:1:18)");
  CHECK(contains(value_refusal("seed", "-1"), "-1 is not between 0 and 18446744073709551615"));
  CHECK(contains(value_refusal("seed", "18446744073709551616"), "is not between 0 and 18446744073709551615"));
}

TEST_CASE("a number is finite and decimal") {
  const auto lr = [](const std::string& value) {
    return read("train: {optimizer: {lr: " + value + "}}").train.optimizer.lr;
  };
  CHECK(lr("1e-5") == 1e-5);
  CHECK(lr("1E5") == 1e5);
  CHECK(lr("1.5e-3") == 1.5e-3);
  CHECK(lr("+.5") == 0.5);
  CHECK(lr("-2.") == -2);
  CHECK(lr("0") == 0);
  CHECK(lr("0.1") == 0.1);
  for (const char* value : {".nan", ".inf", "-.inf", "nan", "inf", "NaN", "infinity", "0x10", "1e", "e5",
                            "1,5", "017", "\"1\"", "1e5x", ".", "true", "1__0"}) {
    CAPTURE(value);
    CHECK(contains(refusal(std::string("train: {optimizer: {lr: [") + value + "]}}"),
                   "train.optimizer.lr: expected a finite number"));
    CHECK(contains(refusal(std::string("train:\n  optimizer:\n    lr: ") + value),
                   "train.optimizer.lr: expected a finite number"));
  }
  CHECK(contains(refusal("train: {optimizer: {lr: 1e999}}"), "1e999 is beyond the range of a number"));
  CHECK(contains(refusal("train: {optimizer: {lr: 1e-999}}"), "1e-999 is beyond the range of a number"));
}

TEST_CASE("a bool is true or false, and NO is a text") {
  for (const char* value : {"NO", "no", "yes", "on", "off", "True", "FALSE", "y", "1", "0", "\"true\""}) {
    CAPTURE(value);
    CHECK(contains(value_refusal("shuffle", value), "train.shuffle: expected true or false, got "));
  }
  CHECK(read("name: NO").name == "NO");
  CHECK(read("name: 017").name == "017");
  CHECK(read("name: true").name == "true");
  CHECK(read("name: ''").name.empty());
  CHECK(contains(refusal("name: ~"), "name: expected a text, got nothing"));
}

TEST_CASE("null is absent where nothing is the default: of texts, lists and mappings, not within them") {
  const ExampleConfig config = read("rules: ~\nwords: null\nscales:\n", {"words=~", "rules=[{blocks: ~}]"});
  CHECK(same_fields(config, read("rules: [{blocks: ''}]")));
  CHECK(contains(refusal("words: [a, ~]"), "words.1: expected a text, got nothing"));
  CHECK(contains(refusal("train: {optimizer: {betas: ~}}"), "betas: expected a list, got nothing"));
}

TEST_CASE("null on the command line is as if the key were not there, whatever its kind") {
  const std::string file =
      "name: a\ntrain: {steps: 5, shuffle: false, optimizer: {lr: 1, betas: [0.5], warmup: 3}}\nzero: x\n"
      "rules: [{blocks: a, attention: local}]\nscales: {a: 1, b: 2}\n";
  CHECK(read(file, {"name=~"}).name == "run");
  CHECK(same_fields(read(file, {"train=~"}).train, ExampleTrain{}));
  CHECK(same_fields(read(file, {"train.optimizer=null"}).train.optimizer, ExampleOptimizer{}));
  CHECK(read(file, {"train.steps=~"}).train.steps == 10);
  CHECK(read(file, {"train.shuffle=~"}).train.shuffle);
  CHECK(read(file, {"train.optimizer.betas=~"}).train.optimizer.betas == std::vector<double>{0.9, 0.95});
  CHECK(read(file, {"train.optimizer.warmup=~"}).train.optimizer.warmup.is_auto());
  CHECK(read(file, {"zero=~"}).zero.is_auto());
  CHECK(read(file, {"rules.0.attention=~"}).rules[0].attention == "auto");
  CHECK(read(file, {"scales.a=~"}).scales == std::map<std::string, double>{{"b", 2}});
  CHECK(read(file, {"train=~", "train.steps=7"}).train.steps == 7);
  CHECK(read(file, {"train={steps: 7, optimizer: ~}"}).train.optimizer.lr == 1e-3);
  // An element of a list is there.
  CHECK(contains(refusal(file, {"rules.0=~"}), "rules.0: expected a mapping, got nothing"));
  CHECK(contains(refusal(file, {"trian=~"}), "unknown key \"trian\""));
  // Nothing behind the sign is no null.
  CHECK(contains(refusal(file, {"train="}), "train: expected a mapping, got nothing"));
}

TEST_CASE("optional is nothing for null") {
  CHECK(!read("rules: [{weight: null}]").rules[0].weight.has_value());
  CHECK(read("rules: [{weight: 1}]").rules[0].weight == 1.0);
}

TEST_CASE("duplicate keys are refused, wherever they are") {
  CHECK(refusal("name: a\ntrain: {}\nname: b\n") ==
        "duplicate key \"name\", first given in line 1 (c.yaml:3:1)");
  CHECK(refusal("train: {steps: 1, seed: 2, steps: 3}") ==
        "duplicate key \"steps\", first given in line 1 (c.yaml:1:28)");
  CHECK(refusal("name: a\n\"name\": b\n") == "duplicate key \"name\", first given in line 1 (c.yaml:2:1)");
  CHECK(contains(refusal("scales: {a: 1, a: 1}"), "duplicate key \"a\""));
}

TEST_CASE("anchors, aliases and tags are refused, also a billion laughs") {
  CHECK(contains(refusal("name: &a b"), "anchors (&name) are not allowed (c.yaml:1:"));
  CHECK(contains(refusal("train: &a {steps: 1}\nrules: *a"), "anchors (&name) are not allowed (c.yaml:1:"));
  CHECK(contains(refusal("name: *a"), "c.yaml:1:"));
  CHECK(contains(refusal("train: {steps: !!int \"3\"}"), "tags (!name) are not allowed (c.yaml:1:"));
  CHECK(contains(refusal("name: !custom x"), "tags (!name) are not allowed"));
  CHECK(contains(refusal("rules: !!seq []"), "tags (!name) are not allowed"));
  CHECK(contains(refusal("train: !!map {}"), "tags (!name) are not allowed"));
  std::string laughs = "a0: &a0 [lol]\n";
  for (int i = 1; i < 30; ++i) laughs += fmt::format("a{0}: &a{0} [*a{1}, *a{1}]\n", i, i - 1);
  CHECK(contains(refusal(laughs), "anchors (&name) are not allowed"));
}

TEST_CASE("keys are words, not lists, mappings or nothing") {
  CHECK(contains(refusal("? [a]\n: b"), "a list or mapping where a key is expected"));
  CHECK(contains(refusal("{{a: 1}: b}"), "a list or mapping where a key is expected"));
  CHECK(contains(refusal("~: b"), "a key without a name"));
}

TEST_CASE("size, nesting and encoding are bounded") {
  const std::string deep64 = std::string(63, '[') + std::string(63, ']');
  CHECK(contains(refusal("words: " + deep64), "words.0: expected a text, got a list"));
  CHECK(contains(refusal("words: [" + deep64 + "]"), "nested deeper than 64 (c.yaml:1:71)"));
  CHECK(contains(refusal("words: " + std::string(30000, '[') + std::string(30000, ']')),
                 "nested deeper than 64"));
  CHECK(contains(refusal("words: " + std::string(50000, '[')), "is a bracket not closed? (c.yaml:1:"));
  CHECK(contains(refusal("words: " + std::string(50000, '{')), "c.yaml:1:"));
  CHECK(read("#" + std::string((1 << 20) - 1, 'x')).name == "run");
  CHECK(refusal("#" + std::string(1 << 20, 'x')) == "c.yaml is larger than 1048576 bytes");
  CHECK(refusal("name: a\xFF") == "c.yaml: invalid UTF-8 at byte 7");
  CHECK(refusal(std::string_view("name: a\0b", 9)) == "c.yaml: a NUL byte at 7");
  CHECK(refusal(std::string_view("\xFF\xFEn\0a\0", 6)) == "c.yaml: invalid UTF-8 at byte 0");
}

TEST_CASE("text that is no YAML, or more than one document, is refused with its place") {
  CHECK(contains(refusal("name: [a"), "not valid YAML: "));
  CHECK(contains(refusal("name: -"), "not valid YAML: "));
  CHECK(contains(refusal("name: \"a"), "not valid YAML: "));
  CHECK(contains(refusal("name: a\n  b: c\n"), "(c.yaml:2:"));
  CHECK(contains(refusal("name: @a"), "not valid YAML: "));
  CHECK(contains(refusal("a: b: c"), "not valid YAML: "));
  CHECK(refusal("name: a\n---\nname: b\n") == "c.yaml: more than one document");
  CHECK(refusal("name: a\n]") == "not valid YAML: illegal flow end (c.yaml:2:1)");
  CHECK(refusal("{name: a} trailing") == "c.yaml: more than one document");
}

TEST_CASE("a file that is not there is missing input") {
  ScratchFolder folder;
  CHECK(failure_of([&] { YamlDocument::read_file(folder / "no.yaml"); }) ==
        Failure{ExitCode::missing_input,
                "cannot read " + (folder / "no.yaml") + ": No such file or directory"});
  CHECK(failure_of([&] { YamlDocument::read_file(folder.path()); }) ==
        Failure{ExitCode::missing_input, "cannot read " + folder.path() + ": it is a folder"});
  const std::string path = folder.write("c.yaml", "train: {steps: x}");
  const YamlDocument document = YamlDocument::read_file(path);
  ExampleConfig config;
  CHECK(failure_of([&] { read_fields(document, config); }) ==
        Failure{ExitCode::usage, "train.steps: expected an integer, got \"x\" (" + path + ":1:16)"});
  CHECK(failure_of([&] {
          YamlDocument::read_file(folder.write("big.yaml", std::string((1 << 20) + 1, '#')));
        }).code == ExitCode::usage);
}

TEST_CASE("overrides replace what the file says, and add what it does not") {
  const std::string file =
      "train: {steps: 5, optimizer: {lr: 1, betas: [0.1, 0.2]}}\nrules: [{blocks: a}, {blocks: b}]\nwords:\n";
  const ExampleConfig config = read(
      file, {"train.steps=7", "train.optimizer.lr=1e-4", "train.optimizer.betas=[0.5, 0.6]",
             "train.optimizer.warmup=auto", "rules.0.attention=images", "rules.2.blocks=c", "words.0=x=y",
             "words.1=\"a: b\"", "name=", "name=new", "scales.half=0.5", "train.steps=8"});
  CHECK(config.train.steps == 8);  // the last one wins
  CHECK(config.train.optimizer.lr == 1e-4);
  CHECK(config.train.optimizer.betas == std::vector<double>{0.5, 0.6});
  REQUIRE(config.rules.size() == 3);
  CHECK(config.rules[0].blocks == "a");
  CHECK(config.rules[0].attention == "images");
  CHECK(config.rules[1].attention == "auto");
  CHECK(config.rules[2].blocks == "c");
  CHECK(config.words == std::vector<std::string>{"x=y", "a: b"});
  CHECK(config.name == "new");
  CHECK(config.scales.at("half") == 0.5);
  CHECK(read("", {"rules=[{blocks: x.jsonl}]"}).rules[0].blocks == "x.jsonl");
  CHECK(read("", {"rules.0.blocks=z"}).rules[0].blocks == "z");
  CHECK(read("train: {steps: 5, seed: 3}", {"train={steps: 6}"}).train.seed ==
        1);  // a mapping replaces a mapping
}

TEST_CASE("a text in an override is taken letter by letter") {
  for (const std::string text :
       {"runs/a: b", "runs/c #1", "two\nlines", "tail ", "*a",  "&a",  "!a", "- a", "a: [",          "# a",
        "it's",      "a\\b",      "%a",         "|",     "> a", "? a", "@a", "---", "null and void", "\ta"}) {
    CHECK(read("", {"name=" + text}).name == text);
  }
  CHECK(read("", {"name='runs/a: b'"}).name == "runs/a: b");
  CHECK(read("", {"words=[\"a #1\", b]"}).words == std::vector<std::string>{"a #1", "b"});
  CHECK(!read("rules: [{weight: 3}]", {"rules.0.weight=~"}).rules[0].weight);
}

TEST_CASE("an error in an override names the command line") {
  CHECK(
      refusal("train: {steps: 1}", {"train.optimiser.lr=3"}) ==
      "unknown key \"optimiser\" in train (command line: train.optimiser.lr=3); did you mean \"optimizer\"?");
  CHECK(refusal("", {"trian.steps=3"}) ==
        "unknown key \"trian\" (command line: trian.steps=3); did you mean \"train\"?");
  CHECK(refusal("", {"name=a", "train.steps=many"}) ==
        "train.steps: expected an integer, got \"many\" (command line: train.steps=many)");
  CHECK(refusal("", {"train.steps="}) ==
        "train.steps: expected an integer, got nothing (command line: train.steps=)");
  CHECK(refusal("", {"rules=[{bloks: a}]"}) ==
        "unknown key \"bloks\" in rules.0 (command line: rules=[{bloks: a}]); did you mean \"blocks\"?");
  CHECK(refusal("", {"train.steps"}) == "an override is key.path=value (command line: train.steps)");
  CHECK(refusal("", {"=3"}) == "an override is key.path=value (command line: =3)");
  CHECK(refusal("", {"train..steps=3"}) == "an empty name in the key (command line: train..steps=3)");
  CHECK(refusal("train: {steps: 1}", {"train.steps.x=3"}) ==
        "train.steps is \"1\" and has no \"x\" (command line: train.steps.x=3)");
  CHECK(refusal("rules: [{blocks: a}]", {"rules.2.blocks=b"}) ==
        "rules is a list of 1 elements, \"2\" is none of them (command line: rules.2.blocks=b)");
  CHECK(refusal("rules: [{blocks: a}]", {"rules.x=b"}) ==
        "rules is a list of 1 elements, \"x\" is none of them (command line: rules.x=b)");
  CHECK(contains(refusal("", {"name=[a"}), "is a bracket not closed? (command line: name=[a)"));
  CHECK(refusal("", {"scales={a: 1, a: 2}"}) ==
        "duplicate key \"a\", first given in line 1 (command line: scales={a: 1, a: 2})");
  CHECK(contains(refusal("", {"train.steps=5 # few"}), "expected an integer, got \"5 # few\""));
  CHECK(refusal("", {"name=\xFF"}).starts_with("the value: invalid UTF-8 at byte 0"));
}

TEST_CASE("more values than any configuration has are refused, as they take far more memory than the file") {
  std::string dashes = "words:\n", commas = "words: [", brackets = "words: ";
  for (int i = 0; i < 140'000; ++i) dashes += "- a\n", commas += "a,", brackets += "[";
  CHECK(contains(refusal(dashes), "more than 131072 values (c.yaml:13107"));
  CHECK(contains(refusal(commas + "a]"), "more than 65536 brackets and commas"));
  CHECK(contains(refusal(brackets), "more than 65536 brackets and commas"));
  std::string few = "words:\n";
  for (int i = 0; i < 100'000; ++i) few += "- a\n";
  CHECK(read(few).words.size() == 100'000);
}

TEST_CASE("the owner of a field can report an error at its place") {
  YamlDocument document =
      YamlDocument::read_text("name: a\ntrain:\n  steps: 3\nrules:\n  - attention: rng\n", "c.yaml");
  document.apply_override("train.seed=4");
  CHECK(document.place_of("train.steps") == "c.yaml:3:10");
  CHECK(document.place_of("train.seed") == "command line: train.seed=4");
  CHECK(document.place_of("rules.0.attention") == "c.yaml:5:16");
  CHECK(document.place_of("train.optimizer.lr") == "c.yaml:3:3");  // a default: its mapping
  CHECK(failure_of([&] { document.require_at(false, "train.steps", "must be at least {}", 10); }) ==
        Failure{ExitCode::usage, "train.steps: must be at least 10 (c.yaml:3:10)"});
  CHECK(failure_of([&] { document.require_at(true, "train.steps", "must be at least {}", 10); }) ==
        Failure{});
  CHECK(failure_of([&] { document.fail_at("train.seed", "no"); }) ==
        Failure{ExitCode::usage, "train.seed: no (command line: train.seed=4)"});
  CHECK(failure_of([&] {
          document.require_one_of("rules.0.attention", "rng", {"ring", "gather"});
        }) == Failure{ExitCode::usage,
                      "rules.0.attention: unknown value \"rng\"; did you mean \"ring\"? (c.yaml:5:16)"});
  CHECK(failure_of([&] {
          document.require_one_of("rules.0.attention", "ring", {"ring", "gather"});
        }) == Failure{});
  CHECK(failure_of([&] { YamlDocument::read_text("", "e.yaml").fail_at("train.steps", "no"); }).message ==
        "train.steps: no (e.yaml)");
}

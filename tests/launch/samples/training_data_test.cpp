// What is drawn for each step: the order, and what becomes of samples that are too long.
#include "launch/samples/training_data.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "launch/samples/check_sets.h"
#include "parallel/groups/self_group.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

struct OpenedData {
  LoadedConfig loaded;
  RunModel run;
  std::unique_ptr<TrainingData> data;
};

std::unique_ptr<OpenedData> open(std::vector<std::string> overrides,
                                 const std::string& config = "configs/tiny.yaml") {
  auto opened = std::make_unique<OpenedData>(
      OpenedData{.loaded = load_config(config, overrides), .run = {}, .data = nullptr});
  opened->run = open_run_shape(opened->loaded);
  opened->data = open_training_data(opened->loaded, opened->run, nullptr);
  return opened;
}

// The same, looked at before: as training draws.
struct Checked {
  LoadedConfig loaded;
  RunModel run;
  DataSets sets;
  explicit Checked(const std::vector<std::string>& overrides, const std::string& config = "configs/tiny.yaml")
      : loaded(load_config(config, overrides)),
        run(open_run_shape(loaded)),
        sets(loaded, run, WhichSets::both, nullptr) {
    parallel::SelfGroup self;
    Job job{self, {}};
    check_sets(sets, job);
  }
};

// What the outcomes are when so many ranks share the samples.
std::vector<SampleOutcome> look(const DataSets& sets, i64 ranks) {
  std::vector<SampleOutcome> all;
  for (i64 rank = 0; rank < ranks; ++rank) {
    i64 number = rank;
    for (const SampleOutcome& outcome :
         look_at_share(sets, {.rank = rank, .ranks = ranks, .problem = [](SampleProblem) {}})) {
      all.resize(std::max(all.size(), static_cast<std::size_t>(number + 1)));
      all[static_cast<std::size_t>(number)] = outcome;
      number += ranks;
    }
  }
  return all;
}

// Names of the next `count` samples or a few more, with the steps joined.
std::vector<std::string> draw(TrainingData& data, std::size_t count) {
  std::vector<std::string> ids;
  while (ids.size() < count) {
    for (const model::Sample& sample : data.next()) ids.push_back(sample.id);
  }
  ids.resize(count);
  return ids;
}

// `count` questions about the number i, asked with so many words.
std::string questions(const ScratchFolder& folder, const std::string& name, int count, int words = 3) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    std::string text;
    for (int w = 0; w < words + i; ++w) text += "two ";
    lines += R"({"query": ")" + text + R"(", "response": "a"})" + "\n";
  }
  return folder.write(name, lines);
}

}  // namespace

TEST_CASE("the order of mixed data depends on the seed alone: not on ranks, checks or the size of steps") {
  const ScratchFolder folder;
  const std::string mix = "data.train=[{text: " + questions(folder, "a.jsonl", 7) +
                          ", weight: 3}, {text: " + questions(folder, "b.jsonl", 5) + ", weight: 1}]";
  const auto reference = draw(*open({mix})->data, 80);
  for (const char* tokens : {"200", "1000"}) {
    const auto other = open({mix, std::string("train.tokens_per_step=") + tokens});
    CHECK(draw(*other->data, 80) == reference);
  }
  Checked checked({mix});
  CHECK(draw(*open_training_data(checked.sets), 80) == reference);
  CHECK(draw(*open({mix, "train.seed=2"})->data, 80) != reference);

  // Three to one, and each pass over a source holds each of its samples once.
  std::map<std::string, std::vector<std::string>> of_source;
  for (const std::string& id : reference) of_source[id.substr(0, id.find(':'))].push_back(id);
  const auto& a = of_source[folder / "a.jsonl"];
  const auto& b = of_source[folder / "b.jsonl"];
  CHECK(a.size() == 60);
  CHECK(b.size() == 20);
  for (std::size_t pass = 0; pass < 8; ++pass) {
    CHECK(std::set<std::string>(a.begin() + 7 * static_cast<std::ptrdiff_t>(pass),
                                a.begin() + 7 * static_cast<std::ptrdiff_t>(pass + 1))
              .size() == 7);
  }
  CHECK(std::set<std::string>(b.begin(), b.begin() + 5).size() == 5);
  CHECK(!std::equal(a.begin(), a.begin() + 7, a.begin() + 7));  // another order in the next pass
}

TEST_CASE("samples: N takes the first ones of a source") {
  const ScratchFolder folder;
  const auto opened = open({"data.train=[{text: " + questions(folder, "a.jsonl", 9) + ", samples: 4}]"});
  CHECK(opened->data->samples_per_epoch() == 4);
  const auto ids = draw(*opened->data, 8);
  std::set<std::string> expected;
  for (int i = 1; i <= 4; ++i) expected.insert(fmt::format("{}:{}", folder / "a.jsonl", i));
  CHECK(std::set<std::string>(ids.begin(), ids.end()) == expected);
}

TEST_CASE("overlong samples are left out alike on every number of ranks, and the rest keeps its order") {
  const ScratchFolder folder;
  const std::string train = "data.train=[{text: " + questions(folder, "a.jsonl", 12) + "}]";
  const auto whole = open({train});
  // The length from which on samples are dropped: that of the eighth.
  std::map<std::string, i64> lengths;
  while (lengths.size() < 12) {
    for (const model::Sample& s : whole->data->next()) lengths[s.id] = s.tokens();
  }
  const i64 limit = lengths.at(fmt::format("{}:8", folder / "a.jsonl"));
  const std::vector<std::string> drop{train, "data.overlong=drop", fmt::format("data.max_tokens={}", limit)};
  std::vector<std::string> expected;
  for (const std::string& id : draw(*open({train})->data, 36)) {
    if (lengths.at(id) <= limit) expected.push_back(id);
  }
  CHECK(draw(*open(drop)->data, expected.size()) == expected);
  Checked dropped(drop);
  CHECK(dropped.sets.train_lengths().kept() == 8);
  CHECK(draw(*open_training_data(dropped.sets), expected.size()) == expected);
  CHECK(text_of(CheckCounts{.samples = 12, .dropped = 4}, limit) ==
        fmt::format("12 samples, 4 of them longer than {} tokens and left out", limit));

  const std::string place = (folder / "a.jsonl") + ":";
  const std::vector<std::string> error{train, "data.eval=[]", fmt::format("data.max_tokens={}", limit),
                                       "data.train.0.samples=9"};
  CHECK(failure_of([&] { Checked{error}; }) ==
        Failure{ExitCode::bad_data,
                fmt::format("{}9: {} tokens do not fit into a step of data.max_tokens = {}: raise it, or "
                            "shorten the sample, or data.overlong: drop",
                            place, lengths.at(place + "9"), limit)});
  const std::vector<std::string> shrink{train, "data.eval=[]", fmt::format("data.max_tokens={}", limit),
                                        "data.train.0.samples=9", "data.overlong=shrink-images"};
  CHECK(
      contains(failure_of([&] { Checked{shrink}; }).message, ", whatever the size of its images: raise it"));
}

TEST_CASE("images and frames of samples that are too long shrink, their texts stay") {
  const ScratchFolder folder;
  const std::string path = folder.write(
      "a.jsonl",
      R"({"images": ["photo.jpg", "shapes.png"], "messages": [{"role": "user", "content": "Compare <image> and <image>."}, {"role": "assistant", "content": "They differ."}]}
{"videos": [["wide.png", "wide.png", "wide.png", "wide.png"]], "images": ["photo.jpg"], "messages": [{"role": "user", "content": "Of <video> and <image>, which moves?"}, {"role": "assistant", "content": "None."}]}
{"messages": [{"role": "user", "content": "Short?"}, {"role": "assistant", "content": "Yes."}]}
)");
  const std::string train = "data.train=[{messages: " + path + ", images: tests/goldens/qwen2-vl/images}]";
  const auto samples_of = [](OpenedData& opened) {
    std::map<std::string, model::Sample> samples;
    while (static_cast<i64>(samples.size()) < opened.data->samples_per_epoch()) {
      for (model::Sample& s : opened.data->next()) samples.emplace(s.id, s);
    }
    return samples;
  };
  const auto whole = open({train, "data.overlong=error"}, "configs/finetune.yaml");
  const model::ModelConfig& model = whole->run.model->config();
  const auto words_of = [&](const model::Sample& s) {
    std::vector<i64> ids;
    for (const i64 id : s.ids) {
      if (id != model.image_token && id != model.video_token) ids.push_back(id);
    }
    return ids;
  };
  const auto full = samples_of(*whole);
  i64 limit = 0;
  bool has_video = false;
  for (const auto& [id, s] : full) limit = std::max(limit, s.tokens());
  limit -= 6;
  const std::vector<std::string> shrink{train, fmt::format("data.max_tokens={}", limit)};
  const auto smaller = samples_of(*open(shrink, "configs/finetune.yaml"));
  REQUIRE(smaller.size() == full.size());
  i64 changed = 0;
  for (const auto& [id, s] : smaller) {
    const model::Sample& before = full.at(id);
    CHECK(s.tokens() <= limit);
    CHECK(words_of(s) == words_of(before));
    REQUIRE(s.images.size() == before.images.size());
    changed += before.tokens() > limit;
    CHECK((s.tokens() < before.tokens()) == (before.tokens() > limit));
    for (std::size_t i = 0; i < s.images.size(); ++i) {
      const data::ImageLayout &now = s.images[i]->layout(), &then = before.images[i]->layout();
      CHECK(now.patches() <= then.patches());
      CHECK(s.images[i]->pixels().extent(0) == now.patches());
      has_video = has_video || now.video;
    }
  }
  CHECK(changed > 0);
  CHECK(has_video);
  const auto opened = open(shrink, "configs/finetune.yaml");
  const DataSets sets(opened->loaded, opened->run, WhichSets::train, nullptr);
  const auto outcomes = look(sets, 1);
  CHECK(std::count_if(outcomes.begin(), outcomes.end(),
                      [](const SampleOutcome& o) { return o.kind == SampleOutcome::shrunk; }) == changed);
  CHECK(text_of(CheckCounts{.samples = 3, .shrunk = 2}, limit) ==
        fmt::format("3 samples, 2 of them with smaller images to fit into {} tokens", limit));
}

TEST_CASE("a source of which nothing fits is an error, not an endless search") {
  const ScratchFolder folder;
  const auto opened = open({"data.train=[{text: " + questions(folder, "a.jsonl", 3, 60) +
                                "}, {text: " + questions(folder, "b.jsonl", 3, 1) + ", weight: 0.01}]",
                            "data.overlong=drop", "data.max_tokens=40"});
  CHECK(failure_of([&] { draw(*opened->data, 100); }) ==
        Failure{ExitCode::bad_data,
                (folder / "a.jsonl") +
                    ": all of its 3 samples are left out (data.overlong: drop, data.bad: skip)"});
}

TEST_CASE("micro-batches that are shorter than every sample, and shifts out of the picture, are refused") {
  const ScratchFolder folder;
  const std::string texts = "data.train=[{text: " + questions(folder, "a.jsonl", 4) + "}]";
  const auto refusal = [](const std::vector<std::string>& overrides) {
    return failure_of([&] { Checked checked(overrides); });
  };
  const Failure short_batches = refusal({texts, "data.eval=[]", "memory.micro_batch_tokens=5"});
  CHECK(short_batches.code == ExitCode::usage);
  CHECK(contains(short_batches.message, "memory.micro_batch_tokens"));
  CHECK(contains(short_batches.message, "5 tokens are fewer than any sample has"));
  const Checked checked({texts, "data.eval=[]"});
  std::int32_t shortest = std::numeric_limits<std::int32_t>::max();
  for (const SampleOutcome& o : look(checked.sets, 1)) shortest = std::min(shortest, o.tokens);
  const auto limit = [](i64 tokens) { return fmt::format("memory.micro_batch_tokens={}", tokens); };
  CHECK(refusal({texts, "data.eval=[]", limit(shortest)}).code == ExitCode::done);
  CHECK(refusal({texts, "data.eval=[]", limit(shortest - 1)}).code == ExitCode::usage);

  for (const char* shift : {"100000000000", "9223372036854775807", "32"}) {
    CAPTURE(shift);
    const Failure shifted = refusal({std::string("data.augment.shift=") + shift});
    CHECK(shifted.code == ExitCode::usage);
    CHECK(contains(shifted.message, "data.augment.shift"));
    CHECK(contains(shifted.message, "configs/tiny/tiny.jsonl:"));
  }
  CHECK(refusal({"data.augment.shift=5"}).code == ExitCode::done);
}

TEST_CASE("held-out data drop what is too long, too") {
  const ScratchFolder folder;
  Checked checked({"data.train=[{text: " + questions(folder, "t.jsonl", 3, 1) + "}]",
                   "data.eval=[{text: " + questions(folder, "a.jsonl", 12) + "}]", "data.overlong=drop",
                   "data.max_tokens=40"});
  std::size_t samples = 0;
  for (const HeldOutSet& set : open_eval_data(checked.sets)) {
    for (i64 step = 0; step < set.steps; ++step) samples += set.make(step).size();
  }
  CHECK(samples > 0);
  CHECK(samples < 12);
}

TEST_CASE("all kinds of data give the same training samples") {
  const std::string folder = "tests/goldens/data_formats/";
  const auto ids_of = [&](const std::string& source) {
    const auto opened = open({"data.train=[" + source + "]"});
    std::vector<std::pair<std::vector<i64>, std::vector<i64>>> all;
    for (const model::Sample& s : opened->data->next()) {
      all.emplace_back(s.ids, s.labels);
      for (const auto& image : s.images) CHECK(image->pixels().extent(0) > 0);
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  };
  const std::string images = ", images: " + folder + "pictures}";
  const auto reference = ids_of("{messages: " + folder + "messages.jsonl" + images);
  CHECK(reference.size() == 4);
  CHECK(ids_of("{llava: " + folder + "llava.json" + images) == reference);
  CHECK(ids_of("{sharegpt: " + folder + "sharegpt.json" + images) == reference);
  CHECK(ids_of("{sharegpt: " + folder +
               "sharegpt_renamed.json, tags: {messages: dialog, role: who, content: says, user: Q, "
               "assistant: A, system: S, images: files}" +
               images) == reference);
  CHECK(ids_of("{webdataset: [\"" + folder + "shards/train-{000..001}.tar\"]}") == reference);
}

TEST_CASE("a plain text is learned whole, with the end of turn behind it") {
  const auto opened = open({"data.train=[{text: tests/goldens/data_formats/text.jsonl, samples: 1}]"});
  const model::Sample sample = opened->data->next().front();
  const auto maker = open_sample_maker(opened->loaded, opened->run);
  CHECK(maker->tokenizer().decode(sample.ids, false) == "<s>All of this is learned.</s>");
  CHECK(sample.labels.front() == data::kIgnored);  // <s>
  CHECK(std::equal(sample.ids.begin() + 1, sample.ids.end(), sample.labels.begin() + 1));
}

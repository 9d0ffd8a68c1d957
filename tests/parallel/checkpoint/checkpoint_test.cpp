// A checkpoint is read by any number of ranks as any other wrote it, to the bit; and every byte that is
// missing and every bit that is another one is found.
#include <filesystem>
#include <numeric>
#include <random>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "parallel/checkpoint/restore.h"
#include "parallel/checkpoint/snapshot.h"
#include "runtime/io/atomic_file.h"
#include "tests/support/failure.h"
#include "tests/support/path_escapes.h"
#include "tests/support/scratch_folder.h"

namespace longsight::parallel {
namespace {

// Trained and frozen parameters by turns; scalars, odd lengths, and one longer than any share.
struct Model {
  explicit Model(const std::vector<std::string>& frozen = {"b", "e"}, const Sharding& sharding = {}) {
    const std::vector<std::pair<std::string, Shape>> shapes{{"a", {3, 5}},  {"b", {7}},       {"c", {}},
                                                            {"d", {61, 9}}, {"e", {2, 2, 2}}, {"f", {1}},
                                                            {"g", {13}},    {"h", {4, 4}}};
    for (const auto& [name, shape] : shapes)
      parameters.add({.name = name, .shape = shape, .part = "language", .init = init_normal(1)});
    parameters.set_trainable(
        [&](const Parameter& p) { return std::find(frozen.begin(), frozen.end(), p.name) == frozen.end(); });
    parameters.allocate(DType::F32, true, Backend::host, sharding);
    optimizer.emplace(parameters);
  }
  void randomise(u64 seed) {
    parameters.initialise(seed);
    const Philox random(seed, "moments");
    u64 i = 0;
    for (const Tensor& moments : {optimizer->first_moments(), optimizer->second_moments()}) {
      for (i64 e = 0; e < moments.elements(); ++e)
        moments.host<float>()[e] = static_cast<float>(random.below(1 << 20, i++)) / 1024;
    }
    for (ParameterId id = 0; id < parameters.size(); ++id) {
      if (parameters.has_grad(id)) optimizer->set_steps(id, static_cast<i64>(seed) + id);
    }
  }
  std::map<std::string, std::string> frozen() const {
    return hashes_of_frozen(parameters, [&](ParameterId id) { return parameters.has_grad(id); }, {});
  }
  // All bits of it.
  std::string state() const {
    std::string bytes;
    for (const Tensor& x : {parameters.values(), optimizer->first_moments(), optimizer->second_moments()})
      bytes.append(static_cast<const char*>(x.data()), static_cast<std::size_t>(x.bytes()));
    for (ParameterId id = 0; id < parameters.size(); ++id) bytes += fmt::format(" {}", optimizer->steps(id));
    return bytes;
  }

  ParameterRegistry parameters;
  std::optional<AdamW> optimizer;
};

Manifest write(const Model& model, const std::string& folder, i64 ranks) {
  io::ensure_folder(folder);
  Manifest manifest{.step = 12,
                    .samples_seen = 34,
                    .tokens_seen = 56,
                    .samples_drawn = 34,
                    .skipped = 5,
                    .skipped_in_a_row = 2,
                    .best_loss = 0.1,
                    .written = "now",
                    .ranks = ranks,
                    .data_groups = ranks};
  manifest.logs["metrics.jsonl"] = {.bytes = 5, .hash = wide_hash("12345")};
  manifest.facts = {{"train.seed", "7"}, {"name \"with\" signs", "ü\n"}};
  manifest.frozen = model.frozen();
  manifest.tensors = deal_tensors(model.parameters, *model.optimizer, ranks);
  for (i64 rank = 0; rank < ranks; ++rank)
    manifest.files.push_back(Snapshot(model.parameters, *model.optimizer, rank, ranks, {}).write(folder));
  io::write_file(folder + "/" + kManifestName, manifest_text(manifest));
  return manifest;
}

std::string problem_of(const std::string& folder) {
  try {
    return problem_of_files(folder, read_manifest(folder), 0, 1);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_checkpoint);
    return error.what();
  }
}

// One bit of a file, there and back.
class FlippedBit {
 public:
  FlippedBit(int descriptor, i64 bit) : descriptor_(descriptor), bit_(bit) { flip(); }
  ~FlippedBit() { flip(); }

 private:
  void flip() const {
    char byte = 0;
    check(::pread(descriptor_, &byte, 1, bit_ / 8) == 1, "no byte {}", bit_ / 8);
    byte = static_cast<char>(byte ^ (1 << (bit_ % 8)));
    check(::pwrite(descriptor_, &byte, 1, bit_ / 8) == 1, "byte {} is not written", bit_ / 8);
  }
  int descriptor_;
  i64 bit_;
};

struct OpenForWriting {
  explicit OpenForWriting(const std::string& path) : descriptor(::open(path.c_str(), O_RDWR)) {}
  ~OpenForWriting() { ::close(descriptor); }
  OpenForWriting(const OpenForWriting&) = delete;
  OpenForWriting& operator=(const OpenForWriting&) = delete;
  int descriptor;
};

}  // namespace

TEST_CASE("what any number of ranks writes is read to the bit") {
  const ScratchFolder scratch;
  Model model;
  model.randomise(3);
  for (const i64 ranks : {1, 2, 3, 4, 8, 700}) {  // 700: more than there are elements
    CAPTURE(ranks);
    const std::string folder = scratch / fmt::format("{}", ranks);
    write(model, folder, ranks);
    CHECK(problem_of(folder) == "");
    const Manifest manifest = read_manifest(folder);
    Model other;
    other.randomise(4);
    for (const char* frozen : {"b", "e"}) {  // these come from the model that the run began with
      const ParameterId id = model.parameters.find(frozen);
      copy(other.parameters.value(id), model.parameters.value(id), {});
    }
    CHECK(differences_of_parameters(manifest, other.parameters, other.frozen()).empty());
    REQUIRE(other.state() != model.state());
    restore(folder, manifest, other.parameters, &*other.optimizer, {});
    CHECK(other.state() == model.state());
  }
}

TEST_CASE("what is dealt in any stage is written and read as what every rank holds") {
  const ScratchFolder scratch;
  const std::vector<std::string> frozen{"b", "e"};
  Model whole;
  whole.randomise(3);
  const auto held = [&](const Tensor& of_whole, const Model& m, ParameterId id, bool dealt) {
    const ParameterRegistry& p = m.parameters;
    const Share part = dealt ? p.part_of(id, p.bucket_of(id).own) : Share{0, p[id].elements()};
    const Tensor row = of_whole.row_range(part.elements() > 0 ? part.begin : 0, part.elements());
    return std::string(static_cast<const char*>(row.data()), static_cast<std::size_t>(row.bytes()));
  };
  const auto bytes_at = [](Tensor x, i64 first, i64 count) {
    const Tensor row = x.row_range(count > 0 ? first : 0, count);
    return std::string(static_cast<const char*>(row.data()), static_cast<std::size_t>(row.bytes()));
  };
  // Rank `rank` of `ranks` holds what the whole model holds there.
  const auto check_held = [&](const Model& m, int stage) {
    for (ParameterId id = 0; id < m.parameters.size(); ++id) {
      const Parameter& p = whole.parameters[id];
      const Tensor value = whole.parameters.value(id).reshape({p.elements()}),
                   kept = m.parameters.held_value(id);
      if (m.parameters.has_grad(id))
        CHECK(bytes_at(kept, 0, kept.elements()) == held(value, m, id, stage == 3));
      if (!m.parameters.has_grad(id)) continue;
      const ParameterBucket& bucket = m.parameters.bucket_of(id);
      const Share part = stage == 0 ? Share{0, p.elements()} : m.parameters.part_of(id, bucket.own);
      const i64 at = bucket.moments_at + m.parameters.in_bucket(id) + part.begin;
      CHECK(bytes_at(m.optimizer->second_moments(), at, part.elements()) ==
            held(whole.optimizer->second_moments().row_range(p.grad_offset, p.elements()), m, id, stage > 0));
      CHECK(m.optimizer->steps(id) == whole.optimizer->steps(id));
    }
  };
  write(whole, scratch / "0", 3);
  for (const int from : {0, 1, 2, 3}) {
    if (from > 0) {
      // Two ranks of stage `from` read what three replicas wrote, and write it again.
      io::ensure_folder(scratch / fmt::format("{}", from));
      Manifest manifest = read_manifest(scratch / "0");
      manifest.files.clear();
      for (i64 rank = 0; rank < 2; ++rank) {
        Model m(frozen, {from, rank, 2});
        restore(scratch / "0", read_manifest(scratch / "0"), m.parameters, &*m.optimizer, {});
        check_held(m, from);
        manifest.tensors = deal_tensors(m.parameters, *m.optimizer, 2);
        manifest.files.push_back(
            Snapshot(m.parameters, *m.optimizer, rank, 2, {}).write(scratch / fmt::format("{}", from)));
      }
      io::write_file(scratch / fmt::format("{}/{}", from, kManifestName), manifest_text(manifest));
    }
    for (const int to : {0, 1, 2, 3}) {
      CAPTURE(from);
      CAPTURE(to);
      const std::string folder = scratch / fmt::format("{}", from);
      CHECK(problem_of(folder) == "");
      for (i64 rank = 0; rank < 5; ++rank) {
        Model m(frozen, {to, rank, 5});
        restore(folder, read_manifest(folder), m.parameters, &*m.optimizer, {});
        check_held(m, to);
      }
    }
  }
}

TEST_CASE("the ranks' files have the same size, within a header and one element of each kind") {
  const ScratchFolder scratch;
  Model model;
  const Manifest manifest = write(model, scratch / "4", 4);
  const i64 elements = model.parameters.gradients().elements();
  for (std::size_t i = 0; i < manifest.files.size(); ++i) {
    i64 held = 0;
    for (const CheckpointTensor& tensor : manifest.tensors) {
      for (const CheckpointSlice& slice : tensor.slices) {
        if (slice.file == static_cast<i64>(i)) held += slice.end - slice.begin;
      }
    }
    // The trained parameters are three rows, each dealt by itself.
    CHECK(held >= elements / 4 - 2);
    CHECK(held <= elements / 4 + 3);
  }
}

TEST_CASE("the copy of the largest share takes the memory that is predicted") {
  Model model;
  for (const i64 ranks : {1, 2, 3, 4, 8, 700}) {
    CAPTURE(ranks);
    i64 most = 0;
    for (i64 rank = 0; rank < ranks; ++rank)
      most = std::max(most, Snapshot(model.parameters, *model.optimizer, rank, ranks, {}).bytes());
    CHECK(most == Snapshot::bytes(model.parameters, ranks));
  }
}

TEST_CASE("a manifest says again what it was made of") {
  const ScratchFolder scratch;
  Model model;
  model.randomise(5);
  const Manifest manifest = write(model, scratch / "x", 3);
  const std::string text = manifest_text(manifest);
  CHECK(manifest_text(parse_manifest(text, "x")) == text);
  const Manifest read = parse_manifest(text, "x");
  CHECK(read.step == 12);
  CHECK(read.skipped == 5);
  CHECK(read.skipped_in_a_row == 2);
  CHECK(read.best_loss == 0.1);
  CHECK(read.facts[1].value == "ü\n");
  CHECK(read.logs.at("metrics.jsonl") == manifest.logs.at("metrics.jsonl"));
}

TEST_CASE("a manifest with a good hash leads to no other folder, and its slices lie end to end") {
  const ScratchFolder scratch;
  Model model;
  const Manifest good = write(model, scratch / "x", 2);
  const auto refused = [](const Manifest& bad, const std::string& why) {
    const Failure failure = failure_of([&] { parse_manifest(manifest_text(bad), "x"); });
    CHECK(failure.code == ExitCode::bad_checkpoint);
    CHECK_MESSAGE(contains(failure.message, why), failure.message);
  };
  for (const char* name : {"../rank-0", "/etc/passwd", "..", "a/b", "", "Rank", ".x"}) {
    Manifest bad = good;
    bad.files[0].name = name;
    refused(bad, "is no name of a file there");
  }
  for (const std::string& way : path_escapes(scratch.path())) {
    const bool plain = way == "link" || way == "up" || way == "sub";  // names like others
    if (plain) continue;
    CAPTURE(way);
    Manifest bad = good;
    bad.files[0].name = way;
    CHECK(failure_of([&] { parse_manifest(manifest_text(bad), "x"); }).code == ExitCode::bad_checkpoint);
  }
  const auto with_slices = [&](std::vector<CheckpointSlice> slices) {
    Manifest bad = good;
    bad.tensors[0].slices = std::move(slices);
    return bad;
  };
  refused(with_slices({}), "slices of 0 of its 15 elements");
  refused(with_slices({{0, 0, 14}}), "slices of 14 of its 15 elements");
  refused(with_slices({{0, 0, 7}, {1, 8, 15}}), "do not lie end to end");
  refused(with_slices({{0, 0, 8}, {1, 7, 15}}), "do not lie end to end");
  refused(with_slices({{2, 0, 15}}), "do not lie end to end");
  refused(with_slices({{0, 0, 16}}), "slices of 16 of its 15 elements");
}

TEST_CASE("counts of a manifest are counts") {
  const auto refused = [](auto&& change) {
    Manifest bad{.logs = {{"metrics.jsonl", {1, "00"}}}, .files = {{"rank-0", 1, "00"}}};
    CHECK(failure_of([&] { parse_manifest(manifest_text(bad), "x"); }).code == ExitCode::done);
    change(bad);
    CHECK(failure_of([&] { parse_manifest(manifest_text(bad), "x"); }).code == ExitCode::bad_checkpoint);
  };
  refused([](Manifest& m) { m.step = -1; });
  refused([](Manifest& m) { m.samples_seen = -1; });
  refused([](Manifest& m) { m.tokens_seen = -1; });
  refused([](Manifest& m) { m.samples_drawn = -1; });
  refused([](Manifest& m) { m.ranks = 0; });
  refused([](Manifest& m) { m.data_groups = -2; });
  refused([](Manifest& m) { m.sequence_ranks = 0; });
  refused([](Manifest& m) { m.files[0].bytes = -1; });
  refused([](Manifest& m) { m.logs["metrics.jsonl"].bytes = -1; });
}

TEST_CASE("a file that is cut anywhere, or not there, is found") {
  const ScratchFolder scratch;
  Model model;
  model.randomise(6);
  const std::string folder = scratch / "x";
  const Manifest manifest = write(model, folder, 2);
  for (std::string name : {manifest.files[0].name, manifest.files[1].name, std::string(kManifestName)}) {
    CAPTURE(name);
    const std::string path = folder + "/" + name, whole = contents_of(path);
    i64 passed = 0;
    for (std::size_t bytes = whole.size(); bytes-- > 0;) {
      check(::truncate(path.c_str(), static_cast<off_t>(bytes)) == 0, "{} is not cut", path);
      passed += problem_of(folder).find(name) == std::string::npos;
    }
    CHECK(passed == 0);
    std::filesystem::remove(path);
    CHECK(problem_of(folder).find(name) != std::string::npos);
    scratch.write("x/" + name, whole + "x");
    CHECK(problem_of(folder).find(name) != std::string::npos);
    scratch.write("x/" + name, whole);
    CHECK(problem_of(folder) == "");
  }
}

TEST_CASE("every flipped bit of manifest and headers is found, and of the values any of 10,000") {
  const ScratchFolder scratch;
  Model model;
  model.randomise(7);
  const std::string folder = scratch / "x";
  const Manifest manifest = write(model, folder, 1);
  const auto missed = [&](const std::string& name, auto&& bits) {
    const OpenForWriting file(folder + "/" + name);
    i64 count = 0;
    for (const i64 bit : bits) {
      const FlippedBit flipped(file.descriptor, bit);
      count += problem_of(folder).empty();
    }
    return count;
  };
  const auto all = [](i64 bytes) {
    std::vector<i64> bits(static_cast<std::size_t>(8 * bytes));
    std::iota(bits.begin(), bits.end(), 0);
    return bits;
  };
  const std::string name = manifest.files[0].name, text = contents_of(folder + "/" + name);
  i64 header = 8;
  for (int i = 0; i < 8; ++i)
    header += i64{static_cast<unsigned char>(text[static_cast<std::size_t>(i)])} << (8 * i);
  CHECK(missed(kManifestName, all(static_cast<i64>(manifest_text(manifest).size()))) == 0);
  CHECK(missed(name, all(header)) == 0);
  std::mt19937_64 random(8);
  std::vector<i64> payload;
  for (int i = 0; i < 10'000; ++i)
    payload.push_back(8 * header +
                      static_cast<i64>(random() % static_cast<u64>(8 * (manifest.files[0].bytes - header))));
  CHECK(missed(name, payload) == 0);
  CHECK(problem_of(folder) == "");
}

TEST_CASE("another model is told by the name of what differs") {
  const ScratchFolder scratch;
  Model model;
  const Manifest manifest = write(model, scratch / "x", 1);
  const auto first = [&](const Manifest& m, const Model& now) {
    const auto found = differences_of_parameters(m, now.parameters, now.frozen());
    return found.empty() ? ParameterDifference{} : found.front();
  };
  CHECK(first(manifest, model).text == "");
  CHECK(first(manifest, Model({"b"})).text == "it did not train e, this run does");
  CHECK(first(manifest, Model({"b", "e", "f"})).text == "it trained f, which is frozen now");
  Manifest other = manifest;
  other.tensors[0].shape = {5, 3};
  CHECK(first(other, model).text == "a is [5, 3] in it, but [3, 5] in this model");
  other = manifest;
  other.tensors[0].name = "z";
  CHECK(first(other, model).text == "it holds z, which this model has not");
  other = manifest;
  other.frozen["b"] = wide_hash("another");
  CHECK(first(other, model).text.starts_with("b, which is not trained, had other values"));
  CHECK(first(other, model).of_values);
  other = manifest;
  other.frozen.erase("e");
  CHECK(first(other, model).text == "it does not know e, which this model has");
  other = manifest;
  other.tensors.push_back(other.tensors[0]);
  CHECK(first(other, model).text == "it names a twice");
}

}  // namespace longsight::parallel

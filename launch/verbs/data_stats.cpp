// longsight data stats: what a data set holds, in samples, pictures and tokens.
#include <algorithm>

#include "launch/output.h"
#include "launch/progress.h"
#include "launch/samples/left_out.h"
#include "launch/verbs/data_verbs.h"
#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/data/records/parallel_samples.h"

namespace longsight::launch {
namespace {

using nlohmann::ordered_json;

struct DataStatsOptions {
  FileOptions files;
  std::string model, chat;
  bool json = false;
};

constexpr i64 kLeftOut = -1;  // tokens of a sample that cannot be read

struct SampleFacts {
  i64 tokens = 0, visual = 0, supervised = 0, images = 0, videos = 0;
};

// Of one source, or of all of them.
struct Statistics {
  std::string name;
  std::vector<SampleFacts> samples;
  double seconds = 0;
  std::string longest_at;
  i64 left_out = 0;  // data.bad: skip

  i64 sum(i64 SampleFacts::*what) const {
    i64 total = 0;
    for (const SampleFacts& s : samples) total += s.*what;
    return total;
  }
  i64 longest() const {
    i64 most = 0;
    for (const SampleFacts& s : samples) most = std::max(most, s.tokens);
    return most;
  }
  void add(const Statistics& more) {
    if (more.longest() > longest()) longest_at = more.longest_at;
    samples.insert(samples.end(), more.samples.begin(), more.samples.end());
    seconds += more.seconds;
    left_out += more.left_out;
  }
};

Statistics measure(const OpenSource& source, const SampleMaker& maker, bool skip_bad) {
  Statistics stats{.name = source.name,
                   .samples = std::vector<SampleFacts>(static_cast<std::size_t>(source.samples)),
                   .longest_at = {}};
  std::vector<data::EncodeCache> caches(static_cast<std::size_t>(data::sample_threads()));
  const double start = steady_seconds();
  LeftOut left_out(source, source.samples, skip_bad);
  Progress progress("reading " + source.name, source.samples, true);
  data::parallel_samples(
      source.samples,
      [&](i64 i, int thread) {
        const data::ChatSample chat = source.data->sample(i);
        const model::Sample sample = maker.sample(chat, caches[static_cast<std::size_t>(thread)]);
        SampleFacts& facts = stats.samples[static_cast<std::size_t>(i)];
        facts = {.tokens = sample.tokens(),
                 .visual = maker.visual_tokens(sample),
                 .supervised = supervised_tokens(sample)};
        for (const data::ChatMedia& media : chat.media) (media.video ? facts.videos : facts.images) += 1;
      },
      [&](i64 i, const std::exception_ptr& error) {
        if (error) {
          progress.clear();
          left_out.add(i, error);
          stats.samples[static_cast<std::size_t>(i)].tokens = kLeftOut;
        }
        if ((i + 1) % 256 == 0 && i + 1 < source.samples) progress.update(i + 1, "samples,");
      });
  progress.clear();
  stats.seconds = steady_seconds() - start;
  const auto longest =
      std::max_element(stats.samples.begin(), stats.samples.end(),
                       [](const SampleFacts& a, const SampleFacts& b) { return a.tokens < b.tokens; });
  stats.longest_at = source.data->where(longest - stats.samples.begin());
  std::erase_if(stats.samples, [](const SampleFacts& s) { return s.tokens == kLeftOut; });
  stats.left_out = left_out.count();
  left_out.log();
  return stats;
}

// Samples whose value lies in [from, to].
struct Bucket {
  i64 from = 0, to = 0, samples = 0;
};

std::vector<i64> values_of(const Statistics& stats, i64 SampleFacts::*what) {
  std::vector<i64> values;
  for (const SampleFacts& s : stats.samples) values.push_back(s.*what);
  std::sort(values.begin(), values.end());
  return values;
}

// 0, 1, 2, 3-4, 5-8, 9-16, ...: up to the largest value.
std::vector<Bucket> histogram(const std::vector<i64>& sorted) {
  std::vector<Bucket> buckets;
  i64 from = 0, to = 0;
  for (auto at = sorted.begin(); at != sorted.end();) {
    const auto end = std::upper_bound(at, sorted.end(), to);
    // Empty ones in front of the first value say nothing.
    if (end != at || !buckets.empty()) buckets.push_back({from, to, end - at});
    at = end;
    from = to + 1;
    to = to == 0 ? 1 : to * 2;
  }
  return buckets;
}

// The value that this share of the samples does not exceed.
i64 percentile(const std::vector<i64>& sorted, i64 percent) {
  const auto rank = ceil_div(static_cast<i64>(sorted.size()) * percent, 100);
  return sorted[static_cast<std::size_t>(std::max<i64>(rank, 1) - 1)];
}

ordered_json json_of(const std::vector<Bucket>& buckets) {
  ordered_json list = ordered_json::array();
  for (const Bucket& b : buckets) list.push_back({{"from", b.from}, {"to", b.to}, {"samples", b.samples}});
  return list;
}

ordered_json json_of(const Statistics& stats) {
  const std::vector<i64> lengths = values_of(stats, &SampleFacts::tokens);
  ordered_json json;
  if (!stats.name.empty()) json["name"] = stats.name;
  json["samples"] = stats.samples.size();
  if (stats.left_out > 0) json["left_out"] = stats.left_out;
  json["images"] = stats.sum(&SampleFacts::images);
  json["videos"] = stats.sum(&SampleFacts::videos);
  json["tokens"] = stats.sum(&SampleFacts::tokens);
  json["visual_tokens"] = stats.sum(&SampleFacts::visual);
  json["supervised_tokens"] = stats.sum(&SampleFacts::supervised);
  json["median_tokens"] = percentile(lengths, 50);
  json["p90_tokens"] = percentile(lengths, 90);
  json["p99_tokens"] = percentile(lengths, 99);
  json["longest"] = {{"tokens", lengths.back()}, {"where", stats.longest_at}};
  json["token_histogram"] = json_of(histogram(lengths));
  json["image_histogram"] = json_of(histogram(values_of(stats, &SampleFacts::images)));
  json["seconds"] = stats.seconds;
  return json;
}

// 1234567 -> "1,234,567"
std::string grouped(i64 number) {
  std::string text = fmt::format("{}", number);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<std::size_t>(at), ",");
  }
  return text;
}

void print_histogram(const char* title, const char* unit, const std::vector<Bucket>& buckets) {
  constexpr i64 kBar = 40;
  i64 most = 1;
  for (const Bucket& b : buckets) most = std::max(most, b.samples);
  print_line(title);
  for (const Bucket& b : buckets) {
    const std::string range =
        b.from == b.to ? grouped(b.from) : fmt::format("{} - {}", grouped(b.from), grouped(b.to));
    print_line(fmt::format("{:>21} {} {:<{}} {}", range, unit,
                           std::string(static_cast<std::size_t>(ceil_div(b.samples * kBar, most)), '#'), kBar,
                           grouped(b.samples)));
  }
}

void print_row(const std::string& name, const std::vector<std::string>& cells) {
  std::string line = fmt::format("{:<36}", name.size() <= 36 ? name : "..." + name.substr(name.size() - 33));
  for (const std::string& cell : cells) line += fmt::format("{:>13}", cell);
  print_line(line);
}

void print_row(const std::string& name, const Statistics& s) {
  std::vector<std::string> cells{grouped(static_cast<i64>(s.samples.size()))};
  for (const auto what : {&SampleFacts::images, &SampleFacts::videos, &SampleFacts::tokens,
                          &SampleFacts::visual, &SampleFacts::supervised}) {
    cells.push_back(grouped(s.sum(what)));
  }
  cells.push_back(grouped(s.longest()));
  print_row(name, cells);
}

void print_table(const std::vector<Statistics>& sources, const Statistics& total) {
  print_row("data", {"samples", "images", "videos", "tokens", "visual", "supervised", "longest"});
  for (const Statistics& s : sources) print_row(s.name, s);
  if (sources.size() > 1) print_row("all", total);
  const std::vector<i64> lengths = values_of(total, &SampleFacts::tokens);
  print_line("");
  print_line(
      fmt::format("half of the samples have at most {} tokens, 90 % at most {}, 99 % at most {}; the longest "
                  "has {} ({})",
                  grouped(percentile(lengths, 50)), grouped(percentile(lengths, 90)),
                  grouped(percentile(lengths, 99)), grouped(lengths.back()), total.longest_at));
  print_line("");
  print_histogram("samples by tokens", "tokens", histogram(lengths));
  print_histogram("samples by images", "images", histogram(values_of(total, &SampleFacts::images)));
  print_line("");
  print_line(fmt::format(
      "read and tokenised in {:.2f} s on {} threads: {} samples/s, {} tokens/s", total.seconds,
      data::sample_threads(),
      grouped(static_cast<i64>(static_cast<double>(total.samples.size()) / total.seconds)),
      grouped(static_cast<i64>(static_cast<double>(total.sum(&SampleFacts::tokens)) / total.seconds))));
}

ExitCode run_stats(Job& job, const DataStatsOptions& o) {
  if (!job.leads()) return ExitCode::done;
  const auto maker = open_maker_for(o.files, o.model, o.chat);
  std::vector<Statistics> sources;
  Statistics total;
  const bool skip = skips_bad(o.files);
  for (const OpenSource& source : open_files(o.files)) {
    sources.push_back(measure(source, *maker, skip));
    total.add(sources.back());
  }
  if (o.json) {
    ordered_json json = json_of(total);
    json["threads"] = data::sample_threads();
    json["sources"] = ordered_json::array();
    for (const Statistics& s : sources) json["sources"].push_back(json_of(s));
    print_line(json_text(json));
  } else {
    print_table(sources, total);
  }
  return ExitCode::done;
}

}  // namespace

void add_data_stats(Command data, Run& run) {
  const Command verb =
      data.add_command("stats", "Samples, pictures, tokens of text, of pictures and with loss; lengths");
  auto o = std::make_shared<DataStatsOptions>();
  add_file_options(verb, o->files);
  verb.add_option("--model", o->model,
                  "model or run folder whose tokenizer counts (default: that of the configuration)");
  verb.add_option("--chat", o->chat, "chat template instead of the model's own: NAME or FILE.jinja");
  verb.add_flag("--json", o->json, "one line of JSON");
  verb.callback([o, &run] { run = [o](Job& job) { return run_stats(job, *o); }; });
}

}  // namespace longsight::launch

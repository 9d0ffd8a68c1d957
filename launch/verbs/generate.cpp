// longsight generate: greedy answers, to one question or to the last turns of a data set.
#include <algorithm>

#include "launch/output.h"
#include "launch/progress.h"
#include "launch/samples/model_source.h"
#include "launch/verb.h"
#include "model/decoder.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/base/utf8.h"
#include "runtime/data/records/check_data.h"
#include "runtime/data/records/open_data.h"

namespace longsight::launch {
namespace {

// Samples that a rank answers between two exchanges of results, if there are several ranks.
constexpr i64 kSamplesPerRound = 2;

struct GenerateOptions {
  std::string model, prompt, data, dtype = "f32", chat, adapter;
  std::vector<std::string> images, allow_missing;
  i64 max_tokens = 128;
  std::optional<i64> limit;
  bool has_prompt = false;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

data::ChatSample question(const GenerateOptions& o) {
  data::ChatMessage message{.role = data::Role::user, .parts = {}, .loss = false};
  std::vector<data::ChatMedia> media;
  for (const std::string& image : o.images) {
    message.parts.push_back({.kind = data::PartKind::image});
    media.push_back({.video = false, .frames = {{.path = image}}});
  }
  message.parts.push_back({.text = o.prompt});
  return {.where = "--prompt", .id = {}, .messages = {std::move(message)}, .media = std::move(media)};
}

// The last assistant turn of a sample: what it says, and how many such turns are in front of it.
struct LastTurn {
  i64 turn = -1;
  std::string text;
};
LastTurn last_turn(const data::ChatSample& sample) {
  LastTurn last;
  for (const data::ChatMessage& message : sample.messages) {
    if (message.role == data::Role::assistant) last = {last.turn + 1, text_of(message)};
  }
  return last;
}

// --adapter names what belongs to --model.
ModelSource source_of(const GenerateOptions& o) {
  return o.adapter.empty() ? find_source(o.model) : find_source(o.adapter, o.model);
}

class Generator {
 public:
  Generator(const GenerateOptions& o, DType dtype, Stream stream)
      : samples_(open_sample_maker(source_of(o), o.chat)),
        run_(load_source(source_of(o), dtype, o.allow_missing)),
        decoder_(*run_.model, stream),
        options_{.max_tokens = o.max_tokens, .stop = samples_->stop_tokens()} {}

  std::string answer(const data::ChatSample& chat) {
    const model::Sample prompt = samples_->prompt(chat, cache_);
    const model::Generated generated = generate(decoder_, prompt, options_);
    cut_ += !generated.ended;
    const i64 most = run_.model->config().text.max_positions;
    if (decoder_.length() > most && !warned_) {
      warned_ = true;
      log_warn("{}: {} positions are more than the {} that the model was made for (max_position_embeddings)",
               chat.where, decoder_.length(), most);
    }
    return samples_->text(generated.ids);
  }
  i64 cut() const { return cut_; }  // answers that ended at max_tokens

 private:
  std::unique_ptr<SampleMaker> samples_;
  RunModel run_;
  model::Decoder decoder_;
  model::GreedyOptions options_;
  data::EncodeCache cache_;
  i64 cut_ = 0;
  bool warned_ = false;
};

void answer_prompt(const GenerateOptions& o, DType dtype, Stream stream) {
  Generator generator(o, dtype, stream);
  print_line(trimmed(generator.answer(question(o))));
  if (generator.cut() > 0) log_info("the answer was cut at {} tokens (--max-tokens)", o.max_tokens);
}

// Sample i of a round belongs to rank i modulo the number of ranks; rank 0 prints them in the order of the
// file.
void answer_data(Job& job, const GenerateOptions& o, DType dtype) {
  const auto file = data::open_chat_data(data::guess_data_spec(o.data, job.open_data));
  data::check_samples(*file);
  const i64 samples = std::min(o.limit.value_or(file->size()), file->size());
  const i64 ranks = job.world.size(), round = ranks == 1 ? 1 : ranks * kSamplesPerRound;
  Generator generator(o, dtype, job.stream);
  Progress progress("generating", samples, job.leads());
  i64 exact = 0;
  for (i64 first = 0; first < samples; first += round) {
    const i64 last = std::min(first + round, samples);
    nlohmann::ordered_json mine = nlohmann::ordered_json::array();
    for (i64 i = first + job.world.rank(); i < last; i += ranks) {
      const data::ChatSample sample = file->sample(i);
      require(!sample.plain, ExitCode::bad_data, "{}: a plain text asks nothing that could be answered",
              sample.where);
      const LastTurn reference = last_turn(sample);
      const std::string generated = generator.answer(sample);
      mine.push_back({{"id", sample.id.empty() ? sample.where : sample.id},
                      {"turn", reference.turn},
                      {"generated", generated},
                      {"reference", reference.text},
                      {"exact", trimmed(generated) == trimmed(reference.text)}});
    }
    const auto all = job.world.all_gather(json_text(mine), job.stream, "answers");
    if (!job.leads()) continue;
    std::vector<nlohmann::ordered_json> of_rank;
    for (const std::string& text : all) of_rank.push_back(nlohmann::ordered_json::parse(text));
    progress.clear();
    for (i64 i = 0; i < last - first; ++i) {
      const auto& line = of_rank[static_cast<std::size_t>(i % ranks)][static_cast<std::size_t>(i / ranks)];
      exact += line["exact"].get<bool>();
      print_line(json_text(line));
    }
    progress.update(
        last, fmt::format("exact {:.1f} %,", 100.0 * static_cast<double>(exact) / static_cast<double>(last)));
  }
  progress.clear();
  const i64 cut = job.world.all_reduce_sum(generator.cut(), job.stream, "cut answers");
  if (!job.leads()) return;
  if (cut > 0) log_info("{} of {} answers were cut at {} tokens (--max-tokens)", cut, samples, o.max_tokens);
  log_info("exact: {:.2f} % ({} of {})", 100.0 * static_cast<double>(exact) / static_cast<double>(samples),
           exact, samples);
}

ExitCode run_generate(Job& job, const GenerateOptions& o) {
  require(o.has_prompt != !o.data.empty(), ExitCode::usage,
          "generate: give either --prompt TEXT or --data FILE.jsonl");
  const i64 invalid = first_invalid_utf8(o.prompt);
  require(invalid < 0, ExitCode::usage, "--prompt: invalid UTF-8 at byte {}", invalid);
  require(!o.data.empty() || !o.limit, ExitCode::usage,
          "generate: --limit belongs to --data; --prompt is one question");
  require(o.data.empty() || o.images.empty(), ExitCode::usage,
          "generate: --image belongs to --prompt; the samples of --data name their own images");
  require(o.max_tokens >= 1, ExitCode::usage, "--max-tokens {}: at least 1", o.max_tokens);
  require(o.limit.value_or(1) >= 1, ExitCode::usage, "--limit {}: at least 1", o.limit.value_or(1));
  const DType dtype = dtype_from_name(o.dtype);
  require(dtype == DType::F32 || dtype == DType::F64 || dtype == DType::BF16, ExitCode::usage,
          "--dtype {}: f32, bf16 or f64", o.dtype);
  if (!o.data.empty()) {
    answer_data(job, o, dtype);
  } else if (job.leads()) {
    answer_prompt(o, dtype, job.stream);
  }
  return ExitCode::done;
}

}  // namespace

void add_generate(Command app, Run& run) {
  const Command verb =
      app.add_command("generate", "Answer a question, or the last turn of each sample, greedily");
  auto o = std::make_shared<GenerateOptions>();
  verb.add_option("--model", o->model, "run, save, checkpoint, adapters or Hugging Face model folder")
      .required();
  verb.add_option("--image", o->images, "images in front of the prompt, in this order");
  const Option prompt = verb.add_option("--prompt", o->prompt, "the question; the answer goes to stdout");
  verb.add_option("--data", o->data,
                  "data file; one JSON line per sample goes to stdout (id, turn, generated, reference, "
                  "exact). Ranks share the samples");
  verb.add_option("--max-tokens", o->max_tokens, "most tokens of an answer (default 128)");
  verb.add_option("--dtype", o->dtype, "f32 (default, whatever the precision of a run), bf16 or f64");
  verb.add_option("--chat", o->chat, "chat template instead of the model folder's own: NAME or FILE.jinja");
  verb.add_option("--adapter", o->adapter, "PEFT adapter folder that belongs to the model");
  verb.add_option("--limit", o->limit, "only the first N samples (default: all)");
  add_allow_missing(verb, o->allow_missing);
  verb.callback([o, prompt, &run] {
    o->has_prompt = prompt.given();
    run = [o](Job& job) { return run_generate(job, *o); };
  });
}

}  // namespace longsight::launch

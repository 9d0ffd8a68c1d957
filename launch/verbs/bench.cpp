// longsight bench: matrix products, attention, exchanges and whole training steps on synthetic data.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include "launch/measure.h"
#include "launch/plan_run.h"
#include "launch/training/train_step.h"
#include "launch/verb.h"
#include "model/files/checkpoint.h"
#include "model/inputs/synthetic.h"
#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/ops/attention.h"
#include "runtime/ops/linear.h"
#include "runtime/tensor/host_values.h"

namespace longsight::launch {
namespace {

using Line = nlohmann::ordered_json;

std::vector<float> random_values(i64 count, std::string_view name, double deviation = 1) {
  const Philox random(1, name);
  std::vector<float> values;
  for (i64 i = 0; i < count; ++i)
    values.push_back(static_cast<float>(deviation * (2 * random.uniform(static_cast<u64>(i)) - 1)));
  return values;
}

void print(const Line& line, bool json) {
  if (json) {
    fmt::print("{}\n", json_text(line));
    return;
  }
  for (const auto& [key, value] : line.items())
    fmt::print("{:24} {}\n", key,
               value.is_number_float() ? fmt::format("{:.4g}", value.get<double>()) : json_text(value));
}

struct Product {
  i64 m, n, k;
  double gflops(double seconds) const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / seconds / 1e9;
  }
};
constexpr Product kLayerLike[] = {{1024, 1024, 1024}, {2048, 2048, 1024}, {4096, 1024, 1024}};

// Best rate of plain dnnl_sgemm over layer-like and square shapes, in GFLOP/s: the peak that shares are given
// of.
double gemm_peak(double seconds_each = 0.25) {
  double best = 0;
  for (const Product& c : kLayerLike) {
    const std::vector<float> a = random_values(c.m * c.k, "a"), b = random_values(c.n * c.k, "b");
    std::vector<float> y(static_cast<std::size_t>(c.m * c.n));
    const double begin = steady_seconds();
    while (steady_seconds() - begin < seconds_each) {
      const double start = steady_seconds();
      check(dnnl_sgemm('N', 'T', c.m, c.n, c.k, 1.F, a.data(), c.k, b.data(), c.k, 0.F, y.data(), c.n) ==
                dnnl_success,
            "sgemm");
      best = std::max(best, c.gflops(steady_seconds() - start));
    }
  }
  return best;
}

// Best rates of a layer's three products, x W^T, dy W and dy^T x, in GFLOP/s. In f32 and bf16 by turns, so
// that the ratios are those of one state of the machine.
Line linear_rates(const Product& shape, double seconds) {
  struct Layer {
    Layer(DType dtype, const Product& p)
        : x(dtype, {p.m, p.k}),
          dx(dtype, {p.m, p.k}),
          weight(dtype, {p.n, p.k}),
          y(dtype, {p.m, p.n}),
          dw(DType::F32, {p.n, p.k}) {
      const auto fill = [](const Tensor& to, const char* name) {
        auto values = random_values(to.elements(), name);
        copy(to, Tensor(values.data(), DType::F32, to.shape()), {});
      };
      fill(x, "x");
      fill(weight, "weight");
    }
    OwnedTensor x, dx, weight, y, dw;
  };
  const Layer layers[] = {Layer(DType::F32, shape), Layer(DType::BF16, shape)};
  double best[2][3] = {};
  const double begin = steady_seconds();
  while (steady_seconds() - begin < seconds) {
    for (int i = 0; i < 2; ++i) {
      const Layer& l = layers[i];
      double at = steady_seconds();
      const auto lap = [&](int product) {
        const double now = steady_seconds();
        best[i][product] = std::max(best[i][product], shape.gflops(now - std::exchange(at, now)));
      };
      ops::linear(l.y.view(), l.x.view(), l.weight, {}, {});
      lap(0);
      ops::linear_backward_input(l.dx.view(), l.y.view(), l.weight, ops::Write::overwrite, {});
      lap(1);
      ops::linear_backward_weight(l.dw, {}, l.y.view(), l.x.view(), {});
      lap(2);
    }
  }
  Line line{{"shape", fmt::format("{} x {} x {}", shape.m, shape.n, shape.k)}};
  const char* const names[] = {"forward", "backward_input", "backward_weight"};
  for (int product = 0; product < 3; ++product) {
    line[fmt::format("{}_f32_gflops", names[product])] = best[0][product];
    line[fmt::format("{}_bf16_gflops", names[product])] = best[1][product];
  }
  return line;
}

struct Common {
  i64 threads = 0;
  bool json = false;
  void add(Command verb) {
    verb.add_option("--threads", threads, "of this rank (default: its share of the cores)");
    verb.add_flag("--json", json, "one line of JSON, last on stdout");
  }
  void apply() const {
    require(threads >= 0, ExitCode::usage, "--threads {}: at least 1", threads);
    if (threads > 0) omp_set_num_threads(narrow<int>(threads));
  }
};

void add_gemm(Command app, Run& run) {
  const Command verb =
      app.add_command("gemm", "Rate of dnnl_sgemm, or of a layer's products in bf16 beside f32");
  struct Options : Common {
    std::string dtype = "f32";
    i64 rows = 2048, outputs = 512, inputs = 512;
  };
  auto c = std::make_shared<Options>();
  c->add(verb);
  verb.add_option("--dtype", c->dtype, "f32, or bf16 beside it (default f32)");
  verb.add_option("--rows", c->rows, "with --dtype bf16: of the activations (default 2048)");
  verb.add_option("--outputs", c->outputs, "with --dtype bf16: of the layer (default 512)");
  verb.add_option("--inputs", c->inputs, "with --dtype bf16: of the layer (default 512)");
  verb.callback([c, &run] {
    run = [c](Job& job) {
      c->apply();
      require(c->dtype == "f32" || c->dtype == "bf16", ExitCode::usage, "--dtype {}: f32 or bf16", c->dtype);
      require(c->rows > 0 && c->outputs > 0 && c->inputs > 0, ExitCode::usage,
              "--rows, --outputs and --inputs are positive");
      if (c->dtype == "bf16") {
        const Line line = linear_rates({c->rows, c->outputs, c->inputs}, 2.0);
        if (job.leads()) print(line, c->json);
        return ExitCode::done;
      }
      const double rate = gemm_peak(1.0);
      if (job.leads()) print({{"threads", omp_get_max_threads()}, {"gflops", rate}}, c->json);
      return ExitCode::done;
    };
  });
}

struct AttentionOptions : Common {
  i64 tokens = 8192, heads = 6, kv_heads = 6, width = 64, repeats = 5;
  i64 shortest = 0, longest = 0, window = 0, prefix = 0;
  bool full = false;
};

// Sequences of lengths drawn from [shortest, longest], packed; the last one takes what is left.
std::vector<ops::AttentionSpan> packed_spans(const AttentionOptions& o) {
  const Philox random(1, "lengths");
  std::vector<ops::AttentionSpan> spans;
  for (i64 begin = 0; begin < o.tokens;) {
    const i64 drawn = o.shortest + static_cast<i64>(random.below(static_cast<u64>(o.longest - o.shortest + 1),
                                                                 spans.size()));
    const i64 rows = std::min(drawn, o.tokens - begin);
    spans.push_back({begin, rows, begin, rows, 0, !o.full, o.window, o.prefix});
    begin += rows;
  }
  return spans;
}

void bench_attention(AttentionOptions o, bool leads) {
  require(o.tokens > 0 && o.heads > 0 && o.kv_heads > 0 && o.width > 0 && o.repeats > 0 &&
              o.heads % o.kv_heads == 0,
          ExitCode::usage,
          "--tokens, --heads, --kv-heads, --width and --repeats are positive, and --heads a multiple of "
          "--kv-heads");
  if (o.shortest == 0) o.shortest = o.longest > 0 ? 1 : o.tokens;
  if (o.longest == 0) o.longest = o.shortest;
  require(0 < o.shortest && o.shortest <= o.longest, ExitCode::usage,
          "--shortest {} and --longest {}: lengths from 1, the longest not below the shortest", o.shortest,
          o.longest);
  require(o.window >= 0 && o.prefix >= 0 && !(o.full && (o.window > 0 || o.prefix > 0)), ExitCode::usage,
          "--window and --prefix are not negative, and of causal attention: not with --full");
  o.apply();
  // q, k and v side by side, as a projection leaves them.
  const i64 q_columns = o.heads * o.width, kv_columns = o.kv_heads * o.width;
  const auto take = [&](i64 columns, const char* name) {
    OwnedTensor x(DType::F32, {o.tokens, columns});
    write_values<float>(x, random_values(x->elements(), name, 1.7), {});
    return x;
  };
  const auto part = [&](const OwnedTensor& x, i64 first, i64 heads) {
    return Heads(Matrix(x.view()).columns(first, heads * o.width), heads, o.width);
  };
  const OwnedTensor qkv = take(q_columns + 2 * kv_columns, "qkv"),
                    d_qkv = take(q_columns + 2 * kv_columns, "d_qkv"), out = take(q_columns, "o"),
                    d_out = take(q_columns, "d_o");
  const Heads q = part(qkv, 0, o.heads), k = part(qkv, q_columns, o.kv_heads),
              v = part(qkv, q_columns + kv_columns, o.kv_heads), dq = part(d_qkv, 0, o.heads),
              dk = part(d_qkv, q_columns, o.kv_heads), dv = part(d_qkv, q_columns + kv_columns, o.kv_heads),
              result = part(out, 0, o.heads), d_o = part(d_out, 0, o.heads);
  const OwnedTensor lse(DType::F32, {o.tokens, o.heads}), delta(DType::F32, {o.tokens, o.heads});
  const std::vector<ops::AttentionSpan> spans = packed_spans(o);
  const ops::AttentionProblem problem{.spans = spans,
                                      .heads = {0, o.heads / o.kv_heads, 0},
                                      .scale = 1 / std::sqrt(static_cast<double>(o.width))};
  Arena scratch("scratch");
  std::vector<double> forward, backward;
  const double peak_before = gemm_peak();
  for (i64 i = -1; i < o.repeats; ++i) {
    const double a = steady_seconds();
    ops::attention(result, Matrix(lse), q, k, v, problem, scratch, {});
    const double b = steady_seconds();
    ops::attention_delta(Matrix(delta), d_o, result, {});
    ops::attention_backward(dq, dk, dv, d_o, Matrix(delta), Matrix(lse), q, k, v, problem, scratch, {});
    if (i < 0) continue;  // the first touches its memory
    forward.push_back(b - a);
    backward.push_back(steady_seconds() - b);
  }
  const double peak = std::max(peak_before, gemm_peak());
  // Forward: scores and result, of pairs that see each other; backward counts 2.5 times as much.
  const double flops =
      4.0 * static_cast<double>(ops::visible_pairs(spans)) * static_cast<double>(o.width * o.heads);
  const double f = median(forward), b = median(backward);
  if (!leads) return;
  print({{"tokens", o.tokens},
         {"sequences", spans.size()},
         {"mask", o.full ? "none" : "causal"},
         {"window", o.window},
         {"prefix", o.prefix},
         {"heads", o.heads},
         {"kv_heads", o.kv_heads},
         {"width", o.width},
         {"threads", omp_get_max_threads()},
         {"seconds", f + b},
         {"forward_seconds", f},
         {"backward_seconds", b},
         {"gflops", 3.5 * flops / (f + b) / 1e9},
         {"forward_gflops", flops / f / 1e9},
         {"backward_gflops", 2.5 * flops / b / 1e9},
         {"gemm_peak_gflops", peak},
         {"share_of_peak", 3.5 * flops / (f + b) / 1e9 / peak}},
        o.json);
}

void add_attention(Command app, Run& run) {
  const Command verb = app.add_command("attention", "Attention alone, forward and backward, f32");
  auto o = std::make_shared<AttentionOptions>();
  o->add(verb);
  verb.add_option("--tokens", o->tokens, "of all sequences");
  verb.add_option("--shortest", o->shortest, "sequence; default: one sequence of all tokens");
  verb.add_option("--longest", o->longest, "sequence; lengths are drawn between the two");
  verb.add_flag("--full", o->full, "every token sees its whole sequence, not the causal part");
  verb.add_option("--window", o->window, "a token sees so many tokens up to itself; 0: all of them");
  verb.add_option("--prefix", o->prefix, "tokens at the head of a sequence that all of it sees");
  verb.add_option("--heads", o->heads, "query heads");
  verb.add_option("--kv-heads", o->kv_heads, "key and value heads");
  verb.add_option("--width", o->width, "of a head");
  verb.add_option("--repeats", o->repeats, "timed repeats; the median is printed");
  verb.callback([o, &run] {
    run = [o](Job& job) {
      bench_attention(*o, job.leads());
      return ExitCode::done;
    };
  });
}

struct ExchangeOptions : Common {
  double mib = 8;
  i64 repeats = 20;
};

void add_exchange(Command app, Run& run) {
  const Command verb = app.add_command("exchange", "All-to-all of equal blocks between the ranks of the job");
  auto o = std::make_shared<ExchangeOptions>();
  o->add(verb);
  verb.add_option("--mib", o->mib, "MiB from each rank to each rank");
  verb.add_option("--repeats", o->repeats, "timed repeats; the median is printed");
  verb.callback([o, &run] {
    run = [o](Job& job) {
      require(o->mib > 0 && o->repeats > 0, ExitCode::usage, "--mib and --repeats are positive");
      const i64 ranks = job.world.size(), each = static_cast<i64>(o->mib * 1048576 / 4);
      const OwnedTensor send(DType::F32, {ranks * each}), received(DType::F32, {ranks * each});
      const std::vector<i64> counts(static_cast<std::size_t>(ranks), each);
      std::vector<double> seconds;
      for (i64 i = -1; i < o->repeats; ++i) {
        job.world.barrier(job.stream);
        const double start = steady_seconds();
        job.world.all_to_all_v(send, counts, received, counts, job.stream, "bench");
        if (i >= 0)
          seconds.push_back(job.world.all_reduce_max(steady_seconds() - start, job.stream));
        else
          job.world.all_reduce_max(0.0, job.stream);
      }
      const double m = median(seconds);
      const double sent = static_cast<double>((ranks - 1) * each * 4);
      if (job.leads())
        print({{"ranks", ranks},
               {"mib_per_pair", o->mib},
               {"seconds", m},
               {"gb_per_second_and_rank", sent / m / 1e9}},
              o->json);
      return ExitCode::done;
    };
  });
}

struct BenchStep : Common {
  std::string model;
  i64 tokens = 2048, images = 8, steps = 5;
  std::vector<std::string> overrides;
};

// One sample: images at equal distances, text between them, all text supervised.
model::Sample synthetic_sample(const model::ModelConfig& config, i64 tokens, i64 images) {
  require(images == 0 || config.has_vision(), ExitCode::usage,
          "--images {} for a model without a vision tower", images);
  const data::ImageLayout layout = model::synthetic_layout(config, 32, 32);
  const i64 visual = images > 0 ? config.features(layout) : 0, gap = images > 0 ? tokens / images : tokens;
  require(tokens > 0 && images >= 0 && (images == 0 || gap >= visual), ExitCode::usage,
          "{} tokens cannot hold {} images of {}", tokens, images, visual);
  model::Sample sample{.id = "synthetic", .ids = {}, .labels = {}, .images = {}};
  const Philox random(1, "text");
  for (i64 t = 0; t < tokens; ++t) {
    const bool placeholder = images > 0 && t / gap < images && t % gap < visual;
    i64 id = static_cast<i64>(random.below(static_cast<u64>(config.text.vocab), static_cast<u64>(t)));
    while (config.is_placeholder(id)) id = (id + 1) % config.text.vocab;
    sample.ids.push_back(placeholder ? config.image_token : id);
    sample.labels.push_back(placeholder ? -100 : id);
  }
  for (i64 i = 0; i < images; ++i)
    sample.images.push_back(model::synthetic_image(config, layout, 1, fmt::format("image {}", i)));
  return sample;
}

// Of a whole step: three times the forward pass. The head is counted for every token, also where it has no
// label; that is how scripts/peers counts.
double step_flops(model::Vlm& model, const model::Sample& sample) {
  const model::ModelConfig& config = model.config();
  const model::MicroBatch packed = model::pack({&sample, 1}, config);
  const model::PassInputs inputs = make_inputs(packed, model, one_rank_plan(model), 0);
  model::PassMemory traced(Backend::trace);
  const double unlabelled = static_cast<double>(sample.tokens() - packed.geometry.supervised());
  return 3 * (trace_pass(model, inputs, false, traced, "sequence").useful_flops() +
              unlabelled * 2 * static_cast<double>(config.text.width * config.text.vocab));
}

ExitCode bench_step(Job& job, const BenchStep& o) {
  o.apply();
  const double process_start = steady_seconds();
  const LoadedConfig loaded = load_config("", o.overrides);
  model::Vlm model(model::read_config(o.model));
  model.parameters().allocate(DType::F32, true);
  model.parameters().initialise(1);
  const std::vector<model::Sample> samples{synthetic_sample(model.config(), o.tokens, o.images)};
  const planning::PlanResult planned = plan_run(loaded, model, job.world.size(), samples);
  parallel::MeshGroups groups(planned.plan.mesh, job.world);
  StepRunner runner(model, planned.plan, groups, job.stream);
  TrainState state{.model = model, .optimizer = parallel::AdamW(model.parameters())};
  const StepBatch batch = deal_step(samples, model, planned.plan, job.world.rank(), 0);
  const StepOptions options{
      .adamw = {.lr = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01}};
  std::vector<double> seconds;
  double loss = 0, communication = 0, first_step = 0;
  for (i64 i = -2; i < o.steps; ++i) {
    groups.reset_counters();
    job.world.barrier(job.stream);
    const double start = steady_seconds();
    const StepResult result = train_step(state, batch, options, runner, job.stream);
    require(result.finite, ExitCode::non_finite, "step {}: loss {} and gradient norm {}", state.step + 1,
            result.loss, result.gradient_norm);
    loss = result.loss;
    job.world.barrier(job.stream);
    if (i == -2) first_step = steady_seconds() - process_start;
    if (i < 0) continue;
    seconds.push_back(steady_seconds() - start);
    communication = groups.counters().seconds;
  }
  const double rss = peak_memory_mib();
  const i64 saved = job.world.all_reduce_max(runner.memory().saved.high_water(), job.stream);
  const i64 scratch = job.world.all_reduce_max(runner.memory().scratch.high_water(), job.stream);
  const double peak = job.world.all_reduce_sum(gemm_peak(), job.stream);
  if (!job.leads()) return ExitCode::done;
  const double m = median(seconds), gflops = step_flops(model, samples.front()) / m / 1e9;
  print({{"model", o.model},
         {"tokens", o.tokens},
         {"images", o.images},
         {"ranks", job.world.size()},
         {"threads", omp_get_max_threads()},
         {"plan", planned.plan.text()},
         {"seconds", m},
         {"seconds_min", *std::min_element(seconds.begin(), seconds.end())},
         {"seconds_max", *std::max_element(seconds.begin(), seconds.end())},
         {"tokens_per_second", static_cast<double>(o.tokens) / m},
         {"gflops", gflops},
         {"gemm_peak_gflops", peak},
         {"share_of_peak", gflops / peak},
         {"peak_rss_mib", rss},
         {"activation_mib", static_cast<double>(saved) / 1048576},
         {"scratch_mib", static_cast<double>(scratch) / 1048576},
         {"comm_seconds", communication},
         {"seconds_to_first_step", first_step},
         {"loss", loss}},
        o.json);
  return ExitCode::done;
}

void add_step(Command app, Run& run) {
  const Command verb =
      app.add_command("step", "A whole training step on synthetic data, f32, random weights");
  auto o = std::make_shared<BenchStep>();
  o->add(verb);
  verb.add_option("--model", o->model, "folder with config.json, or the file").required();
  verb.add_option("--tokens", o->tokens, "of the one sample, visual tokens included");
  verb.add_option("--images", o->images, "in it");
  verb.add_option("--steps", o->steps, "timed steps after two to warm up; the median is printed").positive();
  verb.add_option("overrides", o->overrides, "configuration, key.path=value");
  verb.callback([o, &run] { run = [o](Job& job) { return bench_step(job, *o); }; });
}

}  // namespace

void add_bench(Command app, Run& run) {
  const Command verb =
      app.add_command("bench", "Measure matrix products, attention, exchanges, training steps, images");
  verb.require_command();
  add_gemm(verb, run);
  add_attention(verb, run);
  add_exchange(verb, run);
  add_step(verb, run);
  add_bench_images(verb, run);
}

}  // namespace longsight::launch

// longsight bench: matrix products, attention, exchanges, and what the planner counts with; whole steps are
// in bench_step.cpp, pictures in bench_images.cpp.
#include <algorithm>
#include <cmath>

#include <omp.h>

#include "launch/calibration/calibrate.h"
#include "launch/measure.h"
#include "launch/output.h"
#include "launch/verb.h"
#include "launch/verbs/bench_shared.h"
#include "runtime/base/clock.h"
#include "runtime/base/fields.h"
#include "runtime/base/log.h"
#include "runtime/base/philox.h"
#include "runtime/io/atomic_file.h"
#include "runtime/ops/attention.h"
#include "runtime/tensor/host_values.h"

namespace longsight::launch {
namespace {

void add_gemm(Command app, Run& run) {
  const Command verb = app.add_command("gemm", "Rate of dnnl_sgemm");
  auto c = std::make_shared<BenchOptions>();
  c->add(verb);
  verb.callback([c, &run] {
    run = [c](Job& job) {
      c->apply();
      const double rate = gemm_peak(1.0);
      if (job.leads()) print_figures({{"threads", omp_get_max_threads()}, {"gflops", rate}}, c->json);
      return ExitCode::done;
    };
  });
}

struct AttentionOptions : BenchOptions {
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
  print_figures({{"tokens", o.tokens},
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

struct ExchangeOptions : BenchOptions {
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
        print_figures({{"ranks", ranks},
                       {"mib_per_pair", o->mib},
                       {"seconds", m},
                       {"gb_per_second_and_rank", sent / m / 1e9}},
                      o->json);
      return ExitCode::done;
    };
  });
}

struct CalibrateOptions {
  bool calibrate = false;
  std::string out;
};

ExitCode run_calibrate(Job& job, const CalibrateOptions& o) {
  if (!o.out.empty() && job.leads()) require_writable_file(o.out);
  const std::string profile = to_yaml(calibrate(job));
  if (!job.leads()) return ExitCode::done;
  if (o.out.empty()) {
    print_line(profile.substr(0, profile.find_last_not_of('\n') + 1));
  } else {
    io::write_file(o.out, profile);
    log_info("{}: for plan --hardware and parallel.hardware", o.out);
  }
  return ExitCode::done;
}

}  // namespace

void add_bench(Command app, Run& run) {
  const Command verb = app.add_command(
      "bench", "Measure matrix products, attention, exchanges, training steps, images, checkpoints");
  auto o = std::make_shared<CalibrateOptions>();
  verb.add_flag("--calibrate", o->calibrate,
                "a hardware profile of this machine, with what is between the ranks that measure it");
  verb.add_option("--out", o->out, "file for the profile (default: stdout)");
  verb.callback([verb, o, &run] {
    const bool command = verb.has_command();
    require(o->calibrate != command, ExitCode::usage,
            "bench: either --calibrate or one of gemm, attention, exchange, step, images, checkpoint");
    require(o->calibrate || o->out.empty(), ExitCode::usage, "bench --out: the file of --calibrate");
    if (o->calibrate) run = [o](Job& job) { return run_calibrate(job, *o); };
  });
  add_gemm(verb, run);
  add_attention(verb, run);
  add_exchange(verb, run);
  add_bench_step(verb, run);
  add_bench_images(verb, run);
  add_bench_checkpoint(verb, run);
}

}  // namespace longsight::launch

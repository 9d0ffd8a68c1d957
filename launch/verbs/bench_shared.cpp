#include "launch/verbs/bench_shared.h"

#include <algorithm>

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/base/philox.h"

namespace longsight::launch {

std::vector<float> random_values(i64 count, std::string_view name, double deviation) {
  const Philox random(1, name);
  std::vector<float> values;
  for (i64 i = 0; i < count; ++i)
    values.push_back(static_cast<float>(deviation * (2 * random.uniform(static_cast<u64>(i)) - 1)));
  return values;
}

void print_figures(const nlohmann::ordered_json& figures, bool json) {
  if (json) {
    fmt::print("{}\n", json_text(figures));
    return;
  }
  for (const auto& [key, value] : figures.items())
    fmt::print("{:24} {}\n", key,
               value.is_number_float() ? fmt::format("{:.4g}", value.get<double>()) : json_text(value));
}

double gemm_peak(double seconds_each) {
  struct Case {
    i64 m, n, k;
  };
  double best = 0;
  for (const Case& c : {Case{1024, 1024, 1024}, Case{2048, 2048, 1024}, Case{4096, 1024, 1024}}) {
    const std::vector<float> a = random_values(c.m * c.k, "a"), b = random_values(c.n * c.k, "b");
    std::vector<float> y(static_cast<std::size_t>(c.m * c.n));
    const double begin = steady_seconds();
    while (steady_seconds() - begin < seconds_each) {
      const double start = steady_seconds();
      check(dnnl_sgemm('N', 'T', c.m, c.n, c.k, 1.F, a.data(), c.k, b.data(), c.k, 0.F, y.data(), c.n) ==
                dnnl_success,
            "sgemm");
      best = std::max(best, 2.0 * static_cast<double>(c.m) * static_cast<double>(c.n) *
                                static_cast<double>(c.k) / (steady_seconds() - start) / 1e9);
    }
  }
  return best;
}

void BenchOptions::add(Command verb) {
  verb.add_option("--threads", threads, "of this rank (default: its share of the cores)");
  verb.add_flag("--json", json, "one line of JSON, last on stdout");
}

void BenchOptions::apply() const {
  require(threads >= 0, ExitCode::usage, "--threads {}: at least 1", threads);
  if (threads > 0) omp_set_num_threads(narrow<int>(threads));
}

}  // namespace longsight::launch

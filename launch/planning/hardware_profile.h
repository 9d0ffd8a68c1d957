// What one rank's device and its links can do, as the planner counts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/tensor/precision.h"

namespace longsight::planning {

// Of calls that do so much work: small ones reach less.
struct Rate {
  double size = 0;  // FLOPs or bytes of a call
  double rate = 0;  // a second
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("size", s.size);
    visit("rate", s.rate);
  }
  friend bool operator==(const Rate&, const Rate&) = default;
};

// Of one call. Between two sizes the rate follows a straight line over the logarithms of both; beyond them it
// is that of the nearest. `rates` ascend in size; there is one at least.
double seconds_of(double work, const std::vector<Rate>& rates);

struct Link {
  double bandwidth = 0;  // bytes per second that a rank sends while it receives as many
  double latency = 0;    // seconds per message
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("bandwidth", s.bandwidth);
    visit("latency", s.latency);
  }
  friend bool operator==(const Link&, const Link&) = default;
};

struct HardwareProfile {
  std::string name = "one CPU core";
  std::string origin = "assumed";               // "measured", "published"
  std::string source = "nothing was measured";  // how the figures came about; printed with every prediction
  i64 ranks_per_node = 0;                       // 0: all are on one
  i64 memory = 0;                               // bytes of a rank; 0: not known
  std::vector<Rate> gemm{{0, 60e9}};            // FLOP/s of matrix products
  std::vector<Rate> attention{{0, 30e9}};       // FLOP/s of tiles with online softmax
  std::vector<Rate> gemm_bf16 = {};             // the same of bf16, where that is known apart;
  std::vector<Rate> attention_bf16 = {};        // empty: as above
  std::vector<Rate> copy{{0, 8e9}};             // bytes per second of element-wise passes
  std::optional<Link> link = Link{4e9, 5e-6};   // to the ranks of its node; none: not known
  std::optional<Link> network = {};             // to other nodes; none: not known
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("name", s.name);
    visit("origin", s.origin);
    visit("source", s.source);
    visit("ranks_per_node", s.ranks_per_node);
    visit("memory", s.memory);
    visit("gemm", s.gemm);
    visit("attention", s.attention);
    visit("gemm_bf16", s.gemm_bf16);
    visit("attention_bf16", s.attention_bf16);
    visit("copy", s.copy);
    visit("link", s.link);
    visit("network", s.network);
  }

  // What it does for a model of this precision: `gemm` and `attention` are those of its products.
  HardwareProfile computing_in(const Precision&) const;
  // "8 x A100 (published, not measured here: ...)".
  std::string text() const;
};

// A profile as configs/hardware/ has them. Missing or wrong values are usage errors with file, line and key.
HardwareProfile read_hardware(const std::string& path);

// usage where it does not say what so many ranks need: links between them.
void require_complete(const HardwareProfile&, i64 ranks);

}  // namespace longsight::planning

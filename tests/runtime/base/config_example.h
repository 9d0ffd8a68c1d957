// A configuration with every kind of field, for the tests of fields and YAML.
#pragma once

#include "runtime/base/fields.h"

namespace longsight {

struct ExampleOptimizer {
  double lr = 1e-3;
  std::vector<double> betas{0.9, 0.95};
  OrAuto<i64> warmup;
  template <class S, class V>
  static void fields(S& self, V&& visit) {
    visit("lr", self.lr);
    visit("betas", self.betas);
    visit("warmup", self.warmup);
  }
};

struct ExampleRule {
  std::string blocks;
  std::string attention = "auto";
  std::optional<double> weight;
  template <class S, class V>
  static void fields(S& self, V&& visit) {
    visit("blocks", self.blocks);
    visit("attention", self.attention);
    visit("weight", self.weight);
  }
};

struct ExampleTrain {
  i64 steps = 10;
  int threads = 1;
  u64 seed = 1;
  bool shuffle = true;
  ExampleOptimizer optimizer;
  template <class S, class V>
  static void fields(S& self, V&& visit) {
    visit("steps", self.steps);
    visit("threads", self.threads);
    visit("seed", self.seed);
    visit("shuffle", self.shuffle);
    visit("optimizer", self.optimizer);
  }
};

struct ExampleConfig {
  std::string name = "run";
  ExampleTrain train;
  OrAuto<std::string> zero;
  std::vector<ExampleRule> rules;
  std::vector<bool> flags;
  std::vector<std::string> words;
  std::map<std::string, double> scales;
  template <class S, class V>
  static void fields(S& self, V&& visit) {
    visit("name", self.name);
    visit("train", self.train);
    visit("zero", self.zero);
    visit("rules", self.rules);
    visit("flags", self.flags);
    visit("words", self.words);
    visit("scales", self.scales);
  }
};

}  // namespace longsight

// longsight train: trains a model (launch/training).
#include <CLI/CLI.hpp>

#include "launch/training/trainer.h"

namespace longsight::launch {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
};

}  // namespace

void add_train(CLI::App& app, Run& run) {
  CLI::App* verb = app.add_subcommand("train", "Train a model");
  auto o = std::make_shared<Options>();
  verb->add_option("config", o->config, "YAML configuration")->required();
  verb->add_option("overrides", o->overrides, "key.path=value");
  verb->callback(
      [o, &run] { run = [o](Job& job) { return train(job, load_config(o->config, o->overrides)); }; });
}

}  // namespace longsight::launch

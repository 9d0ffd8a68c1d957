// longsight train: trains a model (launch/training).
#include "launch/training/trainer.h"

namespace longsight::launch {
namespace {

struct TrainOptions {
  std::string config;
  std::vector<std::string> overrides;
};

}  // namespace

void add_train(Command app, Run& run) {
  const Command verb = app.add_command("train", "Train a model");
  auto o = std::make_shared<TrainOptions>();
  verb.add_option("config", o->config, "YAML configuration").required();
  verb.add_option("overrides", o->overrides, "key.path=value");
  verb.callback(
      [o, &run] { run = [o](Job& job) { return train(job, load_config(o->config, o->overrides)); }; });
}

}  // namespace longsight::launch

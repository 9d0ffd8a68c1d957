// The YAML of a run.
#include "launch/config.h"
#include "tests/fuzz/targets.h"
#include "tests/support/scratch_folder.h"

void longsight::fuzz::config_yaml(Bytes bytes) {
  static const ScratchFolder folder;
  const std::string path = folder.write("run.yaml", text_of(bytes));
  read_or_refuse([&] { launch::load_config(path, {}); });
}

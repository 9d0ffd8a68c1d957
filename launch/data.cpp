// longsight data: what is done with data sets besides training.
#include <CLI/CLI.hpp>

#include "launch/data_verbs.h"

namespace longsight::launch {

void add_file_options(CLI::App& verb, FileOptions& o) {
  verb.add_option("files", o.files, "data files, or one configuration (.yaml)")->required();
  verb.add_option("--kind", o.kind, "what the files are (default: as their first records say)")
      ->check(CLI::IsMember({"messages", "llava", "sharegpt", "text", "webdataset"}));
  verb.add_option("--images", o.images, "folder of the pictures (default: that of each file)");
  verb.add_option("--index", o.index, "folder with indices (default: beside the data)");
}

void add_data(CLI::App& app, Run& run) {
  CLI::App* verb = app.add_subcommand("data", "Data sets: check, count, look at, learn a tokenizer from");
  verb->require_subcommand(1);
  add_data_index(*verb, run);
  add_data_lint(*verb, run);
  add_data_stats(*verb, run);
  add_data_preview(*verb, run);
  add_data_tokenizer(*verb, run);
}

}  // namespace longsight::launch

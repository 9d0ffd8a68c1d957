// longsight data: what is done with data sets besides training.

#include "launch/verbs/data_verbs.h"

namespace longsight::launch {

void add_file_options(Command verb, FileOptions& o) {
  verb.add_option("files", o.files, "data files, or one configuration (.yaml) and key.path=value").required();
  verb.add_option("--kind", o.kind, "what the files are (default: as their first records say)")
      .one_of({"messages", "llava", "sharegpt", "text", "webdataset"});
  verb.add_option("--images", o.images, "folder of the pictures (default: that of each file)");
  verb.add_option("--index", o.index, "folder with indices (default: beside the data)");
}

void add_data(Command app, Run& run) {
  const Command verb = app.add_command("data", "Data sets: check, count, look at, learn a tokenizer from");
  verb.require_command();
  add_data_index(verb, run);
  add_data_lint(verb, run);
  add_data_stats(verb, run);
  add_data_preview(verb, run);
  add_data_tokenizer(verb, run);
}

}  // namespace longsight::launch

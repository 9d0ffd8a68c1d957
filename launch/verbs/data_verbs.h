// The subcommands of `longsight data`, one file each.
#pragma once

#include "launch/samples/data_sources.h"
#include "launch/verb.h"

namespace longsight::launch {

void add_data_index(Command data, Run& run);
void add_data_lint(Command data, Run& run);
void add_data_stats(Command data, Run& run);
void add_data_preview(Command data, Run& run);
void add_data_tokenizer(Command data, Run& run);

// The files of a subcommand and how they are read.
void add_file_options(Command verb, FileOptions&);

}  // namespace longsight::launch

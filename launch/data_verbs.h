// The subcommands of `longsight data`, one file each.
#pragma once

#include "launch/data_sources.h"
#include "launch/verb.h"

namespace longsight::launch {

void add_data_index(CLI::App& data, Run& run);
void add_data_lint(CLI::App& data, Run& run);
void add_data_stats(CLI::App& data, Run& run);
void add_data_preview(CLI::App& data, Run& run);
void add_data_tokenizer(CLI::App& data, Run& run);

// The files of a subcommand and how they are read.
void add_file_options(CLI::App& verb, FileOptions&);

}  // namespace longsight::launch

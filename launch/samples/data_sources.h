// The data sets that a configuration or a command line names.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "launch/config.h"
#include "launch/samples/sample_maker.h"
#include "runtime/data/records/open_data.h"

namespace longsight::launch {

// A data set as it is drawn from.
struct OpenSource {
  std::string name;  // of its file, or first shard or pattern, as given
  std::string file;  // its file or first shard
  std::unique_ptr<data::ChatData> data;
  i64 samples = 0;  // the first ones of the data, all of them unless the source says fewer
};

// Of a source that is not ready batches. Its samples are not looked at yet.
OpenSource open_source(const DataSource&, const std::string& index_folder, const OpenFile& open);

// How files on a command line are to be read.
struct FileOptions {
  std::vector<std::string>
      files;           // data files, or one configuration (.yaml, .yml) and key.path=value behind it
  std::string kind;    // empty: as each file's first record says
  std::string images;  // folder of the pictures; empty: that of each file
  std::string index;   // folder of indices
};

bool is_configuration(const FileOptions&);
LoadedConfig configuration_of(const FileOptions&);  // where it is one
data::DataSpec spec_of_file(const FileOptions&, const std::string& file, const OpenFile& open);

// The sources that the files are, or those of data.train and data.eval of a configuration; each may fail to
// open by itself.
struct SourceToOpen {
  std::string name;
  std::function<OpenSource()> open;
};
std::vector<SourceToOpen> list_sources(const FileOptions&);
std::vector<OpenSource> open_files(const FileOptions&);

// Makes samples for the model of `model` (a model or run folder); empty: for that of the configuration.
std::unique_ptr<SampleMaker> open_maker_for(const FileOptions&, const std::string& model,
                                            const std::string& chat);

}  // namespace longsight::launch

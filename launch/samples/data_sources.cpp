#include "launch/samples/data_sources.h"

#include <algorithm>

#include "launch/samples/data_files.h"
#include "launch/samples/data_sets.h"
#include "launch/samples/model_source.h"
#include "runtime/data/records/webdataset.h"

namespace longsight::launch {
namespace {

using data::DataKind;

constexpr std::pair<const char*, DataKind> kKinds[] = {{"messages", DataKind::messages},
                                                       {"llava", DataKind::llava},
                                                       {"sharegpt", DataKind::sharegpt},
                                                       {"text", DataKind::text},
                                                       {"webdataset", DataKind::webdataset}};

bool is_yaml(const std::string& file) {
  return file.ends_with(".yaml") || file.ends_with(".yml");
}

data::DataSpec spec_of(const DataSource& source, const std::string& index_folder) {
  data::DataSpec spec{
      .images = source.images, .tags = source.tags, .ignore = source.ignore, .index_folder = index_folder};
  if (!source.webdataset.empty()) {
    spec.kind = DataKind::webdataset;
    spec.files = source.webdataset;
    return spec;
  }
  for (const auto& [kind, file] :
       {std::pair(DataKind::messages, &source.messages), std::pair(DataKind::llava, &source.llava),
        std::pair(DataKind::sharegpt, &source.sharegpt), std::pair(DataKind::text, &source.text)}) {
    if (file->empty()) continue;
    spec.kind = kind;
    spec.files = {*file};
  }
  return spec;
}

OpenSource open_spec(const data::DataSpec& spec) {
  const bool shards = spec.kind == DataKind::webdataset;
  OpenSource source{.name = spec.files.front(),
                    .file = shards ? data::expand_shards(spec.files).front() : spec.files.front(),
                    .data = open_chat_data(spec),
                    .samples = 0};
  source.samples = source.data->size();
  return source;
}

}  // namespace

OpenSource open_source(const DataSource& source, const std::string& index_folder, const OpenFile& open) {
  data::DataSpec spec = spec_of(source, index_folder);
  spec.open = open;
  OpenSource opened = open_spec(spec);
  opened.samples = std::min(opened.samples, source.samples.value_or(opened.samples));
  return opened;
}

bool is_configuration(const FileOptions& o) {
  const bool yaml = is_yaml(o.files.front());
  const auto alone = [yaml](const std::string& file) {
    return yaml ? file.find('=') != std::string::npos : !is_yaml(file);
  };
  require(std::all_of(o.files.begin() + 1, o.files.end(), alone), ExitCode::usage,
          "give data files or one configuration, not both");
  require(!yaml || (o.kind.empty() && o.images.empty()), ExitCode::usage,
          "--kind and --images are for data files; {} says them itself", o.files.front());
  return yaml;
}

LoadedConfig configuration_of(const FileOptions& o) {
  return load_config(o.files.front(), {o.files.begin() + 1, o.files.end()});
}

data::DataSpec spec_of_file(const FileOptions& o, const std::string& file, const OpenFile& open) {
  data::DataSpec spec;
  const auto named =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& k) { return o.kind == k.first; });
  if (named != std::end(kKinds)) {
    spec.kind = named->second;
    spec.files = {file};
  } else {
    spec = data::guess_data_spec(file, open);
  }
  spec.open = open;
  spec.images = o.images;
  spec.index_folder = o.index;
  return spec;
}

std::vector<SourceToOpen> list_sources(const FileOptions& o) {
  std::vector<SourceToOpen> sources;
  if (!is_configuration(o)) {
    for (const std::string& file : o.files) {
      sources.push_back({file, [o, file] { return open_spec(spec_of_file(o, file, open_alone())); }});
    }
    return sources;
  }
  const LoadedConfig loaded = configuration_of(o);
  check_inputs(loaded);
  const DataSection& d = loaded.config.data;
  for (const auto* list : {&d.train, &d.eval}) {
    for (const DataSource& source : *list) {
      if (!source.tensors.empty()) continue;
      const std::string index = o.index.empty() ? d.index : o.index;
      sources.push_back({spec_of(source, index).files.front(),
                         [source, index] { return open_source(source, index, open_alone()); }});
    }
  }
  require(!sources.empty(), ExitCode::usage, "{}: data.train and data.eval name no chat data",
          o.files.front());
  return sources;
}

std::vector<OpenSource> open_files(const FileOptions& o) {
  std::vector<OpenSource> open;
  for (const SourceToOpen& source : list_sources(o)) open.push_back(source.open());
  return open;
}

std::unique_ptr<SampleMaker> open_maker_for(const FileOptions& o, const std::string& model,
                                            const std::string& chat) {
  if (!model.empty()) return open_sample_maker(find_source(model), chat);
  require(is_configuration(o), ExitCode::usage,
          "name the model whose tokenizer makes tokens of the data: --model DIR (or give a configuration)");
  LoadedConfig loaded = configuration_of(o);
  if (!chat.empty()) loaded.config.data.chat = chat;
  return open_sample_maker(loaded, open_run_shape(loaded));
}

}  // namespace longsight::launch

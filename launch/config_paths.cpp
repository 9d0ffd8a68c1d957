// The files and folders that a configuration names.
#include <algorithm>
#include <filesystem>

#include "launch/config.h"
#include "runtime/base/utf8.h"
#include "runtime/data/records/webdataset.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

void check_there(const YamlDocument& doc, const std::string& key, const std::string& path) {
  std::error_code error;
  const bool there = fs::exists(path, error);
  require(there, ExitCode::missing_input, "{}: {}: {} ({}); paths are relative to the working directory", key,
          path, error ? error.message() : "no such file or folder", doc.place_of(key));
}

void check_shards(const YamlDocument& doc, const std::string& key, const std::string& pattern) {
  std::vector<std::string> shards;
  try {
    shards = data::expand_shards({pattern});
  } catch (const Error& error) {
    fail(error.code(), "{}: {} ({}); paths are relative to the working directory", key, error.what(),
         doc.place_of(key));
  }
  for (const std::string& shard : shards) check_there(doc, key, shard);
}

// Links followed, as far as there is something to follow.
fs::path real_path(const std::string& path) {
  std::error_code error;
  fs::path real = fs::weakly_canonical(path, error);
  if (error) real = fs::absolute(path).lexically_normal();
  return real.has_filename() ? real : real.parent_path();
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

// A folder in front of a pattern of shards is meant as it is spelled.
std::string without_patterns(const std::string& folder) {
  std::string escaped;
  for (const char c : folder) {
    if (std::string_view("*?[\\").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string absolute(const std::string& path, bool shards) {
  if (path.empty() || path.starts_with('/')) return path;
  const std::string here = fs::current_path().string();
  if (first_invalid_utf8(here) >= 0) return path;  // YAML and JSON have no bytes: relative they stay readable
  return (shards ? without_patterns(here) : here) + "/" + path;
}

}  // namespace

std::vector<InputPath> input_paths(Config& c) {
  std::vector<InputPath> found;
  const auto add = [&found](std::string key, std::string& path, bool shards = false) {
    if (!path.empty()) found.push_back({std::move(key), &path, shards});
  };
  add("model.from", c.model.from);
  add("model.config", c.model.config);
  add("model.tokenizer", c.model.tokenizer);
  add("model.vision_from", c.model.vision_from);
  add("model.language_from", c.model.language_from);
  add("model.adapter", c.model.adapter);
  add("parallel.hardware", c.parallel.hardware);
  add("data.index", c.data.index);
  if (c.data.chat.ends_with(".jinja")) add("data.chat", c.data.chat);
  for (const auto& [key, sources] :
       {std::pair("data.train", &c.data.train), std::pair("data.eval", &c.data.eval)}) {
    for (std::size_t i = 0; i < sources->size(); ++i) {
      DataSource& source = (*sources)[i];
      for (const auto& [name, path] :
           {std::pair("messages", &source.messages), std::pair("llava", &source.llava),
            std::pair("sharegpt", &source.sharegpt), std::pair("text", &source.text),
            std::pair("images", &source.images)})
        add(fmt::format("{}.{}.{}", key, i, name), *path);
      for (std::size_t n = 0; n < source.webdataset.size(); ++n)
        add(fmt::format("{}.{}.webdataset.{}", key, i, n), source.webdataset[n], true);
      for (std::size_t n = 0; n < source.tensors.size(); ++n)
        add(fmt::format("{}.{}.tensors.{}", key, i, n), source.tensors[n]);
    }
  }
  return found;
}

void check_inputs(const LoadedConfig& loaded) {
  Config config = loaded.config;
  for (const InputPath& input : input_paths(config)) {
    if (input.shards) {
      check_shards(loaded.document, input.key, *input.path);
    } else {
      check_there(loaded.document, input.key, *input.path);
    }
  }
}

void check_inputs_outside_output(const LoadedConfig& loaded) {
  Config config = loaded.config;
  if (config.output.dir.empty()) return;
  const fs::path output = real_path(config.output.dir);
  for (const InputPath& input : input_paths(config)) {
    const std::vector<std::string> files =
        input.shards ? data::expand_shards({*input.path}) : std::vector<std::string>{*input.path};
    for (const std::string& file : files) {
      loaded.document.require_at(!lies_in(real_path(file), output), input.key,
                                 "{} lies in output.dir, {}, which the run takes for itself: choose another "
                                 "output.dir, or move what is to be read",
                                 file, config.output.dir);
    }
  }
}

Config with_absolute_paths(Config config) {
  for (const InputPath& input : input_paths(config)) *input.path = absolute(*input.path, input.shards);
  config.output.dir = absolute(config.output.dir, false);
  return config;
}

std::string absolute_path(const std::string& path) {
  return absolute(path, false);
}

std::string held_out_name(const DataSource& source) {
  if (!source.name.empty()) return source.name;
  for (const std::string* file : {&source.messages, &source.llava, &source.sharegpt, &source.text}) {
    if (!file->empty()) return fs::path(*file).stem().string();
  }
  const auto& files = source.webdataset.empty() ? source.tensors : source.webdataset;
  return files.empty() ? std::string() : fs::path(files.front()).stem().string();
}

}  // namespace longsight::launch

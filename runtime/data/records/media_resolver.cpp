#include "runtime/data/records/media_resolver.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "runtime/base/error.h"
#include "runtime/base/input_file.h"
#include "runtime/base/shorten.h"

namespace longsight::data {
namespace {

namespace fs = std::filesystem;

// Absolute, without links; empty if it is not there.
std::string resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : std::string();
}

// "%20" -> " "; what is no such pair of digits stays.
std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool pair =
        text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
    decoded += pair ? static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])) : text[i];
    if (pair) i += 2;
  }
  return decoded;
}

// The path that a name is: of file:// URIs what stands behind the (empty or local) host, as it is written or,
// where no such file is there, with its %20 and the like decoded.
std::string path_of(const std::string& name, const std::string& where) {
  if (name.find("://") == std::string::npos) return name;
  constexpr std::string_view kFile = "file://", kHost = "localhost/";
  require(name.starts_with(kFile), ExitCode::bad_data,
          "{}: the URL {} is not supported, nothing is fetched: put the image into a file and give its path",
          where, shortened(name));
  std::string path = name.substr(kFile.size());
  if (path.starts_with(kHost)) path.erase(0, kHost.size() - 1);
  require(path.starts_with('/'), ExitCode::bad_data,
          "{}: {} is not a file:// URI with an absolute path: file:///FOLDER/FILE", where, shortened(name));
  if (!resolved(path).empty()) return path;
  std::string decoded = percent_decoded(path);
  const bool nul = decoded.find('\0') != std::string::npos;
  return nul || resolved(decoded).empty() ? path : decoded;
}

}  // namespace

MediaFolder::MediaFolder(const std::string& data_file, const std::string& folder) : folder_(folder) {
  if (folder_.empty()) folder_ = fs::path(data_file).parent_path().string();
  if (folder_.empty()) folder_ = ".";
  root_ = resolved(folder_);
  require(!root_.empty(), ExitCode::missing_input, "{}: its image folder {} is not there", data_file,
          folder_);
  if (!root_.ends_with('/')) root_ += '/';
}

// Where the path leads if ".." undoes the name in front of it, whatever that is a link to; empty if that is
// not in the folder.
std::string MediaFolder::below(const std::string& path) const {
  const fs::path normal = fs::path(path).lexically_normal();
  if (normal.is_absolute()) {
    const std::string text = normal.string();
    std::string given = fs::absolute(folder_).lexically_normal().string();
    if (!given.ends_with('/')) given += '/';
    return text.starts_with(given) || text.starts_with(root_) ? text : std::string();
  }
  const bool out = normal.empty() || *normal.begin() == "..";
  return out ? std::string() : (fs::path(folder_) / normal).string();
}

MediaFile MediaFolder::resolve(const std::string& name, const std::string& where) const {
  require(name.find('\0') == std::string::npos, ExitCode::bad_data, "{}: an image path with a NUL character",
          where);
  const std::string path = path_of(name, where);
  const std::string full = (fs::path(folder_) / path).string();
  std::string used = full, real = resolved(full);
  bool inside = real.starts_with(root_);
  if (const std::string linked = inside ? std::string() : below(path); !linked.empty()) {
    used = linked;
    real = resolved(linked);
    inside = true;
  }
  require(!real.empty(), ExitCode::missing_input, "{}: cannot open the image {}: {}", where,
          shortened(full, kMostOfPath), std::generic_category().message(errno));
  require(inside, ExitCode::bad_data,
          "{}: the image {} lies outside of {}, the folder of the pictures; name one that holds it: images: "
          "FOLDER in the data set's entry",
          where, shortened(full, kMostOfPath), folder_);
  const char* kind = kind_if_no_file(real);
  require(kind == nullptr, ExitCode::bad_data, "{}: the image {}: {}", where, shortened(full, kMostOfPath),
          kind == nullptr ? "" : kind);
  return {.path = used};
}

MediaFile NoMedia::resolve(const std::string& name, const std::string& where) const {
  fail(ExitCode::bad_data, "{}: the image {} in data of kind text; use messages, llava or sharegpt for it",
       where, shortened(name));
}

}  // namespace longsight::data

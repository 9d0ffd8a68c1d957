// From what a sample calls a picture to where its bytes are.
#pragma once

#include <string>
#include <vector>

#include "runtime/data/image/media_file.h"

namespace longsight::data {

class MediaResolver {
 public:
  virtual ~MediaResolver() = default;
  // The picture of a name in the data. `where` begins errors. Any thread.
  virtual MediaFile resolve(const std::string& name, const std::string& where) const = 0;
  // Pictures that belong to the sample without being named in it, in order.
  virtual std::vector<MediaFile> unnamed() const { return {}; }
};

// Files below a folder. Links in it are followed wherever they lead: whoever has put them there wants that;
// what a record says leads out of the folder neither by itself nor by ".." behind a link.
class MediaFolder final : public MediaResolver {
 public:
  // `folder` empty: the one in which `data_file` lies. missing_input if it is not there.
  MediaFolder(const std::string& data_file, const std::string& folder);
  // `name` is relative to the folder, or an absolute path or file:// URI of something in it. bad_data for
  // another URL, a NUL in the name, what lies outside of the folder, what is no regular file; missing_input
  // for what is not there.
  MediaFile resolve(const std::string& name, const std::string& where) const override;

 private:
  std::string below(const std::string& path) const;

  std::string folder_;  // as given, for paths that are opened
  std::string root_;    // resolved, ends with a slash
};

// For data that have no pictures.
class NoMedia final : public MediaResolver {
 public:
  MediaFile resolve(const std::string& name, const std::string& where) const override;
};

}  // namespace longsight::data

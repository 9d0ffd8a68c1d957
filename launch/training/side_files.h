// What a model folder holds beside the weights: configuration, tokenizer, processor and chat files. Made and
// read before the first step, so that a save needs nothing but the disk that it is written to.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::launch {

class SideFiles {
 public:
  // `make` fills a temporary folder, whose files are kept in memory. What it throws is what is wrong with
  // them.
  explicit SideFiles(const std::function<void(const std::string& folder)>& make);

  // Into a folder that is there. cannot_write.
  void write(const std::string& folder) const;
  i64 bytes() const;

 private:
  std::vector<std::pair<std::string, std::string>> files_;  // path in the folder, content
};

}  // namespace longsight::launch

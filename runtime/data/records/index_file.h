// What was found in a data file when it was opened, kept on disk so that a large file needs not be scanned
// again. An index that is of another file, of another state of it (size, times of the last changes, a hash of
// some of its bytes) or damaged is as good as none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::data {

// A file on disk: an index written for one state of it does not fit another.
struct FileState {
  i64 bytes = 0;
  i64 changed_ns = 0;  // as a user can set it
  i64 status_ns = 0;   // of the last change of anything about it, which nobody can set
  friend bool operator==(const FileState&, const FileState&) = default;
};
FileState state_of(const std::string& path);  // missing_input

struct DataIndex {
  std::vector<i64> numbers;
  std::string text;
  u64 fingerprint = 0;
};

// DATA_FILE.index, or in `folder` a name that holds the data file's own and a hash of its whole path.
// `suffix`: of what else is kept of a data file.
std::string index_path(const std::string& data_file, const std::string& folder,
                       const char* suffix = ".index");
// `kind` tells apart what readers of several kinds keep. Numbers come back as they were written, but are not
// to be trusted more than the data.
std::optional<DataIndex> read_index(const std::string& data_file, const std::string& folder,
                                    const std::string& kind, const char* suffix = ".index");
// `state`: of the data file before it was scanned. Returns the path; cannot_write.
std::string write_index(const std::string& data_file, const std::string& folder, const std::string& kind,
                        FileState state, const DataIndex& index, const char* suffix = ".index");

}  // namespace longsight::data

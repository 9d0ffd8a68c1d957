// Random access to the records of a JSONL file, or of a JSON file that is one array of objects: where they
// stand is found once (or known from an index written before), each one is read when it is asked for. The
// file may be packed by gzip.
#pragma once

#include <string>

#include "runtime/base/gzip.h"
#include "runtime/base/ordered_json.h"
#include "runtime/data/records/index_file.h"

namespace longsight::data {

// bad_data if the first bytes are those of another format (Parquet, Zstandard, UTF-16, ..), with the remedy.
void refuse_other_format(const InputFile& file);

class RecordFile {
 public:
  // missing_input; bad_data for an array that cannot be taken apart (runtime/base/json_array.h).
  // `open`: nothing, open_unpacked.
  explicit RecordFile(const std::string& path, const std::string& index_folder = "",
                      const OpenFile& open = nullptr);

  i64 size() const { return static_cast<i64>(places_.values.size()); }
  OrderedJson json(i64 index) const;                       // any thread; bad_data with PATH:LINE:COLUMN
  std::string where(i64 index) const;                      // "PATH:LINE", of an array "PATH:LINE, element N"
  u64 fingerprint() const { return places_.fingerprint; }  // XXH3 of the file as it was when indexed
  const std::string& path() const { return file_.path(); }
  std::string write_index(const std::string& folder) const;  // returns the path

 private:
  const JsonPlace& place(i64 index) const;

  InputFile file_;
  FileState state_;
  bool array_ = false;
  JsonPlaces places_;
};

}  // namespace longsight::data

// A data set that is one file of JSON records.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/gzip.h"
#include "runtime/data/records/chat_data.h"
#include "runtime/data/records/record_file.h"
#include "runtime/data/records/sample_builder.h"

namespace longsight::data {

// Reads one record into a sample; bad_data, beginning with sample.where(), for one that is not of the format.
using ReadRecord = std::function<void(const Record& record, SampleBuilder& sample)>;

class RecordData : public ChatData {
 public:
  // bad_data for a file without records. `ignored`: keys that the user says mean nothing.
  RecordData(const std::string& path, std::unique_ptr<MediaResolver> media, ReadRecord read,
             const std::string& index_folder, std::vector<std::string> ignored = {},
             const OpenFile& open = nullptr);

  i64 size() const override { return file_.size(); }
  ChatSample sample(i64 index) const override;
  std::string where(i64 index) const override { return file_.where(index); }
  u64 fingerprint() const override { return file_.fingerprint(); }
  std::vector<std::string> write_index(const std::string& folder) const override {
    return {file_.write_index(folder)};
  }

 private:
  RecordFile file_;
  std::unique_ptr<MediaResolver> media_;
  ReadRecord read_;
  std::vector<std::string> ignored_;
};

}  // namespace longsight::data

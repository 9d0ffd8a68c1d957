// Opens a data set of any format.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/gzip.h"
#include "runtime/data/records/chat_data.h"
#include "runtime/data/records/conversations.h"

namespace longsight::data {

enum class DataKind { messages, llava, sharegpt, text, webdataset };

struct DataSpec {
  DataKind kind = DataKind::messages;
  std::vector<std::string> files = {};   // one; of webdataset: shards, patterns, ranges (expand_shards)
  std::string images = {};               // folder of the pictures; empty: that of the file
  ConversationTags tags = {};            // of sharegpt
  std::vector<std::string> ignore = {};  // keys of records, messages and parts that mean nothing
  std::string index_folder = {};         // where indices are looked for; empty: beside the data
  OpenFile open = nullptr;               // nothing: open_unpacked
};

std::unique_ptr<ChatData> open_chat_data(const DataSpec& spec);

// What a file is, by its name (.tar, .tar.gz, .tgz) and its first record; bad_data, naming the kinds, if that
// does not say it.
DataSpec guess_data_spec(const std::string& file, const OpenFile& open = nullptr);

}  // namespace longsight::data

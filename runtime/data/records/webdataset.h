// WebDataset: tar shards in which consecutive members with the same name up to the first dot form a sample:
//   000017.json, 000017.jpg              or   000017.json, 000017.img1.jpg, 000017.img2.png
// The JSON holds a record of any of the other formats (messages, llava, sharegpt, text). A picture that it
// names is a member of the same sample, by its whole name, its name in the folder, or what stands behind the
// first dot; a record that names none takes the pictures in the order of the archive. Without such a record
// the pictures and a caption are a sample (captions.h). Members that say nothing for training (cls, id, ..,
// and a txt beside a record) are passed over, other types are refused. Pictures are read from where they
// stand in the shard. A shard may be packed by gzip; its pictures are then held in memory with their samples.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/gzip.h"
#include "runtime/base/input_file.h"
#include "runtime/data/records/chat_data.h"
#include "runtime/data/records/index_file.h"
#include "runtime/data/records/sample_builder.h"

namespace longsight::data {

// Paths, patterns (*, ?, [..]) and numbered ranges ("train-{000..127}.tar"), in this order; what a pattern
// matches in the order of names. missing_input for what matches nothing.
std::vector<std::string> expand_shards(const std::vector<std::string>& patterns);

class WebDataset final : public ChatData {
 public:
  // bad_data for a shard that is not as runtime/data/records/tar_index.h wants it, shards without samples,
  // and a folder whose samples are to be read by a program that comes with it (.nv-meta/sample_loader.py).
  // `ignored`: keys and types of members that the user says mean nothing.
  explicit WebDataset(const std::vector<std::string>& shards, const std::string& index_folder = "",
                      std::vector<std::string> ignored = {}, const OpenFile& open = nullptr);

  i64 size() const override { return static_cast<i64>(samples_.size()); }
  ChatSample sample(i64 index) const override;
  std::string where(i64 index) const override;  // "train-000.tar:000017"
  u64 fingerprint() const override { return fingerprint_; }
  std::vector<std::string> write_index(const std::string& folder) const override;

 private:
  struct Member {
    i64 offset = 0, bytes = 0;
    i64 name = 0, name_bytes = 0;  // in names_ of the shard
  };
  struct Shard {
    std::string path;
    FileState state;
    u64 fingerprint = 0;
    std::string names = {};
    std::vector<Member> members = {};
    std::vector<i64> first_members = {};                  // of each sample
    std::shared_ptr<const InputFile> unpacked = nullptr;  // of a shard that gzip packed
    std::string_view name(const Member& m) const {
      return std::string_view(names).substr(static_cast<std::size_t>(m.name),
                                            static_cast<std::size_t>(m.name_bytes));
    }
  };
  struct Place {
    std::int32_t shard = 0, sample = 0;
  };
  class Group;

  static std::string content(const Shard& shard, const Member& member);
  static Shard scan(const std::string& path, const std::string& index_folder, const OpenFile& open);
  static bool restore(Shard& shard, const DataIndex& index);
  static DataIndex index_of(const Shard& shard);
  const Place& place(i64 index) const;

  std::vector<std::string> ignored_;
  std::vector<Shard> shards_;
  std::vector<Place> samples_;
  u64 fingerprint_ = 0;
};

}  // namespace longsight::data

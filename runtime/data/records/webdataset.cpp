#include "runtime/data/records/webdataset.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <span>

#include <glob.h>

#include "runtime/base/gzip.h"
#include "runtime/base/shorten.h"
#include "runtime/base/stream_hash.h"
#include "runtime/data/records/any_record.h"
#include "runtime/data/records/captions.h"
#include "runtime/data/records/record_file.h"
#include "runtime/data/records/tar_index.h"

namespace longsight::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMemberNumbers = 4;  // of a member, in an index
const char* const kIndexKind = "whole tar shard";

std::string_view file_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// The path up to the first dot of the file name, and what stands behind that dot.
std::pair<std::string_view, std::string_view> split_name(std::string_view path) {
  const auto folder = path.size() - file_name(path).size();
  const auto dot = path.find('.', folder);
  if (dot == std::string_view::npos) return {path, {}};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

// In lower case, without the dot: "jpg" of a.img1.JPG.
std::string type_of(std::string_view path) {
  const auto dot = path.rfind('.');
  std::string type(dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1));
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return type;
}

bool is_one_of(const std::string& type, std::initializer_list<const char*> types) {
  return std::any_of(types.begin(), types.end(), [&](const char* t) { return type == t; });
}
// Which of the kinds it is, its bytes say.
bool is_picture(const std::string& type) {
  return is_one_of(type, {"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"});
}
// Left out in silence they would be missed.
bool is_other_media(const std::string& type) {
  return is_one_of(type, {"ppm", "heic", "avif", "jp2", "ico", "mp4", "avi", "mov", "mkv", "webm"});
}

// Beside a record or a caption they say nothing for training.
bool is_harmless(const std::string& type) {
  return is_one_of(type, {"cls", "id", "idx", "index", "key", "url", "md5", "sha256"});
}

// "a-{08..11}.tar" -> a-08.tar .. a-11.tar; other texts are left as they are.
std::vector<std::string> expand_ranges(const std::string& pattern) {
  constexpr i64 kMost = 1'000'000;
  const auto open = pattern.find('{'), dots = pattern.find("..", open), close = pattern.find('}', open);
  if (open == std::string::npos || dots == std::string::npos || close == std::string::npos || dots > close)
    return {pattern};
  const std::string first = pattern.substr(open + 1, dots - open - 1),
                    last = pattern.substr(dots + 2, close - dots - 2);
  const auto is_number = [](const std::string& text) {
    return !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == std::string::npos;
  };
  if (!is_number(first) || !is_number(last)) return {pattern};
  std::vector<std::string> expanded;
  const i64 begin = std::stoll(first), end = std::stoll(last);
  require(begin <= end && end - begin < kMost, ExitCode::usage, "{}: a range from {} to {}", pattern, first,
          last);
  for (i64 i = begin; i <= end; ++i) {
    const std::string name =
        fmt::format("{}{:0{}}{}", pattern.substr(0, open), i, first.size(), pattern.substr(close + 1));
    for (std::string& more : expand_ranges(name)) expanded.push_back(std::move(more));
  }
  return expanded;
}

void refuse_loader(const std::string& shard) {
  const std::string loader = (fs::path(shard).parent_path() / ".nv-meta" / "sample_loader.py").string();
  require(
      !fs::exists(loader), ExitCode::bad_data,
      "{}: the samples of this data set are to be read by a program of its own, which is not run; put each "
      "conversation into a NAME.json beside its pictures and remove the program",
      loader);
  require(!shard.ends_with(".py"), ExitCode::bad_data, "{}: a program, not a tar shard; it is not run",
          shard);
}

}  // namespace

std::vector<std::string> expand_shards(const std::vector<std::string>& patterns) {
  std::vector<std::string> shards;
  for (const std::string& pattern : patterns) {
    for (const std::string& one : expand_ranges(pattern)) {
      if (one.find_first_of("*?[") == std::string::npos) {
        shards.push_back(one);
        continue;
      }
      glob_t found{};
      const int failed = ::glob(one.c_str(), 0, nullptr, &found);
      for (std::size_t i = 0; failed == 0 && i < found.gl_pathc; ++i) shards.emplace_back(found.gl_pathv[i]);
      ::globfree(&found);
      require(failed == 0, ExitCode::missing_input, "{}: no file matches", one);
    }
  }
  std::set<std::string> seen;
  for (const std::string& shard : shards) {
    require(seen.insert(shard).second, ExitCode::usage, "the shard {} is named twice", shard);
  }
  return shards;
}

// The members of one sample.
class WebDataset::Group final : public MediaResolver {
 public:
  Group(const Shard& shard, i64 sample) : shard_(shard) {
    const auto at = static_cast<std::size_t>(sample);
    const auto first = static_cast<std::size_t>(shard.first_members[at]);
    const auto last = at + 1 < shard.first_members.size()
                          ? static_cast<std::size_t>(shard.first_members[at + 1])
                          : shard.members.size();
    members_ = std::span(shard.members).subspan(first, last - first);
  }

  std::string where() const {
    return fmt::format("{}:{}", shard_.path, split_name(shard_.name(members_.front())).first);
  }

  // Every member is of a type that is known, or one of `ignored`.
  void check_types(const std::vector<std::string>& ignored) const {
    for (const Member& m : members_) {
      const std::string type = type_of(shard_.name(m));
      if (std::find(ignored.begin(), ignored.end(), type) != ignored.end()) continue;
      require(!is_other_media(type), ExitCode::bad_data,
              "{}: {} is of no kind of picture that is read (JPEG, PNG, GIF, WebP, BMP, TIFF); convert it",
              where(), shortened(shard_.name(m)));
      require(
          is_picture(type) || type == "json" || type == "txt" || is_harmless(type), ExitCode::bad_data,
          "{}: {} is of no known type (pictures, json, txt); name it in ignore: [{}] of the data set's entry "
          "if it says nothing for training",
          where(), shortened(shard_.name(m)), shortened(type));
    }
  }

  // The one member of a type, null if there is none; bad_data for two.
  const Member* only(const char* type) const {
    const Member* found = nullptr;
    for (const Member& m : members_) {
      if (type_of(shard_.name(m)) != type) continue;
      require(found == nullptr, ExitCode::bad_data, "{}: two {} members, {} and {}", where(), type,
              shortened(found ? shard_.name(*found) : ""), shortened(shard_.name(m)));
      found = &m;
    }
    return found;
  }

  MediaFile resolve(const std::string& name, const std::string& where) const override {
    for (const Member& m : members_) {
      const std::string_view whole = shard_.name(m);
      if (is_picture(type_of(whole)) &&
          (name == whole || name == file_name(whole) || name == split_name(whole).second)) {
        taken_.push_back(&m);
        return file_of(m);
      }
    }
    fail(ExitCode::bad_data, "{}: the image {} is not a member of the sample", where, shortened(name));
  }

  i64 pictures() const {
    return std::count_if(members_.begin(), members_.end(),
                         [&](const Member& m) { return is_picture(type_of(shard_.name(m))); });
  }

  std::vector<MediaFile> unnamed() const override {
    std::vector<MediaFile> files;
    for (const Member& m : members_) {
      if (!is_picture(type_of(shard_.name(m)))) continue;
      taken_.push_back(&m);
      files.push_back(file_of(m));
    }
    return files;
  }

  // No picture is left out without a word, as one that the record has forgotten to name.
  void check_taken(const std::vector<std::string>& ignored) const {
    for (const Member& m : members_) {
      const std::string type = type_of(shard_.name(m));
      if (!is_picture(type) || std::find(ignored.begin(), ignored.end(), type) != ignored.end()) continue;
      require(std::find(taken_.begin(), taken_.end(), &m) != taken_.end(), ExitCode::bad_data,
              "{}: the record does not name the picture {}; name all pictures of the sample or none", where(),
              shortened(shard_.name(m)));
    }
  }

  std::string name(const Member& m) const { return fmt::format("{}:{}", shard_.path, shard_.name(m)); }

 private:
  MediaFile file_of(const Member& m) const {
    if (shard_.unpacked == nullptr) return {.path = shard_.path, .offset = m.offset, .bytes = m.bytes};
    return {.path = name(m), .content = std::make_shared<const std::string>(content(shard_, m))};
  }

  const Shard& shard_;
  std::span<const Member> members_;
  mutable std::vector<const Member*> taken_;  // pictures that the record has asked for
};

WebDataset::WebDataset(const std::vector<std::string>& shards, const std::string& index_folder,
                       std::vector<std::string> ignored, const OpenFile& open)
    : ignored_(std::move(ignored)) {
  StreamHash hash;
  for (const std::string& path : shards) {
    refuse_loader(path);
    shards_.push_back(scan(path, index_folder, open));
    const Shard& shard = shards_.back();
    hash.add(fmt::format("{:016x}", shard.fingerprint));
    for (std::size_t i = 0; i < shard.first_members.size(); ++i) {
      samples_.push_back({narrow<std::int32_t>(shards_.size() - 1), narrow<std::int32_t>(i)});
    }
  }
  fingerprint_ = hash.digest();
  require(size() > 0, ExitCode::bad_data, "{}: no samples", shards.empty() ? "webdataset" : shards.front());
}

std::string WebDataset::content(const Shard& shard, const Member& member) {
  std::string bytes(static_cast<std::size_t>(member.bytes), '\0');
  if (shard.unpacked != nullptr) {
    shard.unpacked->read_exactly_at(bytes.data(), member.bytes, member.offset);
  } else {
    InputFile(shard.path).read_exactly_at(bytes.data(), member.bytes, member.offset);
  }
  return bytes;
}

WebDataset::Shard WebDataset::scan(const std::string& path, const std::string& index_folder,
                                   const OpenFile& open) {
  Shard shard{.path = path, .state = state_of(path)};
  const InputFile packed(path);
  refuse_other_format(packed);
  if (is_gzip(packed))
    shard.unpacked = std::make_shared<const InputFile>(open ? open(path) : open_unpacked(path));
  if (const auto index = read_index(path, index_folder, kIndexKind); index && restore(shard, *index))
    return shard;
  const InputFile& file = shard.unpacked != nullptr ? *shard.unpacked : packed;
  std::string key;
  std::set<std::string, std::less<>> types;
  shard.fingerprint = scan_tar(file, [&](const TarMember& m) {
    const std::string_view base = file_name(m.name);
    // Of the archiver or the file system (._a.jpg, __meta__.json), not of the data.
    if (base.starts_with('.') || base.starts_with("__")) return;
    require(m.no_file.empty(), ExitCode::bad_data,
            "{}: the member {} is {}, whose content is not here; write the archive with the files themselves "
            "(tar --dereference --hard-dereference)",
            path, shortened(m.name), m.no_file);
    const auto [member_key, type] = split_name(m.name);
    if (shard.first_members.empty() || member_key != key) {
      key = member_key;
      types.clear();
      shard.first_members.push_back(static_cast<i64>(shard.members.size()));
    }
    require(types.emplace(type).second, ExitCode::bad_data, "{}: the member {} is there twice", path, m.name);
    shard.members.push_back(
        {m.offset, m.bytes, static_cast<i64>(shard.names.size()), static_cast<i64>(m.name.size())});
    shard.names += m.name;
  });
  return shard;
}

// Numbers: samples, first member of each, then the members.
DataIndex WebDataset::index_of(const Shard& shard) {
  DataIndex index{.numbers = {static_cast<i64>(shard.first_members.size())},
                  .text = shard.names,
                  .fingerprint = shard.fingerprint};
  index.numbers.insert(index.numbers.end(), shard.first_members.begin(), shard.first_members.end());
  for (const Member& m : shard.members) {
    for (const i64 number : {m.offset, m.bytes, m.name, m.name_bytes}) index.numbers.push_back(number);
  }
  return index;
}

bool WebDataset::restore(Shard& shard, const DataIndex& index) {
  const auto& n = index.numbers;
  const auto total = static_cast<i64>(n.size());
  if (n.empty() || n[0] < 0 || n[0] > total - 1 || (total - 1 - n[0]) % static_cast<i64>(kMemberNumbers) != 0)
    return false;
  const auto members_at = n.begin() + 1 + n[0];
  const i64 members = (n.end() - members_at) / static_cast<i64>(kMemberNumbers);
  Shard restored{.path = shard.path,
                 .state = shard.state,
                 .fingerprint = index.fingerprint,
                 .names = index.text,
                 .unpacked = shard.unpacked};
  i64 least = 0;
  for (auto first = n.begin() + 1; first != members_at; ++first) {
    if (*first < least || *first >= members) return false;
    restored.first_members.push_back(*first);
    least = *first + 1;
  }
  const auto names = static_cast<i64>(index.text.size());
  for (auto at = members_at; at != n.end(); at += kMemberNumbers) {
    const Member m{at[0], at[1], at[2], at[3]};
    if (m.offset < 0 || m.bytes < 0 || m.name < 0 || m.name_bytes < 0 || m.name > names ||
        m.name_bytes > names - m.name)
      return false;
    restored.members.push_back(m);
  }
  shard = std::move(restored);
  return true;
}

const WebDataset::Place& WebDataset::place(i64 index) const {
  check(index >= 0 && index < size(), "sample {} of {}", index, size());
  return samples_[static_cast<std::size_t>(index)];
}

ChatSample WebDataset::sample(i64 index) const {
  const Place& at = place(index);
  const Shard& shard = shards_[static_cast<std::size_t>(at.shard)];
  const Group group(shard, at.sample);
  group.check_types(ignored_);
  const auto text_of_member = [&](const Member& m) {
    require(m.bytes <= kMaxJsonLine, ExitCode::bad_data, "{}: longer than {} bytes", group.name(m),
            kMaxJsonLine);
    return content(shard, m);
  };
  SampleBuilder builder(group.where(), group, ignored_);
  const Member* const json = group.only("json");
  const Record record = json == nullptr ? Record()
                                        : parse_ordered_json(text_of_member(*json), group.name(*json),
                                                             {.max_bytes = kMaxJsonLine});
  if (kind_of(record)) {
    read_any(record, builder);
    ChatSample taken = builder.take();
    group.check_taken(ignored_);
    return taken;
  }
  const Member* const text = group.only("txt");
  CaptionFiles files{.metadata = json ? &record : nullptr,
                     .text = text ? std::optional(text_of_member(*text)) : std::nullopt,
                     .text_name = text ? group.name(*text) : "",
                     .pictures = group.pictures()};
  read_caption(files, builder);
  return builder.take();
}

std::string WebDataset::where(i64 index) const {
  const Place& at = place(index);
  return Group(shards_[static_cast<std::size_t>(at.shard)], at.sample).where();
}

std::vector<std::string> WebDataset::write_index(const std::string& folder) const {
  std::vector<std::string> written;
  for (const Shard& shard : shards_) {
    written.push_back(data::write_index(shard.path, folder, kIndexKind, shard.state, index_of(shard)));
  }
  return written;
}

}  // namespace longsight::data

#include "runtime/data/records/index_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <sys/stat.h>
#include <xxhash.h>

#include "runtime/base/input_file.h"
#include "runtime/io/atomic_file.h"

namespace longsight::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "longsight index 2\n";
constexpr i64 kMaxIndexBytes = i64{16} << 30;

i64 nanoseconds(const struct timespec& time) {
  return i64{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Of the beginning, the middle and the end of a file: clocks of file systems are coarse, and not all keep
// times.
u64 hash_of_some(const std::string& path) {
  constexpr i64 kPiece = 1 << 16;
  const InputFile file(path);
  std::string bytes;
  for (const i64 from : {i64{0}, file.size() / 2, file.size() - kPiece}) {
    std::string piece(kPiece, '\0');
    piece.resize(static_cast<std::size_t>(file.read_at(piece.data(), kPiece, std::max<i64>(from, 0))));
    bytes += piece;
  }
  return XXH3_64bits(bytes.data(), bytes.size());
}

// The head of an index, up to its numbers: everything in it must be as expected.
std::string head_of(const std::string& kind, FileState state, const std::string& data_file) {
  return fmt::format("{}{}\n{} {} {} {:016x}\n", kMagic, kind, state.bytes, state.changed_ns, state.status_ns,
                     hash_of_some(data_file));
}

void append(std::string& to, const void* data, std::size_t bytes) {
  to.append(static_cast<const char*>(data), bytes);
}

template <class T>
bool take(std::string_view& from, T& value) {
  if (from.size() < sizeof(T)) return false;
  std::memcpy(&value, from.data(), sizeof(T));
  from.remove_prefix(sizeof(T));
  return true;
}

std::optional<DataIndex> parse(std::string_view bytes, const std::string& head) {
  u64 hash = 0;
  if (bytes.size() < sizeof(hash)) return std::nullopt;
  std::string_view tail = bytes.substr(bytes.size() - sizeof(hash));
  take(tail, hash);
  bytes.remove_suffix(sizeof(hash));
  if (XXH3_64bits(bytes.data(), bytes.size()) != hash || !bytes.starts_with(head)) return std::nullopt;
  bytes.remove_prefix(head.size());
  DataIndex index;
  u64 numbers = 0;
  if (!take(bytes, index.fingerprint) || !take(bytes, numbers) || numbers > bytes.size() / sizeof(i64))
    return std::nullopt;
  index.numbers.resize(numbers);
  if (numbers > 0) std::memcpy(index.numbers.data(), bytes.data(), numbers * sizeof(i64));
  index.text = bytes.substr(numbers * sizeof(i64));
  return index;
}

}  // namespace

FileState state_of(const std::string& path) {
  struct stat status {};
  require(::stat(path.c_str(), &status) == 0, ExitCode::missing_input, "cannot read {}: {}", path,
          std::strerror(errno));
  return {.bytes = status.st_size,
          .changed_ns = nanoseconds(status.st_mtim),
          .status_ns = nanoseconds(status.st_ctim)};
}

std::string index_path(const std::string& data_file, const std::string& folder, const char* suffix) {
  if (folder.empty()) return data_file + suffix;
  const std::string whole = fs::absolute(data_file).lexically_normal().string();
  return (fs::path(folder) / fmt::format("{}-{:08x}{}", fs::path(data_file).filename().string(),
                                         XXH3_64bits(whole.data(), whole.size()) & 0xFFFFFFFF, suffix))
      .string();
}

std::optional<DataIndex> read_index(const std::string& data_file, const std::string& folder,
                                    const std::string& kind, const char* suffix) {
  const std::string path = index_path(data_file, folder, suffix);
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  return parse(read_whole_file(path, kMaxIndexBytes, ExitCode::bad_data),
               head_of(kind, state_of(data_file), data_file));
}

std::string write_index(const std::string& data_file, const std::string& folder, const std::string& kind,
                        FileState state, const DataIndex& index, const char* suffix) {
  std::string bytes = head_of(kind, state, data_file);
  append(bytes, &index.fingerprint, sizeof(index.fingerprint));
  const u64 numbers = index.numbers.size();
  append(bytes, &numbers, sizeof(numbers));
  append(bytes, index.numbers.data(), numbers * sizeof(i64));
  bytes += index.text;
  const u64 hash = XXH3_64bits(bytes.data(), bytes.size());
  append(bytes, &hash, sizeof(hash));
  const std::string path = index_path(data_file, folder, suffix);
  io::write_file(path, bytes);
  return path;
}

}  // namespace longsight::data

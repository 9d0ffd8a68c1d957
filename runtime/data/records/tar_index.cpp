#include "runtime/data/records/tar_index.h"

#include <algorithm>
#include <array>
#include <optional>

#include "runtime/base/shorten.h"
#include "runtime/base/stream_hash.h"
#include "runtime/base/utf8.h"

namespace longsight::data {
namespace {

constexpr i64 kBlock = 512;
constexpr i64 kMaxExtended = i64{1} << 20;  // bytes of an extended header
constexpr int kMaxExtendedInARow = 8;
constexpr std::size_t kMaxName = 4096;

using Block = std::array<char, kBlock>;

// A field of a header (POSIX.1-1988): a text that ends at its first NUL.
std::string_view field(const Block& block, std::size_t begin, std::size_t size) {
  const std::string_view whole(block.data() + begin, size);
  return whole.substr(0, whole.find('\0'));
}

bool is_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

// Octal digits, with spaces in front and a space or NUL behind.
std::optional<i64> octal(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  i64 value = 0;
  for (const char c : text) {
    if (c < '0' || c > '7' || value >> 59 != 0) return std::nullopt;
    value = value * 8 + (c - '0');
  }
  return value;
}

std::optional<i64> decimal(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  i64 value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

class Scanner {
 public:
  Scanner(const InputFile& file, const std::function<void(TarMember)>& member)
      : file_(file), member_(member), size_(file.size()) {}

  u64 scan() {
    refuse_compressed();
    Block block{};
    while (read_block(block)) {
      if (is_zero({block.data(), block.size()})) {
        check_end();
        break;
      }
      read_member(block);
    }
    require_here(extended_in_a_row_ == 0, "the archive ends behind an extended header");
    // All writers end an archive with two; whoever was interrupted between two members has none.
    require(header_ < size_, ExitCode::bad_data,
            "{}: cut off: the empty blocks that end an archive are missing, and samples may be too; write it "
            "anew (to one that is known to be whole append 1,024 zero bytes)",
            file_.path());
    hash_.add(fmt::format("{}", size_));
    return hash_.digest();
  }

 private:
  template <class... A>
  void require_here(bool ok, fmt::format_string<A...> text, A&&... values) const {
    if (!ok) {
      fail(ExitCode::bad_data, "{}: member at byte {}: {}", file_.path(), header_,
           fmt::format(text, std::forward<A>(values)...));
    }
  }

  // Told by the first bytes of gzip, Zstandard, xz and bzip2.
  void refuse_compressed() const {
    std::string start(4, '\0');
    start.resize(static_cast<std::size_t>(file_.read_at(start.data(), 4, 0)));
    for (const char* magic : {"\x1F\x8B", "\x28\xB5\x2F\xFD", "\xFD\x37\x7A\x58", "BZh"}) {
      require(!start.starts_with(magic), ExitCode::bad_data,
              "{}: a compressed archive; pictures are read from where they stand in it: unpack it first",
              file_.path());
    }
  }

  bool read_block(Block& block) {
    header_ = at_;
    if (at_ == size_) return false;
    require_here(size_ - at_ >= kBlock, "the archive is cut within a header");
    file_.read_exactly_at(block.data(), kBlock, at_);
    at_ += kBlock;
    return true;
  }

  void check_sum(const Block& block) const {
    i64 sum = 0;
    for (std::size_t i = 0; i < block.size(); ++i) {
      sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
    }
    require_here(octal({block.data() + 148, 8}) == sum,
                 "the checksum of its header is wrong: not a tar archive, or a damaged one");
  }

  i64 member_size(const Block& block) const {
    require_here((static_cast<unsigned char>(block[124]) & 0x80) == 0,
                 "a size in base 256 (negative, or above 8 GiB)");
    const std::optional<i64> size = octal({block.data() + 124, 12});
    require_here(size.has_value(), "its size is not an octal number");
    return *size;
  }

  // Content of `bytes` bytes, rounded up to blocks, lies inside of the file.
  void require_inside(i64 bytes) const {
    require_here(bytes <= size_ - at_, "{} bytes of content, but the archive ends {} bytes behind its header",
                 bytes, size_ - at_);
  }
  void skip(i64 bytes) { at_ += std::min(ceil_div(bytes, kBlock) * kBlock, size_ - at_); }

  std::string read_extended(i64 bytes) {
    require_here(bytes <= kMaxExtended, "an extended header of {} bytes", bytes);
    require_here(++extended_in_a_row_ <= kMaxExtendedInARow, "more than {} extended headers in a row",
                 kMaxExtendedInARow);
    std::string text(static_cast<std::size_t>(bytes), '\0');
    file_.read_exactly_at(text.data(), bytes, at_);
    skip(bytes);
    return text;
  }

  // "LENGTH KEY=VALUE\n", again and again. Of a global header only what it refuses counts.
  void read_pax(std::string_view text, bool global) {
    while (!text.empty()) {
      const auto space = text.find(' ');
      const std::optional<i64> length = decimal(text.substr(0, space));
      require_here(space != std::string_view::npos && length.has_value() &&
                       *length > static_cast<i64>(space) + 1 && *length <= static_cast<i64>(text.size()),
                   "a pax record without its right length");
      const std::string_view record = text.substr(space + 1, static_cast<std::size_t>(*length) - space - 1);
      text.remove_prefix(static_cast<std::size_t>(*length));
      const auto equals = record.find('=');
      require_here(record.ends_with('\n') && equals != std::string_view::npos,
                   "a pax record that is not key=value");
      const std::string_view key = record.substr(0, equals);
      const std::string_view value = record.substr(equals + 1, record.size() - equals - 2);
      require_here(!key.starts_with("GNU.sparse"), "a sparse file; write the archive without them");
      require_here(!global || (key != "path" && key != "size"), "a pax header that gives all members one {}",
                   key);
      if (global) continue;
      if (key == "path") long_name_ = std::string(value);
      if (key == "linkpath") long_link_ = std::string(value);
      if (key == "size") {
        long_size_ = decimal(value);
        require_here(long_size_.has_value(), "a pax size that is not a number");
      }
    }
  }

  std::string name_of(const Block& block) const {
    if (long_name_) return *long_name_;
    const std::string_view name = field(block, 0, 100);
    // The prefix is of ustar; GNU tar keeps other things there.
    const bool ustar = std::string_view(block.data() + 257, 6) == std::string_view("ustar\0", 6);
    const std::string_view prefix = ustar ? field(block, 345, 155) : std::string_view();
    return prefix.empty() ? std::string(name) : fmt::format("{}/{}", prefix, name);
  }

  // Of what has no content of its own.
  std::string kind_of(const Block& block) const {
    const char type = block[156];
    if (type == '1' || type == '2')
      return "a link to " + shortened(long_link_ ? *long_link_ : field(block, 157, 100));
    return type == '6' ? "a pipe" : "a device";
  }

  void check_name(const std::string& name) const {
    require_here(!name.empty() && name.size() <= kMaxName, "a name of {} bytes", name.size());
    require_here(first_invalid_utf8(name) < 0, "a name that is not UTF-8");
    require_here(std::none_of(name.begin(), name.end(),
                              [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }),
                 "a name with a control character");
  }

  void read_member(const Block& block) {
    check_sum(block);
    hash_.add({block.data(), block.size()});
    const char type = block[156];
    const i64 bytes = member_size(block);
    if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
      require_inside(bytes);
      std::string text = read_extended(bytes);
      hash_.add(text);
      if (type == 'x' || type == 'g') read_pax(text, type == 'g');
      if (type == 'L') long_name_ = text.substr(0, text.find('\0'));
      if (type == 'K') long_link_ = text.substr(0, text.find('\0'));
      return;
    }
    const bool regular = type == '0' || type == '\0' || type == '7';
    // Links, devices and folders have no content, whatever their size says.
    const bool empty = type >= '1' && type <= '6';
    require_here(type != 'S', "a sparse file; write the archive without them");
    require_here(regular || empty, "a member of unknown type 0x{:02X}", static_cast<unsigned char>(type));
    if (type != '5') {
      TarMember member{.name = name_of(block), .offset = at_, .bytes = 0};
      check_name(member.name);
      if (regular) {
        member.bytes = long_size_.value_or(bytes);
        require_inside(member.bytes);
        skip(member.bytes);
      } else {
        member.no_file = kind_of(block);
      }
      if (!member.name.ends_with('/')) member_(std::move(member));
    }
    long_name_.reset();
    long_link_.reset();
    long_size_.reset();
    extended_in_a_row_ = 0;
  }

  // Behind the first empty block there is nothing but zeros. Joined archives would lose what follows.
  void check_end() {
    std::string buffer(std::size_t{1} << 16, '\0');
    for (i64 offset = at_; offset < size_;) {
      const i64 got = file_.read_at(buffer.data(), static_cast<i64>(buffer.size()), offset);
      if (got == 0) break;
      require(
          is_zero(std::string_view(buffer).substr(0, static_cast<std::size_t>(got))), ExitCode::bad_data,
          "{}: data behind the end of the archive at byte {}; archives that were joined must be taken apart",
          file_.path(), header_);
      offset += got;
    }
  }

  const InputFile& file_;
  const std::function<void(TarMember)>& member_;
  i64 size_;
  i64 at_ = 0;      // what is read next
  i64 header_ = 0;  // where the header at hand begins
  std::optional<std::string> long_name_, long_link_;
  std::optional<i64> long_size_;
  int extended_in_a_row_ = 0;
  StreamHash hash_;
};

}  // namespace

u64 scan_tar(const InputFile& file, const std::function<void(TarMember)>& member) {
  return Scanner(file, member).scan();
}

}  // namespace longsight::data
